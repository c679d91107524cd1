import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

@Suite struct DrainTests {
  private func drain(_ rig: Rig, grace: Duration) {
    let journal = rig.journal
    rig.with { server, _ in
      server.onDrained = { journal.add("drained") }
      server.drain(grace: grace)
    }
  }

  @Test func `idle connections close soon, an exchange is finished first`() throws {
    let (go, seen) = (Journal(), Journal())
    try withRig(upstream: { connection in
      connection.serve { _ in
        seen.add("request")
        guard go.waits(for: "go") else { return nil }
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
      }
    }) { rig in
      let (idle, busy) = (rig.client(), rig.client())
      busy.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(seen.waits(for: "request"))
      drain(rig, grace: .seconds(60))
      #expect(idle.endsCleanly())
      #expect(rig.journal.count("drained") == 0)
      go.add("go")
      let answer = busy.message()
      #expect(answer?.text == "ok")
      #expect(answer?.field("Connection") == "close")
      #expect(busy.endsCleanly())
      busy.socket.shutdownBoth()
      #expect(rig.journal.waits(for: "drained"))
    }
  }

  @Test func `a request that crosses a drain is answered, as the last of its connection`() throws {
    var timeouts = ServerTimeouts()
    timeouts.lastRequest = .seconds(RawSocket.patience)
    try withRig(timeouts: timeouts, upstream: echo) { rig in
      let (kept, fresh) = (rig.client(), rig.client())
      kept.socket.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(kept.message()?.field("Connection") == nil)
      drain(rig, grace: .seconds(60))
      for client in [kept, fresh] {
        client.socket.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(client.message()?.field("Connection") == "close")
        #expect(client.endsCleanly())
        client.socket.shutdownBoth()
      }
      #expect(rig.journal.waits(for: "drained"))
    }
  }

  @Test func `connections that nobody has accepted yet are served`() throws {
    try withRig(upstream: echo) { rig in
      // The loop is busy while they connect, and drains before it looks.
      let sockets = rig.with { server, _ in
        let sockets = (0..<30).map { _ in RawSocket.connect(port: rig.port) }
        for socket in sockets { socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
        server.drain(grace: .seconds(60))
        return sockets
      }
      for socket in sockets { #expect(MessageReader(socket).message()?.field("Connection") == "close") }
    }
  }

  @Test(arguments: [true, false])
  func `an event stream ends properly, at once or after the grace`(endsOnDrain: Bool) throws {
    var script = Script()
    script.answerHead = { x, _ in
      Pass.answer(x)
      x.endsOnDrain = endsOnDrain
      return .relayEvents(maxEventBytes: 100, keepAlive: nil)
    }
    try withRig(
      script: script,
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n")
        _ = connection.reader.rest()
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.through("data: a\n\n\r\n") != nil)
      drain(rig, grace: endsOnDrain ? .seconds(60) : .milliseconds(50))
      #expect(client.through("0\r\n\r\n") == "0\r\n\r\n")
      #expect(client.endsCleanly())
      client.socket.shutdownBoth()
      #expect(rig.journal.waits(for: "drained"))
      #expect(rig.journal.count("finished complete") == 1)
    }
  }

  @Test func `after the grace what remains is cut off`() throws {
    let seen = Journal()
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      seen.add("request")
      _ = connection.reader.rest()
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(seen.waits(for: "request"))
      drain(rig, grace: .milliseconds(30))
      #expect(client.message() == nil)
      #expect(rig.journal.waits(for: "finished serverStopped"))
      #expect(rig.journal.waits(for: "drained"))
    }
  }

  @Test func `a body that passes as one event is not ended in the middle, but cut off by a stop`() throws {
    try withRig(
      script: HeldStream.script(),
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        _ = connection.reader.rest()
      }
    ) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(client.through("data: {\r\n") != nil)
      rig.with { server, _ in server.endStreams { _ in true } }
      #expect(rig.with { server, _ in server.exchangeCount } == 1)
      rig.with { server, _ in server.stop() }
      #expect(client.rest().isEmpty)
      #expect(rig.journal.waits(for: "finished serverStopped"))
    }
  }

  @Test func `a drain without connections has ended at once`() throws {
    try withRig(upstream: echo) { rig in
      drain(rig, grace: .seconds(60))
      #expect(rig.journal.waits(for: "drained"))
    }
  }
}
