import Basics
import Reactor
import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct SingleServerTests {
  @Test func `what is set is read again`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b\r\n$3") == .text("OK"))
      #expect(try await rig.send("GET", "a") == .text("b\r\n$3"))
      #expect(try await rig.send("GET", "none") == .null)
      #expect(try await rig.send("STRLEN", "a") == .integer(5))
      #expect(try await rig.send("INCR", "a").isError)
      #expect(try await rig.nodes() == [server.endpoint])
    }
  }

  @Test func `answers are in the order of the commands`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      let commands = (0..<1000).map { RedisCommand("ECHO", [Array("\($0)".utf8)]) }
      #expect(try await rig.send(commands) == (0..<1000).map { .text("\($0)") })
    }
  }

  @Test func `many tasks share the connections, and each gets its own answers`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<64 {
          group.addTask {
            for round in 0..<20 {
              let word = "\(task)-\(round)"
              let answers = try await rig.send([
                RedisCommand(["SET", word, word]), RedisCommand(["GET", word]),
              ])
              #expect(answers == [.text("OK"), .text(word)])
            }
          }
        }
        try await group.waitForAll()
      }
      let clients = try server.command("CLIENT", "LIST").split(separator: "\n")
      #expect(clients.count { $0.contains("name=coatcheck") } == 2)
    }
  }

  @Test func `a script is sent once and called by its name afterwards`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      let script = RedisScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")
      let key = Array("n".utf8)
      #expect(try await rig.run(script, key: key, [Array("2".utf8)]) == .integer(2))
      let calls = (0..<3).map { _ in RedisScriptCall(script, keys: [key], arguments: [Array("1".utf8)]) }
      #expect(try await rig.run(calls) == [.integer(3), .integer(4), .integer(5)])
      let statistics = try server.command("INFO", "commandstats")
      #expect(statistics.contains("cmdstat_eval:calls=1,"))
      #expect(statistics.contains("cmdstat_evalsha:calls=4,"))
      let wrong = RedisScript("return redis.error_reply('NO good')")
      await #expect(throws: RedisError.server("NO good")) { try await rig.run(wrong, key: key) }
    }
  }

  @Test func `a large value passes both ways`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      let large = String(repeating: "0123456789abcdef", count: 200_000)
      #expect(try await rig.send("SET", "large", large) == .text("OK"))
      #expect(try await rig.send("GET", "large") == .text(large))
    }
  }
}

extension RedisValue {
  var isError: Bool {
    if case .error = self { true } else { false }
  }
}
