import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

@Suite struct RequestBodyTests {
  private func collecting(_ limit: Int) -> Script {
    var script = Script()
    script.received = { x, _ in x.collectBody(limit: limit) }
    return script
  }

  @Test(arguments: [
    "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
  ])
  func `a collected body goes upstream with its length`(rest: String) throws {
    try withRig(
      script: collecting(5),
      upstream: { connection in
        connection.serve { request in
          let body = "\(request.field("Content-Length") ?? "-") \(request.text)"
          return "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        }
      }
    ) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("POST / HTTP/1.1\r\nHost: a\r\n\(rest)")
        #expect(client.message()?.text == "5 hello")
      }
      #expect(rig.journal.count("collected true") == 2)
    }
  }

  @Test(arguments: [
    "Content-Length: 6\r\n\r\nhello!", "Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n",
  ])
  func `a body longer than the limit still streams`(rest: String) throws {
    try withRig(script: collecting(5), upstream: echo) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("POST / HTTP/1.1\r\nHost: a\r\n\(rest)")
        #expect(client.message()?.text == "/ hello!")
      }
      #expect(rig.journal.count("collected false") == 2)
    }
  }

  @Test func `a body that trickles in is collected`() throws {
    try withRig(script: collecting(100), upstream: echo) { rig in
      let client = rig.client()
      for byte in "POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world".utf8 {
        client.socket.send([byte])
      }
      #expect(client.message()?.text == "/t hello world")
    }
  }

  @Test func `100 Continue is said when the body is wanted, and not before`() throws {
    try withRig(script: collecting(100), upstream: echo) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        #expect(client.head()?.status == 100)
        client.socket.send("hi")
        #expect(client.message()?.text == "/ hi")
      }
    }
  }

  @Test func `100 Continue is said when a body streams`() throws {
    try withRig(upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
      #expect(client.head()?.status == 100)
      client.socket.send("hi")
      #expect(client.message()?.text == "/ hi")
    }
  }

  @Test func `a body nobody waited for is not called for, and the connection closes`() throws {
    var script = Script()
    script.received = { x, _ in x.respond(status: 403) }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
      let answer = client.message()
      #expect(answer?.status == 403)
      #expect(answer?.field("Connection") == "close")
      #expect(client.endsCleanly())
    }
  }

  @Test func `a short unread body is thrown away and the connection kept`() throws {
    var script = Script()
    script.received = { x, _ in x.respond(status: 403) }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
      #expect(client.message()?.status == 403)
      client.socket.send("67890GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 403)
      #expect(rig.journal.waits(for: "finished complete", times: 2))
    }
  }

  @Test func `a long unread body closes the connection after the answer has been read`() throws {
    var script = Script()
    script.received = { x, _ in x.respond(status: 403, body: Array("no".utf8)) }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
      client.socket.send([UInt8](repeating: 65, count: 500_000))
      let answer = client.message()
      #expect(answer?.text == "no")
      #expect(answer?.field("Connection") == "close")
    }
  }

  @Test func `a malformed chunk while streaming is answered and closes everything`() throws {
    try withRig(upstream: { connection in
      // Never answers: the request never ends.
      _ = connection.reader.rest()
    }) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n")
      let answer = client.message()
      #expect(answer?.status == 400)
      #expect(answer?.field("Connection") == "close")
      #expect(rig.journal.waits(for: "failed requestMalformed"))
      #expect(rig.eventually { $1.busyCount == 0 })
    }
  }

  @Test func `a streamed body over its limit is cut off`() throws {
    var script = Script()
    script.received = { x, pool in
      x.bodyLimit = 1000
      Pass.request(x)
      x.forward(to: pool)
    }
    try withRig(script: script, upstream: { _ = $0.reader.rest() }) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
      for _ in 0..<3 { client.socket.send("200\r\n\(String(repeating: "x", count: 512))\r\n") }
      #expect(client.message()?.status == 413)
    }
  }

  @Test func `an early answer reaches the client while its body is still on the way`() throws {
    try withRig(upstream: { connection in
      _ = connection.reader.head()
      connection.socket.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
      _ = connection.reader.rest()
    }) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nsome of it")
      let answer = client.message()
      #expect(answer?.status == 413)
      #expect(answer?.text == "big")
      #expect(rig.journal.waits(for: "finished complete"))
      // Half a request stands on it: of no use for another one.
      #expect(rig.eventually { $1.busyCount == 0 && $1.idleCount == 0 })
    }
  }

  @Test func `request and answer stream at the same time`() throws {
    try withRig(upstream: { connection in
      _ = connection.reader.head()
      connection.socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      while let line = connection.reader.through("\r\n"), let size = Int(line.dropLast(), radix: 16) {
        if size == 0 { break }
        guard let data = connection.reader.take(size), connection.reader.take(2) != nil else { return }
        connection.socket.send("\(String(size, radix: 16))\r\n\(String(decoding: data, as: UTF8.self))\r\n")
      }
      connection.socket.send("0\r\n\r\n")
    }) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
      client.socket.send("1\r\na\r\n")
      #expect(client.head()?.status == 200)
      #expect(client.through("\r\n") == "1\r\n")
      #expect(client.through("\r\n") == "a\r\n")
      client.socket.send("1\r\nb\r\n0\r\n\r\n")
      #expect(client.through("0\r\n\r\n") == "1\r\nb\r\n0\r\n\r\n")
    }
  }

  @Test func `an upstream that answers and closes before it took the body is heard`() throws {
    try withRig(upstream: { connection in
      _ = connection.reader.head()
      connection.socket.send("HTTP/1.1 401 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
      connection.socket.shutdownWrite()
      _ = connection.reader.more()
    }) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
      let answer = client.message()
      #expect(answer?.status == 401)
      #expect(answer?.text == "no")
    }
  }

  @Test func `a client that stops inside its body is gone`() throws {
    try withRig(upstream: { _ = $0.reader.rest() }) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
      client.socket.shutdownWrite()
      #expect(rig.journal.waits(for: "gone"))
      #expect(rig.journal.waits(for: "finished clientGone"))
      #expect(rig.eventually { $1.busyCount == 0 && $0.connectionCount == 0 })
    }
  }

  @Test func `a body that stops coming is answered with 408`() throws {
    var timeouts = ServerTimeouts()
    timeouts.bodyStall = .milliseconds(50)
    try withRig(script: collecting(100), timeouts: timeouts, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
      let answer = client.message()
      #expect(answer?.status == 408)
      #expect(answer?.field("Connection") == "close")
    }
  }
}
