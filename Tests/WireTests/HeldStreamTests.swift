import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// Streams that are held open while somebody makes up their mind, and what may happen meanwhile.
@Suite struct HeldStreamTests {
  /// Refuses until `n` requests have come, then echoes.
  private static func refusing(_ n: Int) -> @Sendable (ScriptedUpstream.Connection) -> Void {
    { connection in
      var count = 0
      connection.serve { request in
        count += 1
        return count <= n
          ? HeldStream.answer("no", status: 403) : HeldStream.answer("\(count) \(request.text)")
      }
    }
  }

  @Test(arguments: [
    "Content-Length: 4\r\n\r\ncall", "Transfer-Encoding: chunked\r\n\r\n2\r\nca\r\n2\r\nll\r\n0\r\n\r\n",
  ])
  func `a refused request becomes a stream and is sent once more when it is time`(rest: String) throws {
    let aside = Aside()
    var script = HeldStream.script()
    script.bodyCollected = { x, pool, _ in
      Pass.request(x)
      x.forward(to: pool)
    }
    script.answerHead = { x, _ in
      guard x.answer.status == 403 else { return .relay }
      if !x.isLocalStream { HeldStream.begin(x, keepAlive: .milliseconds(20)) }
      aside.put(x)
      return .discard
    }
    try withRig(script: script, upstream: Self.refusing(2)) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\n\(rest)")
      #expect(client.head()?.field("Content-Type") == "text/event-stream")
      for attempt in 1...2 {
        for _ in 0..<3 { #expect(client.chunk() == HeldStream.comment) }
        #expect(rig.journal.waits(for: "answer 403", times: attempt))
        aside.act(rig) { x, pool in
          #expect(x.isLocalStream && x.canReplay)
          // The stream has begun: there is no other answer.
          x.respond(status: 500)
          x.forward(to: pool)
          x.relayCollected()
          x.forwardIntoStream(to: pool)
        }
      }
      var text = ""
      while let chunk = client.chunk() { if chunk != HeldStream.comment { text += chunk } }
      #expect(text == HeldStream.event("3 call"))
      #expect(rig.journal.waits(for: "attempts 3"))
      #expect(rig.upstream.connectionCount == 1)
      #expect(aside.act(rig) { x, _ in x.isLocalStream } == false)
    }
  }

  @Test func `a refusal may be followed by the next attempt at once`() throws {
    let script = HeldStream.script()
    for beginsLate in [true, false] {
      var script = script
      if beginsLate {
        script.bodyCollected = { x, pool, _ in
          Pass.request(x)
          x.forward(to: pool)
        }
      }
      script.answerHead = { x, pool in
        guard x.answer.status == 403 else { return .relay }
        if !x.isLocalStream { HeldStream.begin(x) }
        x.sendStream(Array("data: again\n\n".utf8))
        x.forwardIntoStream(to: pool)
        return .discard
      }
      try withRig(script: script, upstream: Self.refusing(2)) { rig in
        let client = rig.client()
        client.socket.send(HeldStream.post)
        let again = "data: again\n\n"
        let begin = beginsLate ? "" : ": wait\n\n"
        #expect(client.message()?.text == begin + again + again + HeldStream.event("3 call"))
      }
    }
  }

