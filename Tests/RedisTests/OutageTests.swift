import Basics
import Reactor
import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct OutageTests {
  @Test func `a server that was started anew is found again`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
      server.kill()
      try await rig.until { await rig.failure("GET", "a").map { "\($0)".contains("refused") } ?? false }
      // During the pause it is the same cause, without another try.
      #expect("\(await rig.failure("GET", "a") as Any)".contains("refused"))
      try server.start()
      #expect(try await rig.eventually("SET", "a", "c") == .text("OK"))
    }
  }

  @Test func `a name that nobody knows is the cause`() async throws {
    let settings = RedisSettings(nodes: [RedisEndpoint(host: "nowhere.invalid", port: 6379)])
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect("\(await rig.failure("GET", "a") as Any)".contains("nowhere.invalid"))
    }
  }

  @Test func `an answer that comes too late is never another command's`() async throws {
    let server = try RedisServer()
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.commandTimeout = .milliseconds(100)
    settings.connections = 1
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("ECHO", "a") == .text("a"))
      let late = await rig.failure("DEBUG", "SLEEP", "0.5")
      #expect(late == .unavailable("\(server.endpoint) did not answer in time"))
      #expect(try await rig.eventually("ECHO", "b") == .text("b"))
    }
  }

  @Test func `what may have been carried out is never sent again`() async throws {
    let server = try RedisServer()
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.commandTimeout = .milliseconds(100)
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "n", "0") == .text("OK"))
      server.pause()
      #expect(await rig.failure("INCR", "n") != nil)
      server.resume()
      // The server finds it in its socket.
      try await server.wait(for: ["GET", "n"]) { $0 != "0" }
      #expect(try await rig.eventually("GET", "n") == .text("1"))
    }
  }

  @Test func `a stopped server that still accepts connections costs one wait, not one for each command`()
    async throws
  {
    let server = try RedisServer()
    server.pause()
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.connectTimeout = .milliseconds(200)
    try await Rig.with(settings) { (rig: Rig) async throws in
      for _ in 0..<50 {
        #expect(
          await rig.failure("GET", "a") == .unavailable("\(server.endpoint) was not reached in time"))
      }
      server.resume()
      #expect(try await rig.eventually("GET", "a") == .null)
    }
  }

  @Test func `when too many commands wait, more fail at once and the others are answered`() async throws {
    let server = try RedisServer()
    server.pause()
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.maxWaiting = 8
    settings.connectTimeout = .seconds(20)
    settings.commandTimeout = .seconds(20)
    try await Rig.with(settings) { (rig: Rig) async throws in
      let failures = Locked<[RedisError]>([])
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<20 {
          group.addTask {
            if let failure = await rig.failure("PING") { failures.withLock { $0.append(failure) } }
          }
        }
        try? await rig.until { failures.withLock { $0.count } == 12 }
        server.resume()
      }
      let expected = RedisError.unavailable("\(server.endpoint): too many commands wait")
      #expect(failures.withLock { $0 } == [RedisError](repeating: expected, count: 12))
    }
  }

  @Test func `a replica, and a server that loads, are not available`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
      try server.command("REPLICAOF", "127.0.0.1", "1")
      #expect("\(await rig.failure("SET", "a", "c") as Any)".contains("READONLY"))
      try server.command("CONFIG", "SET", "replica-serve-stale-data", "no")
      try await rig.until { "\(await rig.failure("GET", "a") as Any)".contains("MASTERDOWN") }
      try server.command("REPLICAOF", "NO", "ONE")
      #expect(try await rig.eventually("GET", "a") == .text("b"))
    }
  }

  @Test func `a server that became a replica is left, since its name may stand for another one`() async throws
  {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      let first = try await rig.send("CLIENT", "ID")
      #expect(try await rig.send("CLIENT", "ID") == first)
      try server.command("REPLICAOF", "127.0.0.1", "1")
      #expect(await rig.failure("SET", "a", "c") != nil)
      #expect(try await rig.eventually("CLIENT", "ID") != first)
    }
  }

  @Test func `a closed client fails at once, and so does what waited`() async throws {
    let server = try RedisServer()
    server.pause()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      async let waiting = rig.failure("GET", "a")
      async let other = rig.failure("GET", "b")
      await rig.client.close()
      let expected = RedisError.unavailable("the client was closed")
      #expect(await waiting == expected)
      #expect(await other == expected)
      #expect(await rig.failure("GET", "c") == expected)
    }
    server.resume()
  }

  @Test func `what is not Redis is told apart`() async throws {
    let server = try RedisServer()
    try await Rig.with(RedisSettings(nodes: [server.endpoint])) { (rig: Rig) async throws in
      // Answers in RESP3 are beyond what was agreed.
      let failure = await rig.failure("HELLO", "3")
      guard case .protocolViolation = failure else {
        Issue.record("\(failure as Any)")
        return
      }
      #expect(try await rig.send("PING") == .text("PONG"))
    }
  }
}
