import Basics
import HTTP
import Testing

@testable import Wire

/// Answers with the request's target and body as its body.
@Sendable func echo(_ connection: ScriptedUpstream.Connection) {
  connection.serve { request in
    let body = "\(request.target) \(request.text)"
    return "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }
}

@Suite struct RelayTests {
  @Test func `a request and its answer pass, and both connections are used again`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      for i in 0..<5 {
        client.socket.send("POST /\(i) HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nping")
        let answer = try #require(client.message())
        #expect(answer.status == 200)
        #expect(answer.text == "/\(i) ping")
        #expect(answer.fields("Date").count == 1)
        #expect(answer.field("Connection") == nil)
      }
      #expect(rig.upstream.connectionCount == 1)
      #expect(rig.journal.waits(for: "finished complete", times: 5))
    }
  }

  @Test func `pipelined requests are answered in order`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      var all = ""
      for i in 0..<20 { all += "POST /\(i) HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" }
      client.socket.send(all)
      for i in 0..<20 { #expect(client.message()?.text == "/\(i) x") }
    }
  }

  @Test func `a request fed byte by byte is understood`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      for byte in "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        .utf8
      {
        client.socket.send([byte])
      }
      #expect(client.message()?.text == "/slow abc")
    }
  }

  @Test(arguments: [
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5" as String?),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n", nil),
    ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "9"),
    ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n", nil),
  ])
  func `answers without a body keep the connection`(method: String, answer: String, length: String?) throws {
    try withRig(upstream: { $0.serve { _ in answer } }) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("\(method) / HTTP/1.1\r\nHost: a\r\n\r\n")
        let message = try #require(client.message(isHead: true))
        #expect(message.field("Content-Length") == length)
        #expect(message.field("Transfer-Encoding") == nil)
      }
      #expect(rig.upstream.connectionCount == 1)
    }
  }

  @Test func `HEAD and 304 of our own have no body`() throws {
    var script = Script()
    script.received = { x, _ in x.respond(status: 200, body: Array("hello".utf8)) }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message(isHead: true)?.field("Content-Length") == "5")
      #expect(client.message()?.text == "hello")
    }
  }

  @Test func `a chunked answer stays chunked with its harmless trailers`() throws {
    let answer =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n"
      + "X-Check: 1\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n\r\n"
    try withRig(upstream: { $0.serve { _ in answer } }) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let message = try #require(client.message())
        #expect(message.text == "hello!")
        #expect(message.field("Transfer-Encoding") == "chunked")
        #expect(message.isComplete)
        #expect(!message.trailer.contains("Set-Cookie"))
        #expect(!message.trailer.contains("Content-Length"))
      }
      #expect(rig.upstream.connectionCount == 1)
    }
  }

  @Test func `request and answer trailers that mean nothing to us pass`() throws {
    try withRig(upstream: { connection in
      connection.serve { request in
        let trailer = request.trailer.replacing("\r\n", with: "|")
        return
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Seen: \(trailer)\r\n\r\n"
      }
    }) { rig in
      let client = rig.client()
      client.socket.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
          + "X-Sum: 7\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n")
      #expect(client.message()?.trailer == "X-Seen: X-Sum: 7|\r\n")
    }
  }

  @Test func `trailers that Connection names, or that only look unknown, do not pass`() throws {
    try withRig(upstream: { connection in
      connection.serve { request in
        let trailer = request.trailer.replacing("\r\n", with: "|")
        return
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Up\r\n\r\n1\r\na\r\n0\r\nX-Up: 1\r\nX-Seen: \(trailer)\r\n\r\n"
      }
    }) { rig in
      let client = rig.client()
      client.socket.send(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
          + "X-Sum: 7\r\nx-hop: 1\r\nRemote_User: root\r\n\r\n")
      #expect(client.message()?.trailer == "X-Seen: X-Sum: 7|\r\n")
    }
  }

  @Test func `an answer that ends with the connection is chunked for the client`() throws {
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send("HTTP/1.1 200 OK\r\n\r\nall of it")
    }) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let message = try #require(client.message())
        #expect(message.text == "all of it")
        #expect(message.isComplete)
      }
      #expect(rig.upstream.connectionCount == 2)
    }
  }

  @Test func `an HTTP 1 point 0 client gets no chunks and a closed connection`() throws {
    try withRig(upstream: { connection in
      connection.serve { _ in
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
      }
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      let message = try #require(client.message())
      #expect(message.field("Transfer-Encoding") == nil)
      #expect(message.field("Connection") == "close")
      #expect(message.text == "hello")
    }
  }

  @Test func `an HTTP 1 point 0 client may keep the connection when the length is known`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let message = try #require(client.message())
        #expect(message.field("Connection") == "keep-alive")
        #expect(message.text == "/x ")
      }
    }
  }

  @Test func `a client that asks to close is closed after its answer`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      #expect(client.message()?.field("Connection") == "close")
      #expect(client.endsCleanly())
    }
  }

  @Test func `interim answers are swallowed`() throws {
    try withRig(upstream: { connection in
      connection.serve { _ in
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
          + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
      }
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      let message = try #require(client.message())
      #expect(message.status == 200)
      #expect(message.text == "ok")
    }
  }

  @Test func `a large body passes whole in both directions`() throws {
    let size = 3_000_000
    try withRig(upstream: { connection in
      connection.serve { request in
        "HTTP/1.1 200 OK\r\nContent-Length: \(request.body.count)\r\n\r\n\(request.text)"
      }
    }) { rig in
      let client = rig.client()
      let body = String(repeating: "0123456789", count: size / 10)
      for framing in [
        "Content-Length: \(size)\r\n\r\n\(body)",
        "Transfer-Encoding: chunked\r\n\r\n\(String(size, radix: 16))\r\n\(body)\r\n0\r\n\r\n",
      ] {
        client.socket.send("POST / HTTP/1.1\r\nHost: a\r\n\(framing)")
        let message = try #require(client.message())
        #expect(message.body.count == size)
        #expect(message.text == body)
      }
    }
  }

  @Test func `a collected answer is handed over whole and sent with its length`() throws {
    var script = Script()
    script.answerHead = { _, _ in .collect(limit: 100) }
    script.answerCollected = { x, _ in
      Pass.answer(x)
      x.answerBody.append("!" as StaticString)
      x.relayCollected()
    }
    try withRig(
      script: script,
      upstream: { connection in
        connection.serve { _ in "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" }
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      let message = try #require(client.message())
      #expect(message.text == "ok!")
      #expect(message.field("Content-Length") == "3")
    }
  }

  @Test(arguments: [true, false])
  func `an answer too long to collect streams on`(isChunked: Bool) throws {
    var script = Script()
    script.answerHead = { _, _ in .collect(limit: 10) }
    let body = String(repeating: "abc", count: 1000)
    let framing =
      isChunked
      ? "Transfer-Encoding: chunked\r\n\r\nbb8\r\n\(body)\r\n0\r\n\r\n"
      : "Content-Length: 3000\r\n\r\n\(body)"
    try withRig(script: script, upstream: { $0.serve { _ in "HTTP/1.1 200 OK\r\n\(framing)" } }) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let message = try #require(client.message())
        #expect(message.text == body)
        #expect(message.isComplete)
      }
      #expect(rig.journal.count("answer too long") == 2)
      #expect(rig.upstream.connectionCount == 1)
    }
  }

  @Test func `a refused answer is forgotten and the request sent again`() throws {
    var script = Script()
    script.answerHead = { x, pool in
      guard x.answer.status == 401 else {
        Pass.answer(x)
        return .relay
      }
      Pass.request(x)
      x.upstreamHead.append("Authorization: Bearer new\r\n" as StaticString)
      x.forward(to: pool)
      return .discard
    }
    try withRig(
      script: script,
      upstream: { connection in
        connection.serve { request in
          request.field("Authorization") == nil
            ? "HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\nnope"
            : "HTTP/1.1 200 OK\r\nContent-Length: \(request.body.count)\r\n\r\n\(request.text)"
        }
      }
    ) { rig in
      let client = rig.client()
      for _ in 0..<3 {
        client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        #expect(client.message()?.text == "body")
      }
      #expect(rig.upstream.connectionCount == 1)
      #expect(rig.journal.waits(for: "attempts 2", times: 3))
    }
  }

  @Test func `a streaming answer of our own is chunked`() throws {
    var script = Script()
    script.received = { x, _ in
      x.startStream(status: 200) { $0.append("X-A: b\r\n" as StaticString) }
      x.sendStream(Array("one".utf8))
      x.sendStream([])
      x.sendStream(Array("two".utf8))
      x.endStream()
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let message = try #require(client.message())
        #expect(message.text == "onetwo")
        #expect(message.isComplete)
        #expect(message.field("X-A") == "b")
      }
    }
  }
}
