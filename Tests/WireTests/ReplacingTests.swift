import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// Requests that a handler gives another content, and relayed streams that it goes on with itself.
@Suite struct ReplacingTests {
  /// Every request becomes another one, `change` says which, and goes upstream.
  private static func script(_ change: @escaping @Sendable (Exchange) -> Bool) -> Script {
    var script = Script()
    script.received = { x, _ in x.collectBody(limit: 1_000_000) }
    script.bodyCollected = { x, pool, _ in
      guard change(x) else { return x.respond(status: 400) }
      Pass.request(x)
      x.forward(to: pool)
    }
    script.answerHead = { x, _ in
      Pass.answer(x)
      return .relay
    }
    return script
  }

  @Test(arguments: [
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ncall",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ncall\r\n0\r\n\r\n",
  ])
  func `a body is replaced, and what was sent behind it is served all the same`(request: String) throws {
    for body in ["", "x", String(repeating: "long", count: 50_000)] {
      try withRig(script: Self.script { $0.replaceBody(Array(body.utf8)) }, upstream: echo) { rig in
        let client = rig.client()
        client.socket.send(request + request)
        for _ in 0..<2 { #expect(client.message()?.text == "/a " + body) }
      }
    }
  }

  @Test func `a request is replaced with its head, and the connection goes on`() throws {
    let head = Array("POST /kept HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\n".utf8)
    try withRig(
      script: Self.script { $0.replaceRequest(head: head, body: Array("again".utf8)) }, upstream: echo
    ) { rig in
      let client = rig.client()
      let fetch = "POST /fetch HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
      client.socket.send(fetch + fetch)
      for _ in 0..<2 { #expect(client.message()?.text == "/kept again") }
    }
  }

  @Test func `a client that wanted to be left is`() throws {
    let head = Array("GET /kept HTTP/1.1\r\nHost: b\r\n\r\n".utf8)
    try withRig(script: Self.script { $0.replaceRequest(head: head, body: []) }, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST /fetch HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
      let message = client.message()
      #expect(message?.text == "/kept ")
      #expect(message?.field("Connection") == "close")
    }
  }

  @Test(arguments: ["", "GET / HTTP/1.1\r\n", "nonsense\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\nmore"])
  func `what is no head replaces nothing`(head: String) throws {
    try withRig(
      script: Self.script { $0.replaceRequest(head: Array(head.utf8), body: []) }, upstream: echo
    ) { rig in
      let client = rig.client()
      client.socket.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.status == 400)
    }
  }

  // MARK: Taking over

  /// The second event of a stream is not passed: the handler goes on, and sends the request once more.
  private static func takeOver(keeps: Bool) -> Script {
    var script = Script()
    script.received = { x, _ in x.collectBody(limit: 1_000_000) }
    script.bodyCollected = { x, pool, _ in
      Pass.request(x)
      x.forward(to: pool)
    }
    script.answerHead = { x, _ in
      if x.isLocalStream { return .relay }
      Pass.answer(x)
      x.keepsRequest = keeps
      return .relayEvents(maxEventBytes: 1000, keepAlive: nil)
    }
    script.event = { x, text in
      guard text.contains("refused") else { return .pass }
      return .takeOver(Array("id: 7\n\n".utf8))
    }
    script.upstreamFailed = { x, failure in
      x.sendStream(Array("data: \(failure.kind)\n\n".utf8))
      x.endStream()
    }
    return script
  }

  @Test func `a relayed stream becomes the handler's, and the request goes upstream again`() throws {
    let aside = Aside()
    var script = Self.takeOver(keeps: true)
    let event = script.event
    script.event = { x, text in
      aside.put(x)
      return event(x, text)
    }
    try withRig(
      script: script,
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(
          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\ndata: refused\n\n")
        _ = connection.reader.rest()
      }
    ) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(client.head() != nil)
      #expect(client.chunk() == "data: first\n\nid: 7\n\n")
      #expect(rig.eventually { server, pool in server.exchangeCount == 1 && pool.busyCount == 0 })
      #expect(aside.act(rig) { x, _ in x.isLocalStream && x.canReplay } == true)
      aside.act(rig) { x, _ in
        x.sendStream(Array("data: mine\n\n".utf8))
        x.endStream()
      }
      #expect(client.chunk() == "data: mine\n\n")
      #expect(rig.journal.waits(for: "finished complete", times: 1))
    }
  }
}
