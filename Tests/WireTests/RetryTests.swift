import Synchronization
import Testing

@testable import Wire

/// The one safe retry: what is executed at most once is never sent twice.
@Suite struct RetryTests {
  final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func add() { value.add(1, ordering: .relaxed) }
    var count: Int { value.load(ordering: .relaxed) }
  }

  /// The first connection answers once and drops the second request after it has read it whole.
  private func dropping(_ seen: Counter) -> @Sendable (ScriptedUpstream.Connection) -> Void {
    { connection in
      var served = 0
      connection.serve { request in
        seen.add()
        served += 1
        if connection.index == 0, served == 2 { return nil }
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\(request.head.hasPrefix("HEAD") ? "" : "ok")"
      }
    }
  }

  @Test(arguments: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
  func `an idempotent request on a dying kept-alive connection is sent once more`(method: String) throws {
    let seen = Counter()
    try withRig(upstream: dropping(seen)) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(client.message(isHead: method == "HEAD")?.status == 200)
      }
      #expect(seen.count == 3)
      #expect(rig.journal.waits(for: "attempts 2"))
    }
  }

  @Test(arguments: ["POST", "PATCH", "BREW"])
  func `a wholly written request that may act twice is never sent again`(method: String) throws {
    let seen = Counter()
    try withRig(upstream: dropping(seen)) { rig in
      let client = rig.client()
      client.socket.send("\(method) / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
      #expect(client.message()?.status == 200)
      client.socket.send("\(method) / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
      #expect(client.message()?.status == 502)
      #expect(seen.count == 2)
    }
  }

  @Test func `a new connection that dies is not retried`() throws {
    let seen = Counter()
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      seen.add()
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 502)
      #expect(seen.count == 1)
    }
  }

  @Test func `there is one retry, not two`() throws {
    let seen = Counter()
    try withRig(upstream: { connection in
      if connection.index == 0 {
        _ = connection.reader.message()
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      }
      _ = connection.reader.message()
      seen.add()
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 200)
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 502)
      #expect(seen.count == 2)
    }
  }

  @Test func `a connection that dies after the first byte of the answer is not retried`() throws {
    let seen = Counter()
    try withRig(upstream: { connection in
      connection.serve { _ in
        seen.add()
        return seen.count == 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" : "H"
      }
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 200)
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(rig.eventually { _, pool in seen.count == 2 && pool.busyCount == 1 })
      rig.upstream.close()
      #expect(client.message()?.status == 502)
      #expect(seen.count == 2)
    }
  }

  @Test(arguments: [("PUT", true), ("POST", false)])
  func `the one safe retry holds inside a stream`(method: String, isRetried: Bool) throws {
    try withRig(
      script: HeldStream.script(),
      upstream: { connection in
        var served = 0
        connection.serve { _ in
          served += 1
          return connection.index == 0 && served == 2 ? nil : HeldStream.answer("\(connection.index)")
        }
      }
    ) { rig in
      let client = rig.client()
      let request = "\(method) / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ncall"
      client.socket.send(request + request)
      #expect(client.message()?.text == ": wait\n\n" + HeldStream.event("0"))
      let second = isRetried ? HeldStream.event("1") : "data: closedEarly\n\n"
      #expect(client.message()?.text == ": wait\n\n" + second)
    }
  }
}
