import Basics
import Reactor
import Redis
import TestSupport
import Testing

/// Servers that do what none should.
@Suite(.timeLimit(.minutes(2))) struct MisbehaviourTests {
  private func settings(_ server: ScriptedRedis, _ mode: RedisSettings.Mode = .single) -> RedisSettings {
    var settings = RedisSettings(
      mode: mode, nodes: [RedisEndpoint(host: "127.0.0.1", port: server.port)])
    settings.commandTimeout = .milliseconds(300)
    settings.connectTimeout = .milliseconds(500)
    return settings
  }

  @Test(arguments: [
    "hello\r\n", "$5\r\nabcdefg\r\n", "$99999999999\r\n", "*2000000\r\n", ":1:\r\n", "+a\rb\r\n",
  ])
  func `what is no RESP ends the connection, and the command is not sent again`(_ answer: String)
    async throws
  {
    let server = ScriptedRedis { $0 == ["GET", "bad"] ? answer : "+good\r\n" }
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      guard case .protocolViolation = await rig.failure("GET", "bad") else {
        Issue.record("\(answer) was taken for an answer")
        return
      }
      #expect(server.count("GET") == 1)
      #expect(try await rig.send("PING") == .text("good"))
    }
  }

  @Test func `an answer that nobody asked for ends the connection, and is never another command's`()
    async throws
  {
    let server = ScriptedRedis { "+\($0[0])\r\n" }
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      #expect(try await rig.send("ONE") == .text("ONE"))
      server.say("+stray\r\n")
      try await rig.within(.seconds(10)) {
        // The connection may end under a command; it never brings the stray answer.
        let answers = try? await rig.send([RedisCommand(["TWO"]), RedisCommand(["THREE"])])
        return answers == [.text("TWO"), .text("THREE")] ? () : nil
      }
    }
  }

  @Test func `two answers to one command are not given to the next`() async throws {
    let server = ScriptedRedis { $0[0] == "TWICE" ? "+one\r\n+two\r\n" : "+\($0[0])\r\n" }
    var settings = settings(server)
    settings.connections = 1
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("TWICE") == .text("one"))
      try await rig.within(.seconds(10)) { try? await rig.send("NEXT") == .text("NEXT") ? () : nil }
    }
  }

  @Test func `a server that hangs up has perhaps done it: nothing is sent again`() async throws {
    let server = ScriptedRedis { $0[0] == "INCR" ? nil : "+OK\r\n" }
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      #expect(await rig.failure("INCR", "n") != nil)
      #expect(try await rig.eventually("PING") == .text("OK"))
      #expect(server.count("INCR") == 1)
    }
  }

  @Test func `half of the answers are none`() async throws {
    let server = ScriptedRedis { $0[0] == "END" ? nil : "+OK\r\n" }
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      await #expect(throws: RedisError.self) {
        try await rig.send([RedisCommand(["SET", "a", "b"]), RedisCommand(["END"])])
      }
      #expect(server.commands.map { $0[0] } == ["SET", "END"])
    }
  }

  @Test func `an answer that comes a byte at a time and never ends is given up in time`() async throws {
    let server = ScriptedRedis { $0[0] == "SLOW" ? "$100\r\nabc" : "+OK\r\n" }
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      async let failure = rig.failure("SLOW")
      // Said before it was asked, it would be another fault.
      try await rig.until { server.count("SLOW") == 1 }
      for _ in 0..<20 {
        try await rig.loop.sleep(for: .milliseconds(20))
        server.say("x")
      }
      #expect("\(await failure as Any)".contains("did not answer in time"))
      #expect(try await rig.eventually("PING") == .text("OK"))
    }
  }

  // MARK: Clusters

  private static func slots(_ port: UInt16) -> String {
    "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:\(port)\r\n"
  }

  @Test(arguments: ["MOVED", "ASK"])
  func `a command that is sent in circles comes to an end`(_ code: String) async throws {
    let port = Locked<UInt16>(0)
    let circle = ScriptedRedis { words in
      let port = port.withLock { $0 }
      switch words[0] {
      case "CLUSTER": return Self.slots(port)
      case "ASKING": return "+OK\r\n"
      default: return "-\(code) 1 127.0.0.1:\(port)\r\n"
      }
    }
    port.withLock { $0 = circle.port }
    try await Rig.with(settings(circle, .cluster)) { (rig: Rig) async throws in
      #expect(await rig.failure("GET", "a") == .unavailable("the slot moves about"))
      #expect((2...8).contains(circle.count("GET")))
      if code == "ASK" { #expect(circle.count("ASKING") == circle.count("GET") - 1) }
    }
  }

  @Test func `a cluster that is down is asked for a while, then the cause is told`() async throws {
    let port = Locked<UInt16>(0)
    let isUp = Locked(false)
    let server = ScriptedRedis { words in
      if words[0] == "CLUSTER" { return Self.slots(port.withLock { $0 }) }
      return isUp.withLock { $0 } ? "+OK\r\n" : "-CLUSTERDOWN The cluster is down\r\n"
    }
    port.withLock { $0 = server.port }
    try await Rig.with(settings(server, .cluster)) { (rig: Rig) async throws in
      #expect(await rig.failure("GET", "a") == .unavailable("CLUSTERDOWN The cluster is down"))
      #expect((2...10).contains(server.count("GET")))
    }
    let tries = server.count("GET")
    var patient = settings(server, .cluster)
    patient.commandTimeout = .seconds(10)
    try await Rig.with(patient) { (rig: Rig) async throws in
      async let answer = rig.send("GET", "a")
      try await rig.until { server.count("GET") > tries }
      isUp.withLock { $0 = true }
      #expect(try await answer == .text("OK"))
    }
  }

  @Test func `what may have been carried out in a cluster is not sent again`() async throws {
    let port = Locked<UInt16>(0)
    let server = ScriptedRedis { words in
      words[0] == "CLUSTER" ? Self.slots(port.withLock { $0 }) : words[0] == "INCR" ? nil : "+OK\r\n"
    }
    port.withLock { $0 = server.port }
    try await Rig.with(settings(server, .cluster)) { (rig: Rig) async throws in
      #expect(await rig.failure("INCR", "n") != nil)
      #expect(try await rig.eventually("GET", "n") == .text("OK"))
      #expect(server.count("INCR") == 1)
    }
  }
}
