import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// Events of ours between those of an upstream.
@Suite struct InjectTests {
  private static let ours = "data: ours\n\n"

  /// Relays events and puts the exchange aside.
  private func script(
    _ aside: Aside, max: Int = 1000,
    _ event: @escaping @Sendable (Exchange, String) -> EventVerdict = { _, _ in .pass }
  ) -> Script {
    var script = Script()
    script.answerHead = { x, _ in
      Pass.answer(x)
      aside.put(x)
      return .relayEvents(maxEventBytes: max, keepAlive: nil)
    }
    script.event = event
    return script
  }

  /// Sends each piece when the test has seen what came before it, then ends the answer.
  private func pieces(
    _ steps: Journal, _ pieces: [String]
  ) -> @Sendable (ScriptedUpstream.Connection) -> Void {
    { connection in
      _ = connection.reader.message()
      connection.socket.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
      for (i, piece) in pieces.enumerated() {
        guard steps.waits(for: "step \(i)") else { return }
        connection.socket.send(piece)
      }
      _ = steps.waits(for: "end")
    }
  }

  private func inject(_ rig: Rig, _ aside: Aside) -> Bool? {
    aside.act(rig) { x, _ in x.inject(Array(Self.ours.utf8)) }
  }

  private func get(_ client: MessageReader) {
    client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(client.head()?.status == 200)
  }

  @Test func `while nothing comes and between two events it goes at once`() throws {
    let (aside, steps) = (Aside(), Journal())
    try withRig(
      script: script(aside), upstream: pieces(steps, ["\u{FEFF}data: a\n\n", "data: b\r\r"])
    ) { rig in
      let client = rig.client()
      get(client)
      #expect(inject(rig, aside) == true)
      #expect(client.chunk() == Self.ours)
      steps.add("step 0")
      // Its byte order mark would be part of a name here.
      #expect(client.chunk() == "data: a\n\n")
      for _ in 0..<2 {
        #expect(inject(rig, aside) == true)
        #expect(client.chunk() == Self.ours)
      }
      steps.add("step 1")
      #expect(client.chunk() == "data: b\r\r")
      steps.add("end")
      #expect(client.through("0\r\n\r\n") != nil)
      #expect(rig.journal.waits(for: "finished complete"))
      #expect(inject(rig, aside) == false)
    }
  }

  @Test func `an event that has come in part is held, and ours goes before it`() throws {
    let (aside, steps) = (Aside(), Journal())
    try withRig(
      script: script(aside), upstream: pieces(steps, ["data: a\n\ndata: b", "b\n\n"])
    ) { rig in
      let client = rig.client()
      get(client)
      steps.add("step 0")
      #expect(client.chunk() == "data: a\n\n")
      #expect(inject(rig, aside) == true)
      #expect(client.chunk() == Self.ours)
      steps.add("step 1")
      #expect(client.chunk() == "data: bb\n\n")
      steps.add("end")
      #expect(client.through("0\r\n\r\n") != nil)
    }
  }

  @Test func `an event too long to be held is not broken: ours goes right behind it`() throws {
    let (aside, steps) = (Aside(), Journal())
    let long = "data: \(String(repeating: "y", count: 500))"
    try withRig(
      script: script(aside, max: 100), upstream: pieces(steps, [long, "z\n", "\ndata: c\n\n"])
    ) { rig in
      let client = rig.client()
      get(client)
      steps.add("step 0")
      var begin = ""
      while begin.utf8.count < long.utf8.count, let chunk = client.chunk() { begin += chunk }
      #expect(begin == long)
      #expect(inject(rig, aside) == true)
      steps.add("step 1")
      #expect(client.chunk() == "z\n")
      #expect(inject(rig, aside) == true)
      steps.add("step 2")
      var end = ""
      while !end.hasSuffix("c\n\n"), let chunk = client.chunk() { end += chunk }
      #expect(end == "\n" + Self.ours + Self.ours + "data: c\n\n")
      steps.add("end")
      #expect(client.through("0\r\n\r\n") != nil)
    }
  }

  @Test func `while the handler looks at an event, ours goes right behind it`() throws {
    let (aside, steps) = (Aside(), Journal())
    let script = script(aside) { x, event in
      #expect(x.inject(Array("data: after \(event.dropFirst(6).prefix(1))\n\n".utf8)))
      return switch event {
      case "data: b\n\n": .replace(Array("data: B\n\n".utf8))
      case "data: c\n\n": .end(Array("data: last\n\n".utf8))
      default: .pass
      }
    }
    try withRig(
      script: script, upstream: pieces(steps, ["data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n"])
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      steps.add("step 0")
      #expect(
        client.message()?.text
          == "data: a\n\ndata: after a\n\ndata: B\n\ndata: after b\n\ndata: after c\n\ndata: last\n\n")
    }
  }

  @Test func `in a stream of ours it goes at once, and behind a body that passes as one event`() throws {
    let (aside, steps) = (Aside(), Journal())
    var script = HeldStream.script()
    let begin = script.bodyCollected
    script.bodyCollected = { x, pool, complete in
      begin(x, pool, complete)
      aside.put(x)
    }
    try withRig(
      script: script,
      upstream: { connection in
        _ = connection.reader.message()
        guard steps.waits(for: "head") else { return }
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        guard steps.waits(for: "body") else { return }
        connection.socket.send("}")
        _ = connection.reader.more()
      }
    ) { rig in
      let client = rig.client()
      client.socket.send(HeldStream.post)
      #expect(client.head() != nil)
      #expect(client.chunk() == ": wait\n\n")
      #expect(inject(rig, aside) == true)
      #expect(client.chunk() == Self.ours)
      steps.add("head")
      #expect(client.chunk() == "event: message\ndata: {")
      #expect(inject(rig, aside) == true)
      steps.add("body")
      var end = ""
      while let chunk = client.chunk() { end += chunk }
      #expect(end == "}\n\n" + Self.ours)
      #expect(rig.journal.waits(for: "finished complete"))
    }
  }

  @Test func `where no event stream runs nothing is put in`() throws {
    let taken = Journal()
    var script = Script()
    let forward = script.received
    script.received = { x, pool in
      taken.add("\(x.inject(Array(Self.ours.utf8)))")
      forward(x, pool)
    }
    script.answerHead = { x, _ in
      taken.add("\(x.inject(Array(Self.ours.utf8)))")
      Pass.answer(x)
      return .relay
    }
    try withRig(script: script, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "/ ")
      #expect(taken.all == ["false", "false"])
    }
  }
}
