import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// Upstreams whose framing is broken: the client must never take what it gets for a complete answer, and no byte may
/// reach another exchange.
@Suite struct BrokenUpstreamTests {
  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloxx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
  ])
  func `a truncated or broken body never looks complete`(answer: String) throws {
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send(answer)
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      let message = client.message()
      #expect(message?.isComplete != true || message?.status == 502)
      #expect(!client.more())
      #expect(rig.journal.waits(for: "finished answerTruncated"))
      #expect(rig.eventually { $1.idleCount == 0 && $1.busyCount == 0 })
    }
  }

  @Test func `an HTTP 1 point 0 client is reset when its answer breaks off`() throws {
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
      _ = connection.reader.through("go")
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.0\r\n\r\n")
      _ = client.head()
      #expect(client.take(5) != nil)
      rig.upstream.close()
      while client.more() {}
      guard case .reset? = client.ended else {
        Issue.record("the stream ended without a reset")
        return
      }
    }
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "SSH-2.0-OpenSSH\r\n",
    "HTTP/1.1 200 OK\r\nX: a\nb\r\n\r\n",
    "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
    String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 20),
    "HTTP/1.1 200 OK\r\nX: \(String(repeating: "y", count: 40_000))\r\n\r\n",
  ])
  func `an answer that can be understood in two ways is none`(answer: String) throws {
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send(answer)
      _ = connection.reader.more()
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 502)
      #expect(rig.journal.count("failed badResponse") == 1)
      #expect(rig.eventually { $1.idleCount == 0 && $1.busyCount == 0 })
      // The client's connection is none the worse.
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 502)
    }
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nextra",
    "HTTP/1.1 204 No Content\r\n\r\nbody",
  ])
  func `bytes behind a complete answer close the connection and reach nobody`(answer: String) throws {
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send(answer)
      _ = connection.reader.more()
    }) { rig in
      let client = rig.client()
      for i in 1...3 {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let message = client.message()
        #expect(message?.text == "ok" || message?.status == 204)
        #expect(rig.eventually { $1.idleCount == 0 && $1.busyCount == 0 })
        #expect(rig.upstream.connectionCount == i)
      }
    }
  }

  @Test func `bytes that come later on an idle connection close it`() throws {
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      if connection.index == 0 {
        // Not before the answer has been taken.
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
      }
      _ = connection.reader.rest()
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "ok")
      #expect(rig.eventually { $1.idleCount == 0 && $1.busyCount == 0 })
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "ok")
      #expect(rig.upstream.connectionCount == 2)
    }
  }

  @Test func `a truncated answer to be collected is a failure`() throws {
    var script = Script()
    script.answerHead = { _, _ in .collect(limit: 1000) }
    try withRig(
      script: script,
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "closedEarly")
    }
  }

  @Test func `a refused connection is a failure and the next request tries again`() throws {
    let (socket, port) = RawSocket.bound()
    defer { withExtendedLifetime(socket) {} }
    try withRig(settings: { $0.port = port }, upstream: echo) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(client.message()?.text == "connect")
      }
    }
  }

  @Test func `an upstream that does not answer in time is a failure`() throws {
    try withRig(
      settings: { $0.responseHeadersTimeout = .milliseconds(50) }, upstream: { _ = $0.reader.rest() }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 504)
      #expect(rig.eventually { $1.busyCount == 0 })
    }
  }

  @Test func `an answer that stalls is cut off`() throws {
    try withRig(
      settings: { $0.bodyStallTimeout = .milliseconds(50) },
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        _ = connection.reader.rest()
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.isComplete == false)
      #expect(rig.journal.waits(for: "finished answerTruncated"))
    }
  }
}
