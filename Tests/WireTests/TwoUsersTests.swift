import Dispatch
import Synchronization
import Testing

@testable import Wire

@Suite struct TwoUsersTests {
  @Test(arguments: [false, true])
  func `two users interleave 200 calls each over few connections and never see each other's answer`(
    isCollected: Bool
  ) throws {
    var script = Script()
    if isCollected {
      script.received = { x, _ in x.collectBody(limit: 1000) }
      script.answerHead = { _, _ in .collect(limit: 1000) }
    }
    try withRig(
      script: script, settings: { $0.maxConnections = 3 },
      upstream: { connection in
        var count = 0
        connection.serve { request in
          count += 1
          // Some answers are chunked, some close, some come in two pieces: no pattern a mistake could hide behind.
          let user = request.field("X-User") ?? "-"
          let body = "\(user) \(request.text)"
          switch count % 7 {
          case 3:
            return
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
          case 5:
            connection.socket.send("HTTP/1.1 200 OK\r\nContent-Le")
            return "ngth: \(body.utf8.count)\r\n\r\n\(body)"
          case 6:
            connection.socket.send(
              "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            return nil
          default: return "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
          }
        }
      }
    ) { rig in
      let tally = Tally()
      let users = ["alice", "bob"].flatMap { user in
        (0..<4).map { lane in
          ScriptedUpstream.inBackground {
            let client = rig.client()
            for i in 0..<50 {
              let body = "\(user)-\(lane)-\(i)"
              client.socket.send(
                "POST / HTTP/1.1\r\nHost: a\r\nX-User: \(user)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
              )
              tally.note(client.message()?.text == "\(user) \(body)")
            }
          }
        }
      }
      for user in users { user.wait() }
      #expect(tally.wrong.load(ordering: .relaxed) == 0)
      #expect(tally.right.load(ordering: .relaxed) == 400)
    }
  }

  final class Tally: Sendable {
    let wrong = Atomic<Int>(0)
    let right = Atomic<Int>(0)
    func note(_ isRight: Bool) {
      if isRight { right.add(1, ordering: .relaxed) } else { wrong.add(1, ordering: .relaxed) }
    }
  }
}