  @Test func `a collected answer is changed, kept for later, or left for another`() throws {
    let aside = Aside()
    var script = HeldStream.script { _ in .collect(limit: 100) }
    script.answerCollected = { x, _ in
      let body = x.answerBody.string(0..<x.answerBody.count)
      guard body.hasPrefix("3") else { return aside.put(x) }
      x.answerBody.removeAll()
      x.answerBody.append("{\n}")
      x.relayCollected()
    }
    try withRig(script: script, upstream: Self.refusing(1)) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(rig.journal.waits(for: "answer collected"))
      aside.act(rig) { x, pool in x.forwardIntoStream(to: pool) }
      #expect(rig.journal.waits(for: "answer collected", times: 2))
      aside.act(rig) { x, _ in
        x.sendStream(Array(": thought\n\n".utf8))
        x.relayCollected()
      }
      #expect(client.message()?.text == ": wait\n\n: thought\n\n" + HeldStream.event("2 call"))
      client.socket.send(HeldStream.post)
      #expect(client.message()?.text == ": wait\n\n" + HeldStream.event("{\ndata: }"))
    }
  }

  @Test func `an answer too long to collect may be dropped for an event of ours`() throws {
    var script = HeldStream.script { _ in .collect(limit: 3) }
    script.answerTooLong = { x, _ in
      x.sendStream(Array("data: too long\n\n".utf8))
      x.endStream()
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      for _ in 0..<2 {
        client.socket.send(HeldStream.post)
        #expect(client.message()?.text == ": wait\n\ndata: too long\n\n")
      }
      #expect(rig.eventually { $1.busyCount == 0 })
    }
  }

  @Test func `an upstream that gives no answer leaves the stream to the handler`() throws {
    let (refused, port) = RawSocket.bound()
    defer { refused.shutdownBoth() }
    let cases: [(UInt16?, String, String)] = [
      (port, "", "connect"), (nil, "", "closedEarly"), (nil, "HTTP/2 200 OK\r\n\r\n", "badResponse"),
    ]
    for (port, answer, kind) in cases {
      try withRig(
        script: HeldStream.script(), settings: { if let port { $0.port = port } },
        upstream: { connection in
          _ = connection.reader.message()
          connection.socket.send(answer)
        }
      ) { rig in
        let client = rig.client()
        for _ in 0..<2 {
          client.socket.send(HeldStream.post)
          let message = client.message()
          #expect(message?.text == ": wait\n\ndata: \(kind)\n\n")
          #expect(message?.isComplete == true)
        }
      }
    }
  }

  @Test func `an upstream that is silent for too long is a failure, not a cut`() throws {
    let script = HeldStream.script()
    try withRig(
      script: script, settings: { $0.responseHeadersTimeout = .milliseconds(30) },
      upstream: { _ = $0.reader.rest() }
    ) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(client.message()?.text == ": wait\n\ndata: timeoutHeaders\n\n")
    }
  }

  @Test(arguments: [ClientGonePolicy.abortUpstream, .drainUpstream])
  func `a client that leaves is told to the upstream, or not`(policy: ClientGonePolicy) throws {
    let (upstream, go) = (Journal(), Journal())
    var script = HeldStream.script()
    let begin = script.bodyCollected
    script.bodyCollected = { x, pool, complete in
      x.onClientGone = policy
      begin(x, pool, complete)
    }
    try withRig(
      script: script,
      upstream: { connection in
        connection.serve { _ in
          upstream.add("request")
          guard policy == .drainUpstream else {
            while connection.reader.more() {}
            upstream.add("ended")
            return nil
          }
          return go.waits(for: "go") ? HeldStream.answer("late") : nil
        }
      }
    ) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(upstream.waits(for: "request"))
      client.socket.shutdownBoth()
      #expect(rig.journal.waits(for: "gone"))
      if policy == .abortUpstream {
        #expect(upstream.waits(for: "ended"))
      } else {
        #expect(rig.journal.count("finished clientGone") == 0)
        go.add("go")
      }
      #expect(rig.journal.waits(for: "finished clientGone"))
      let kept = policy == .drainUpstream ? 1 : 0
      #expect(
        rig.eventually { server, pool in
          server.connectionCount == 0 && pool.busyCount == 0 && pool.idleCount == kept
        })
    }
  }

  @Test func `a stream is ended by its handler, and the request that waits is abandoned`() throws {
    let (aside, upstream) = (Aside(), Journal())
    var script = HeldStream.script()
    let begin = script.bodyCollected
    script.bodyCollected = { x, pool, complete in
      aside.put(x)
      begin(x, pool, complete)
    }
    try withRig(
      script: script,
      upstream: { connection in
        _ = connection.reader.message()
        upstream.add("request")
        while connection.reader.more() {}
        upstream.add("ended")
      }
    ) { rig in
      let client = rig.client()
      for i in 1...2 {
        client.socket.send(HeldStream.post)
        #expect(upstream.waits(for: "request", times: i))
        aside.act(rig) { x, _ in
          x.sendStream(Array("data: enough\n\n".utf8))
          x.endStream()
          x.endStream()
        }
        #expect(client.message()?.text == ": wait\n\ndata: enough\n\n")
        #expect(upstream.waits(for: "ended", times: i))
      }
      #expect(rig.eventually { $1.busyCount == 0 })
      // A server that stops ends it in the same way.
      client.socket.send(HeldStream.post)
      #expect(upstream.waits(for: "request", times: 3))
      rig.with { server, _ in server.stop() }
      #expect(client.message()?.isComplete == true)
      #expect(upstream.waits(for: "ended", times: 3))
    }
  }

  @Test func `a stream of ours shows that it is alive, and one without an interval does not`() throws {
    let aside = Aside()
    var script = Script()
    script.received = { x, _ in
      HeldStream.begin(x, keepAlive: x.request.method == .get ? .milliseconds(10) : nil)
      aside.put(x)
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.head() != nil)
      for _ in 0..<3 { #expect(client.chunk() == HeldStream.comment) }
      aside.act(rig) { x, _ in x.sendStream(Array("data: x\n\n".utf8)) }
      var chunk = client.chunk()
      while chunk == HeldStream.comment { chunk = client.chunk() }
      #expect(chunk == "data: x\n\n")
      #expect(client.chunk() == HeldStream.comment)
      aside.act(rig) { x, _ in x.endStream() }
      #expect(client.through("0\r\n\r\n") != nil)
      #expect(rig.journal.waits(for: "finished complete"))
      // The timer of the stream before it is still armed and has nothing to say here.
      client.socket.send("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(rig.journal.waits(for: "received", times: 2))
      #expect(client.head() != nil)
      let other = rig.client()
      other.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(other.head() != nil)
      for _ in 0..<5 { #expect(other.chunk() == HeldStream.comment) }
      #expect(client.pending.isEmpty)
    }
  }
}
