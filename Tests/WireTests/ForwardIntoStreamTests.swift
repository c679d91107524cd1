import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// An upstream's answer inside a stream that has begun.
@Suite struct ForwardIntoStreamTests {
  private static let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

  @Test(arguments: [
    HeldStream.answer("{\n\"a\": 1\r\n}", fields: "Content-Type: application/json\r\n"),
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\n\"a\":\r\n5\r\n 1\r\n}\r\n0\r\n\r\n",
    "HTTP/1.1 500 No\r\n\r\n{\n\"a\": 1\r\n}",
  ])
  func `a body goes as one event, and the connection is used again`(answer: String) throws {
    try withRig(
      script: HeldStream.script(),
      upstream: { connection in
        while connection.reader.message()?.text == "call" {
          connection.socket.send(answer)
          // Its end is the body's.
          if answer.hasPrefix("HTTP/1.1 500") { return }
        }
      }
    ) { rig in
      let client = rig.client()
      // Pipelined: the second is served when the stream has ended.
      client.socket.send(HeldStream.post + HeldStream.post)
      for _ in 0..<2 {
        let message = try #require(client.message())
        #expect(message.field("Content-Type") == "text/event-stream")
        #expect(message.text == ": wait\n\n" + HeldStream.event("{\ndata: \"a\": 1\ndata: }"))
        #expect(message.isComplete)
      }
      #expect(rig.journal.waits(for: "finished complete", times: 2))
      #expect(rig.eventually { server, pool in server.exchangeCount == 0 && pool.busyCount == 0 })
    }
  }

  @Test func `a stream leaves nothing behind for the next request of the connection`() throws {
    var script = HeldStream.script(keepAlive: .milliseconds(1))
    let into = script.bodyCollected
    script.bodyCollected = { x, pool, complete in
      guard x.request.method == .get else { return into(x, pool, complete) }
      Pass.request(x)
      x.forward(to: pool)
    }
    script.answerHead = { x, _ in
      Pass.answer(x)
      return .relay
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      for i in 0..<3 {
        client.socket.send("GET /\(i) HTTP/1.1\r\nHost: a\r\n\r\n" + HeldStream.post)
        let plain = client.message()
        #expect(plain?.text == "/\(i) ")
        #expect(plain?.field("Content-Length") == "3")
        #expect(client.message()?.text.hasSuffix(HeldStream.event("/mcp call")) == true)
      }
      #expect(rig.upstream.connectionCount == 1)
    }
  }

  @Test(arguments: ["HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"])
  func `an answer without a body makes no event`(answer: String) throws {
    for plan in [AnswerPlan.relay, .relayEvents(maxEventBytes: 100, keepAlive: nil), .collect(limit: 10)] {
      try withRig(
        script: HeldStream.script { _ in plan }, upstream: { $0.serve { _ in answer } }
      ) { rig in
        let client = rig.client()
        client.socket.send(HeldStream.post)
        let message = client.message()
        #expect(message?.text == ": wait\n\n")
        #expect(message?.isComplete == true)
      }
    }
  }

  @Test func `a long body passes whole, relayed or collected in part`() throws {
    let body = String(repeating: "0123456789abcde\n", count: 65_536)
    let data = String(repeating: "0123456789abcde\ndata: ", count: 65_536)
    for plan in [AnswerPlan.relay, .collect(limit: 1000), .collect(limit: 2_000_000)] {
      for isChunked in [true, false] {
        try withRig(
          script: HeldStream.script { _ in plan },
          upstream: { connection in
            _ = connection.reader.message()
            if isChunked {
              connection.socket.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n\(body)\r\n0\r\n\r\n")
            } else {
              connection.socket.send(HeldStream.answer(body))
            }
          }
        ) { rig in
          let client = rig.client()
          client.socket.send(HeldStream.post)
          let message = client.message()
          #expect(message?.text == ": wait\n\n" + HeldStream.event(data))
          #expect(message?.isComplete == true)
        }
      }
    }
  }

  /// Answers with a gzip coded body, the last `missing` bytes of it left out.
  private static func coded(
    _ body: String, as coding: String = "gzip", missing: Int = 0
  ) -> @Sendable (ScriptedUpstream.Connection) -> Void {
    { connection in
      _ = connection.reader.message()
      guard let bytes = try? ContentEncoder.gzip(Array(body.utf8)).dropLast(missing) else { return }
      connection.socket.send(
        "HTTP/1.1 200 OK\r\nContent-Encoding: \(coding)\r\nContent-Length: \(bytes.count)\r\n\r\n")
      connection.socket.send(Array(bytes))
      _ = connection.reader.more()
    }
  }

