import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

@Suite struct EventStreamTests {
  private static let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

  private func script(
    max: Int = 1000, keepAlive: Duration? = nil,
    _ event: @escaping @Sendable (Exchange, String) -> EventVerdict = { _, _ in .pass }
  ) -> Script {
    var script = Script()
    script.answerHead = { x, _ in
      Pass.answer(x)
      return .relayEvents(maxEventBytes: max, keepAlive: keepAlive)
    }
    script.event = event
    return script
  }

  @Test func `head and events arrive the moment they are there`() throws {
    let steps = Journal()
    try withRig(
      script: script(),
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(Self.head + "Transfer-Encoding: chunked\r\n\r\n")
        for i in 0..<3 {
          // Not before the client has seen everything so far.
          guard steps.waits(for: "seen \(i)") else { return }
          let event = "id: \(i)\ndata: x\n\n"
          connection.socket.send("\(String(event.utf8.count, radix: 16))\r\n\(event)\r\n")
        }
        guard steps.waits(for: "seen 3") else { return }
        connection.socket.send("0\r\n\r\n")
        _ = connection.reader.rest()
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.head()?.field("Content-Type") == "text/event-stream")
      for i in 0..<3 {
        steps.add("seen \(i)")
        #expect(client.chunk() == "id: \(i)\ndata: x\n\n")
      }
      steps.add("seen 3")
      #expect(client.through("0\r\n\r\n") == "0\r\n\r\n")
      #expect(rig.journal.waits(for: "finished complete"))
    }
  }

  @Test func `an event in pieces is held until it is whole, and every byte passes`() throws {
    let events = "\u{FEFF}: c\r\n\r\nid: 1\ndata: a\ndata: b\n\nretry: 5\r\rdata: unfinished"
    let seen = Journal()
    try withRig(
      script: script { _, event in
        seen.add(event)
        return .pass
      },
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(Self.head + "Connection: close\r\n\r\n")
        for byte in events.utf8 { connection.socket.send([byte]) }
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      let message = client.message()
      #expect(message?.text == events)
      #expect(message?.isComplete == true)
      #expect(seen.all.contains("id: 1\ndata: a\ndata: b\n\n"))
    }
  }

  @Test func `an event can be replaced, and the stream ended, with a length known or not`() throws {
    let body = "data: one\n\ndata: two\n\ndata: three\n\n"
    for framing in [
      "Content-Length: \(body.utf8.count)\r\n\r\n\(body)",
      "Transfer-Encoding: chunked\r\n\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n",
    ] {
      try withRig(
        script: script { _, event in
          switch event {
          case "data: one\n\n": .replace(Array("data: eins\n\n".utf8))
          default: .end(Array("data: end\n\n".utf8))
          }
        },
        upstream: { connection in
          _ = connection.reader.message()
          connection.socket.send(Self.head + framing)
          _ = connection.reader.rest()
        }
      ) { rig in
        let client = rig.client()
        for _ in 0..<2 {
          client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
          let message = client.message()
          #expect(message?.text == "data: eins\n\ndata: end\n\n")
          #expect(message?.isComplete == true)
          #expect(rig.eventually { $1.busyCount == 0 && $1.idleCount == 0 })
        }
      }
    }
  }

  @Test func `an event beyond the limit passes unseen`() throws {
    let long = "data: \(String(repeating: "y", count: 5000))\n\n"
    let seen = Journal()
    try withRig(
      script: script(max: 100) { _, event in
        seen.add(event)
        return .pass
      },
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(Self.head + "\r\ndata: a\n\n" + long + "data: b\n\n")
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "data: a\n\n" + long + "data: b\n\n")
      #expect(seen.all == ["data: a\n\n", "data: b\n\n"])
    }
  }

  @Test func `a silent stream is kept alive by comments between events only`() throws {
    let steps = Journal()
    try withRig(
      script: script(keepAlive: .milliseconds(20)),
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(Self.head + "\r\ndata: a\n\n")
        guard steps.waits(for: "alive") else { return }
        connection.socket.send("data: b\n\n")
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      _ = client.head()
      #expect(client.chunk() == "data: a\n\n")
      #expect(client.chunk() == ": keep-alive\n\n")
      #expect(client.chunk() == ": keep-alive\n\n")
      steps.add("alive")
      var next = client.chunk()
      while next == ": keep-alive\n\n" { next = client.chunk() }
      #expect(next == "data: b\n\n")
    }
  }

  @Test func `a gzip coded stream is decoded event by event`() throws {
    let steps = Journal()
    try withRig(
      script: script(),
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(Self.head + "Content-Encoding: gzip\r\n\r\n")
        var encoder = ContentEncoder()
        for i in 0..<3 {
          var input = Buffer("data: \(i)\n\n")
          var output = Buffer()
          try? encoder.encode(&input, into: &output, flush: i < 2, end: i == 2)
          connection.socket.send(output.array())
          guard steps.waits(for: "seen \(i)") else { return }
        }
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.head()?.field("Content-Encoding") == nil)
      for i in 0..<3 {
        #expect(client.chunk() == "data: \(i)\n\n")
        steps.add("seen \(i)")
      }
      #expect(client.through("0\r\n\r\n") != nil)
    }
  }

  @Test func `a client that leaves ends the upstream stream`() throws {
    let upstream = Journal()
    try withRig(
      script: script(),
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(Self.head + "\r\ndata: a\n\n")
        while connection.reader.more() {}
        upstream.add("ended")
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      _ = client.head()
      #expect(client.chunk() == "data: a\n\n")
      client.socket.shutdownBoth()
      #expect(upstream.waits(for: "ended"))
      #expect(rig.journal.waits(for: "finished clientGone"))
    }
  }

  @Test func `a stream that breaks off inside a chunk does not look complete`() throws {
    try withRig(
      script: script(),
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send(
          Self.head + "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n20\r\ndata: b")
      }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      let message = client.message()
      #expect(message?.isComplete == false)
      #expect(rig.journal.waits(for: "finished answerTruncated"))
    }
  }
}
