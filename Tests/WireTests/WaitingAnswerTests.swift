import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// What waits for a later turn of the loop.
private func later(_ x: Exchange, _ action: @escaping @Sendable (Exchange) -> Void) {
  let bound = LoopBound(x, on: x.loop)
  let number = x.sequence
  // Twice around, so that whatever else is ready comes first.
  x.loop.execute {
    bound.loop.execute { if bound.value.sequence == number { action(bound.value) } }
  }
}

@Suite struct WaitingAnswerTests {
  static func script(_ plan: AnswerPlan) -> Script {
    var script = Script()
    script.answerHead = { x, _ in
      later(x) { x in
        Pass.answer(x)
        x.proceed(with: plan)
        // Nothing waits any more.
        x.proceed(with: .discard)
      }
      return .wait
    }
    return script
  }

  @Test func `an answer that waits for its plan passes whole, and the connections are used again`() throws {
    try withRig(script: Self.script(.relay), upstream: echo) { rig in
      let client = rig.client()
      for i in 0..<5 {
        client.socket.send("POST /\(i) HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nping")
        #expect(client.message()?.text == "/\(i) ping")
      }
      #expect(rig.upstream.connectionCount == 1)
      #expect(rig.journal.waits(for: "finished complete", times: 5))
    }
  }

  @Test func `it may be collected, too`() throws {
    try withRig(script: Self.script(.collect(limit: 100)), upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "/x ")
      #expect(rig.journal.count("answer collected") == 1)
    }
  }

  @Test func `events pass after a wait, also those that came with the head`() throws {
    let plan = AnswerPlan.relayEvents(maxEventBytes: 1000, keepAlive: nil)
    let answer =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 22\r\n\r\ndata: one\n\ndata: two\n\n"
    try withRig(script: Self.script(plan), upstream: { $0.serve { _ in answer } }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "data: one\n\ndata: two\n\n")
    }
  }

  @Test func `the handler may answer itself instead`() throws {
    var script = Script()
    script.answerHead = { x, _ in
      later(x) { $0.respond(status: 503, body: Array("no".utf8)) }
      return .wait
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = client.message()
        #expect(answer?.status == 503 && answer?.text == "no")
      }
      #expect(rig.journal.waits(for: "finished complete", times: 2))
    }
  }

  @Test func `a client that leaves while its answer waits ends the exchange`() throws {
    var script = Script()
    script.answerHead = { _, _ in .wait }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(rig.journal.waits(for: "answer 200"))
      client.socket.reset()
      #expect(rig.journal.waits(for: "gone"))
      #expect(rig.journal.waits(for: "finished clientGone"))
    }
  }
}
