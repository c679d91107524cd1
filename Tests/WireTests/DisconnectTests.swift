import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

@Suite struct DisconnectTests {
  private static let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"

  /// Reads the request, waits for what the test says, and notes how its connection ended.
  private static func waiting(_ journal: Journal) -> @Sendable (ScriptedUpstream.Connection) -> Void {
    { connection in
      _ = connection.reader.message()
      journal.add("request")
      while connection.reader.more() {}
      journal.add("ended")
    }
  }

  @Test func `a reset client aborts its upstream request`() throws {
    let upstream = Journal()
    try withRig(upstream: Self.waiting(upstream)) { rig in
      let client = rig.client()
      client.socket.send(Self.request)
      #expect(upstream.waits(for: "request"))
      client.socket.reset()
      #expect(upstream.waits(for: "ended"))
      #expect(rig.journal.waits(for: "finished clientGone"))
      #expect(rig.journal.count("gone") == 1)
      #expect(rig.eventually { server, pool in server.connectionCount == 0 && pool.busyCount == 0 })
    }
  }

  @Test func `a client that ended its side is answered`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      client.socket.send(Self.request)
      client.socket.shutdownWrite()
      #expect(client.message()?.text == "/ hi")
      #expect(client.endsCleanly())
      #expect(rig.journal.waits(for: "finished complete"))
    }
  }

  @Test func `a client that pipelined and ended its side gets all answers`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      client.socket.send(Self.request + Self.request + Self.request)
      client.socket.shutdownWrite()
      for _ in 0..<3 { #expect(client.message()?.text == "/ hi") }
      #expect(client.endsCleanly())
    }
  }

  @Test func `where the end of input is a disconnect, the upstream sees it at once`() throws {
    let upstream = Journal()
    var script = Script()
    script.received = { x, pool in
      x.endOfInput = .isDisconnect
      Pass.request(x)
      x.forward(to: pool)
    }
    try withRig(script: script, upstream: Self.waiting(upstream)) { rig in
      let client = rig.client()
      client.socket.send(Self.request)
      #expect(upstream.waits(for: "request"))
      client.socket.shutdownBoth()
      #expect(upstream.waits(for: "ended"))
      #expect(rig.journal.waits(for: "finished clientGone"))
    }
  }

  @Test func `where the upstream is to be spared, its answer is read to the end`() throws {
    let upstream = Journal()
    let go = Journal()
    var script = Script()
    script.received = { x, pool in
      x.onClientGone = .drainUpstream
      Pass.request(x)
      x.forward(to: pool)
    }
    try withRig(
      script: script,
      upstream: { connection in
        connection.serve { request in
          if request.target == "/next" { return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext" }
          upstream.add("request")
          guard go.waits(for: "go") else { return nil }
          return "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n\(String(repeating: "x", count: 200_000))"
        }
      }
    ) { rig in
      let client = rig.client()
      client.socket.send(Self.request)
      #expect(upstream.waits(for: "request"))
      client.socket.reset()
      #expect(rig.journal.waits(for: "gone"))
      #expect(rig.journal.count("finished clientGone") == 0)
      go.add("go")
      #expect(rig.journal.waits(for: "finished clientGone"))
      #expect(rig.eventually { server, pool in server.connectionCount == 0 && pool.idleCount == 1 })
      // The connection is clean: the next exchange gets its own answer on it.
      let other = rig.client()
      other.socket.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(other.message()?.text == "next")
      #expect(rig.upstream.connectionCount == 1)
    }
  }

  @Test func `sparing the upstream has a bound`() throws {
    let upstream = Journal()
    var script = Script()
    script.received = { x, pool in
      x.onClientGone = .drainUpstream
      Pass.request(x)
      x.forward(to: pool)
    }
    try withRig(
      script: script, settings: { $0.drainTimeout = .milliseconds(50) }, upstream: Self.waiting(upstream)
    ) { rig in
      let client = rig.client()
      client.socket.send(Self.request)
      #expect(upstream.waits(for: "request"))
      client.socket.reset()
      #expect(upstream.waits(for: "ended"))
      #expect(rig.journal.waits(for: "finished clientGone"))
    }
  }

  @Test func `a client that leaves while the handler thinks is over, and acting late does nothing`() throws {
    let kept = Locked<LoopBound<Exchange>?>(nil)
    var script = Script()
    script.received = { x, _ in
      let bound = LoopBound(x, on: x.loop)
      kept.withLock { $0 = bound }
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send(Self.request)
      #expect(rig.journal.waits(for: "received"))
      client.socket.reset()
      #expect(rig.journal.waits(for: "finished clientGone"))
      let isOver = rig.with { _, pool in
        guard let x = kept.withLock({ $0 })?.value else { return false }
        x.respond(status: 200)
        x.forward(to: pool)
        x.collectBody(limit: 1)
        x.startStream(status: 200)
        x.sendStream([1])
        x.endStream()
        x.reject(status: 400)
        x.relayCollected()
        return x.isOver
      }
      #expect(isOver)
      #expect(rig.journal.count("finished clientGone") == 1)
      rig.with { _, _ in kept.withLock { $0 = nil } }
    }
  }

  @Test func `a client that leaves the waiting line leaves no trace`() throws {
    let upstream = Journal()
    try withRig(settings: { $0.maxConnections = 1 }, upstream: Self.waiting(upstream)) { rig in
      let first = rig.client()
      first.socket.send(Self.request)
      #expect(upstream.waits(for: "request"))
      let second = rig.client()
      second.socket.send(Self.request)
      #expect(rig.eventually { $1.waitingCount == 1 })
      second.socket.reset()
      #expect(rig.eventually { $1.waitingCount == 0 })
      #expect(rig.journal.waits(for: "finished clientGone"))
    }
  }
}
