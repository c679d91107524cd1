import Basics
import Reactor
import Redis
import TestSupport
import Testing

/// A master, a replica and sentinels that watch them.
private struct Watched {
  let master: RedisServer
  let replica: RedisServer
  let sentinels: [RedisServer]

  init(sentinels count: Int = 1, password: String? = nil, sentinelPassword: String? = nil) async throws {
    let secured = password.map { ["--requirepass", $0, "--masterauth", $0] } ?? []
    master = try RedisServer(["--repl-diskless-sync-delay", "0"] + secured, password: password)
    replica = try RedisServer(
      ["--replicaof", "127.0.0.1", "\(master.port)", "--repl-diskless-sync-delay", "0"] + secured,
      password: password)
    try await replica.wait(for: ["ROLE"]) { $0.contains("connected") }
    var lines = """
      sentinel monitor front 127.0.0.1 \(master.port) \(count / 2 + 1)
      sentinel down-after-milliseconds front 200
      sentinel failover-timeout front 2000

      """
    if let password { lines += "sentinel auth-pass front \(password)\n" }
    if let sentinelPassword {
      lines += "requirepass \(sentinelPassword)\nsentinel sentinel-pass \(sentinelPassword)\n"
    }
    let file = lines
    sentinels = try (0..<count).map { _ in try RedisServer(sentinel: file, password: sentinelPassword) }
    for sentinel in sentinels {
      try await sentinel.wait(for: ["SENTINEL", "REPLICAS", "front"]) { $0.contains("\(self.replica.port)") }
      try await sentinel.wait(for: ["SENTINEL", "MASTER", "front"]) {
        $0.contains("num-other-sentinels\n\(count - 1)\n")
      }
    }
  }

  func settings(_ name: String = "front") -> RedisSettings {
    var settings = RedisSettings(
      mode: .sentinel(master: name, username: nil, password: nil), nodes: sentinels.map(\.endpoint))
    settings.pingInterval = .milliseconds(100)
    return settings
  }
}

/// One after another: each has several processes.
@Suite(.serialized, .timeLimit(.minutes(2))) struct SentinelTests {
  @Test func `the master is found by its name`() async throws {
    let watched = try await Watched()
    try await Rig.with(watched.settings()) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
      #expect(try await rig.nodes() == [watched.master.endpoint])
      #expect(try watched.master.command("GET", "a") == "b")
    }
    try await Rig.with(watched.settings("back")) { (rig: Rig) async throws in
      #expect("\(await rig.failure("GET", "a") as Any)".contains("knows no master back"))
    }
  }

  @Test func `after a failover commands and subscriptions go to the new master`() async throws {
    let watched = try await Watched(sentinels: 3)
    try await Rig.with(watched.settings()) { (rig: Rig) async throws in
      let heard = Heard()
      heard.subscribe(rig.client)
      try await rig.until { heard.all == [.connected] }
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
      try await watched.replica.wait(for: ["GET", "a"]) { $0 == "b" }
      watched.master.kill()
      #expect(await rig.failure("GET", "a") != nil)
      #expect(try await rig.eventually("SET", "c", "d") == .text("OK"))
      #expect(try await rig.send("GET", "a") == .text("b"))
      #expect(try await rig.nodes() == [watched.replica.endpoint])
      try await rig.until { heard.all == [.connected, .lost, .connected] }
      _ = try await rig.send("PUBLISH", "news", "moved")
      try await rig.until { heard.all.last == .text("moved") }
    }
  }

  @Test func `when the master steps down, the next command finds the new one`() async throws {
    let watched = try await Watched()
    try await Rig.with(watched.settings()) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
      // A sentinel that has not heard of the replica for a while refuses.
      try await watched.sentinels[0].wait(for: ["SENTINEL", "FAILOVER", "front"]) { $0.hasPrefix("OK") }
      try await watched.replica.wait(for: ["ROLE"]) { $0.hasPrefix("master") }
      // Until it is told, the old one accepts what the new one will never hear of: that is how Redis replicates.
      try await rig.within(.seconds(10)) {
        _ = await rig.failure("SET", "a", "lost")
        return try await rig.nodes() == [watched.replica.endpoint] ? () : nil
      }
      #expect(try await rig.eventually("SET", "a", "c") == .text("OK"))
      try await watched.replica.wait(for: ["GET", "a"]) { $0 == "c" }
    }
  }

  @Test func `a sentinel that is gone or knows nothing is passed over`() async throws {
    let watched = try await Watched()
    let ignorant = try RedisServer()
    var settings = watched.settings()
    settings.nodes = [RedisEndpoint(host: "127.0.0.1", port: 1), ignorant.endpoint] + settings.nodes
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
    }
  }

  @Test func `whoever is no master is not used as one`() async throws {
    let watched = try await Watched()
    // A sentinel that has it wrong.
    let wrong = try RedisServer(sentinel: "sentinel monitor front 127.0.0.1 \(watched.replica.port) 1\n")
    // It follows the replica to its master sooner or later; until then nothing is served.
    var settings = watched.settings()
    settings.nodes = [wrong.endpoint]
    try watched.sentinels.forEach { try $0.command("SENTINEL", "REMOVE", "front") }
    try await Rig.with(settings) { (rig: Rig) async throws in
      let failure = await rig.failure("GET", "a")
      #expect(failure == .unavailable("\(watched.replica.endpoint) is no master"))
    }
  }

  @Test func `sentinels have a password of their own`() async throws {
    let watched = try await Watched(password: "data", sentinelPassword: "watch")
    var settings = watched.settings()
    settings.password = Secret("data")
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect("\(await rig.failure("GET", "a") as Any)".contains("wants a password"))
    }
    settings.mode = .sentinel(master: "front", username: nil, password: Secret("watch"))
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
    }
  }

  @Test func `commands go on without any sentinel while the master is there`() async throws {
    let watched = try await Watched()
    try await Rig.with(watched.settings()) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", "a", "b") == .text("OK"))
      watched.sentinels[0].kill()
      for _ in 0..<100 { #expect(try await rig.send("GET", "a") == .text("b")) }
      // Also when there is a reason to ask who is the master.
      try watched.master.command("CLIENT", "KILL", "TYPE", "normal")
      for _ in 0..<10 { #expect(try await rig.eventually("GET", "a") == .text("b")) }
      watched.master.pause()
      #expect(await rig.failure("GET", "a") != nil)
      watched.master.resume()
      #expect(try await rig.eventually("GET", "a") == .text("b"))
    }
  }
}
