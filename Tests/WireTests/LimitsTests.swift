import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

@Suite struct LimitsTests {
  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "y", count: 3000))\r\n\r\n", 431),
    ("GET /\(String(repeating: "y", count: 600)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("\u{16}\u{03}\u{01}\u{02}\u{00}\u{01}", 400),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
  ])
  func `a head beyond a limit or outside the grammar is refused and the connection closed`(
    head: String, status: Int
  ) throws {
    var limits = ServerLimits()
    limits.head = HeadLimits(headBytes: 2000, fieldCount: 20, targetBytes: 500)
    try withRig(limits: limits, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send(head)
      let answer = client.message()
      #expect(answer?.status == status)
      #expect(answer?.field("Connection") == "close")
      #expect(client.endsCleanly())
      #expect(rig.journal.count("received") == 0)
      #expect(rig.upstream.connectionCount == 0)
    }
  }

  @Test func `a smuggled second request is answered by nobody`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      client.socket.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /two HTTP/1.1\r\nHost: a\r\n bad\r\n\r\n"
      )
      #expect(client.message()?.text == "/ body")
      #expect(client.message()?.status == 400)
      #expect(client.endsCleanly())
      #expect(rig.journal.count("received") == 1)
    }
  }

  @Test func `a head that does not come to its end is answered with 408`() throws {
    var timeouts = ServerTimeouts()
    timeouts.head = .milliseconds(50)
    try withRig(timeouts: timeouts, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHos")
      #expect(client.message()?.status == 408)
      #expect(client.endsCleanly())
    }
  }

  @Test func `an idle connection is closed without a word`() throws {
    var timeouts = ServerTimeouts()
    timeouts.idle = .milliseconds(50)
    try withRig(timeouts: timeouts, upstream: echo) { rig in
      #expect(rig.client().endsCleanly())
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 200)
      #expect(client.endsCleanly())
    }
  }

  @Test func `a client that does not take its answer is cut off`() throws {
    var timeouts = ServerTimeouts()
    timeouts.writeStall = .milliseconds(100)
    var script = Script()
    script.received = { x, _ in x.respond(status: 200, body: [UInt8](repeating: 65, count: 20_000_000)) }
    try withRig(script: script, timeouts: timeouts, upstream: echo) { rig in
      let client = rig.client(receiveBuffer: 4096)
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(rig.journal.waits(for: "finished clientStalled"))
      #expect(client.message()?.isComplete == false)
    }
  }

  @Test func `a connection is closed after its last permitted request`() throws {
    var limits = ServerLimits()
    limits.maxRequestsPerConnection = 2
    try withRig(limits: limits, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.field("Connection") == nil)
      #expect(client.message()?.field("Connection") == "close")
      #expect(client.endsCleanly())
    }
  }

  @Test func `beyond the cap new connections wait for a place`() throws {
    var limits = ServerLimits()
    limits.maxConnections = 2
    try withRig(limits: limits, upstream: echo) { rig in
      let clients = [rig.client(), rig.client()]
      for client in clients {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(client.message()?.status == 200)
      }
      let third = rig.client()
      third.socket.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(rig.with { server, _ in server.connectionCount } == 2)
      clients[0].socket.shutdownBoth()
      #expect(third.message()?.text == "/third ")
    }
  }

  @Test func `reject closes the connection after its answer`() throws {
    var script = Script()
    script.received = { x, _ in
      x.reject(status: 403, fields: { $0.append("X-Why: so\r\n" as StaticString) }, body: Array("no".utf8))
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n")
      let answer = client.message()
      #expect(answer?.text == "no")
      #expect(answer?.field("X-Why") == "so")
      #expect(client.endsCleanly())
    }
  }
}