  @Test func `a coded body is decoded, relayed or collected in part`() throws {
    for plan in [AnswerPlan.relay, .collect(limit: 3)] {
      try withRig(script: HeldStream.script { _ in plan }, upstream: Self.coded("{\n}")) { rig in
        let client = rig.client()
        client.socket.send(HeldStream.post)
        #expect(client.message()?.text == ": wait\n\n" + HeldStream.event("{\ndata: }"))
      }
    }
  }

  @Test func `an unknown coding is a failure, since a stream cannot name one`() throws {
    let plans = [
      AnswerPlan.relay, .relayEvents(maxEventBytes: 100, keepAlive: nil), .collect(limit: 3),
    ]
    for plan in plans {
      try withRig(script: HeldStream.script { _ in plan }, upstream: Self.coded("{}", as: "br")) { rig in
        let client = rig.client()
        client.socket.send(HeldStream.post)
        #expect(client.message()?.text == ": wait\n\ndata: badResponse\n\n")
      }
    }
  }

  @Test func `a coded body that is cut off does not look complete`() throws {
    try withRig(script: HeldStream.script(), upstream: Self.coded("{\"a\": 1}", missing: 4)) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(client.message()?.isComplete == false)
      #expect(rig.journal.waits(for: "finished answerTruncated"))
    }
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{\"a\":",
  ])
  func `a body that breaks off cuts the client off`(answer: String) throws {
    let closed = [
      (AnswerPlan.relay, "finished answerTruncated"),
      (.relayEvents(maxEventBytes: 100, keepAlive: nil), "finished answerTruncated"),
      // Nothing of it has passed: the handler can still say so.
      (.collect(limit: 200), "failed closedEarly"),
    ]
    for (plan, outcome) in closed {
      try withRig(
        script: HeldStream.script { _ in plan },
        upstream: { connection in
          _ = connection.reader.message()
          connection.socket.send(answer)
        }
      ) { rig in
        let client = rig.client()
        client.socket.send(HeldStream.post)
        let message = client.message()
        #expect(rig.journal.waits(for: outcome))
        #expect(message?.isComplete == (outcome == "failed closedEarly"))
      }
    }
  }

  @Test func `events pass as they come behind comments, without their byte order mark`() throws {
    let steps = Journal()
    var script = HeldStream.script(keepAlive: .milliseconds(20)) { _ in
      .relayEvents(maxEventBytes: 1000, keepAlive: nil)
    }
    script.event = { _, event in event == "data: 1\n\n" ? .replace(Array("data: eins\n\n".utf8)) : .pass }
    try withRig(
      script: script,
      upstream: { connection in
        _ = connection.reader.message()
        guard steps.waits(for: "waited") else { return }
        connection.socket.send(Self.events + "\r\n\u{FEFF}data: 0\n\n")
        guard steps.waits(for: "seen 0") else { return }
        connection.socket.send("data: 1\n\n")
        guard steps.waits(for: "seen 1") else { return }
        connection.socket.send("data: rest")
      }
    ) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(client.through("\r\n\r\n") != nil)
      #expect(client.chunk() == ": wait\n\n")
      // While the upstream has not answered.
      #expect(client.chunk() == HeldStream.comment)
      steps.add("waited")
      #expect(next(client) == "data: 0\n\n")
      // Between its events, for which the plan names no interval.
      #expect(client.chunk() == HeldStream.comment)
      steps.add("seen 0")
      #expect(next(client) == "data: eins\n\n")
      steps.add("seen 1")
      #expect(next(client) == "data: rest")
      #expect(client.through("0\r\n\r\n") == "0\r\n\r\n")
      #expect(rig.journal.waits(for: "finished complete"))
    }
  }

  /// The next chunk that is no comment.
  private func next(_ client: MessageReader) -> String? {
    while let chunk = client.chunk() { if chunk != HeldStream.comment { return chunk } }
    return nil
  }

  @Test func `an HTTP 1.0 client reads until the connection closes`() throws {
    try withRig(script: HeldStream.script(), upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\ncall")
      let message = client.message()
      #expect(message?.field("Transfer-Encoding") == nil)
      #expect(message?.text == ": wait\n\n" + HeldStream.event("/ call"))
      #expect(message?.isComplete == true)
    }
  }

  @Test func `a request that is not wholly held is not sent into a stream`() throws {
    var script = HeldStream.script()
    let begin = script.bodyCollected
    script.received = { x, pool in begin(x, pool, false) }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nca")
      #expect(client.message()?.text == ": wait\n\ndata: closedEarly\n\n")
      #expect(rig.upstream.connectionCount == 0)
    }
  }
}
