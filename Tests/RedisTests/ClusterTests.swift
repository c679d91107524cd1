import Basics
import Reactor
import TestSupport
import Testing

@testable import Redis

/// Masters that share the slots evenly.
private struct Members {
  let all: [RedisServer]

  init(spare: Int = 0) async throws {
    let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
    all = try (0..<3 + spare).map { _ in try RedisServer(options) }
    for (place, server) in all.prefix(3).enumerated() {
      let first = ClusterSlots.count * place / 3
      let last = ClusterSlots.count * (place + 1) / 3 - 1
      try server.command("CLUSTER", "ADDSLOTSRANGE", "\(first)", "\(last)")
      try server.command("CLUSTER", "SET-CONFIG-EPOCH", "\(place + 1)")
    }
    for server in all.dropFirst() {
      try server.command("CLUSTER", "MEET", "127.0.0.1", "\(all[0].port)", "\(all[0].clusterPort)")
    }
    for server in all {
      try await server.wait(for: ["CLUSTER", "INFO"]) { [count = all.count] text in
        text.contains("cluster_state:ok") && text.contains("cluster_known_nodes:\(count)")
          && text.contains("cluster_slots_assigned:16384")
      }
    }
  }

  var settings: RedisSettings { RedisSettings(mode: .cluster, nodes: [all[0].endpoint]) }

  func id(_ place: Int) throws -> String { try all[place].command("CLUSTER", "MYID") }
}

/// One after another: each has several processes.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ClusterTests {
  @Test func `commands go to the nodes of their keys, answers come in order`() async throws {
    let members = try await Members()
    try await Rig.with(members.settings) { (rig: Rig) async throws in
      #expect(Set(try await rig.nodes()) == Set(members.all.map(\.endpoint)))
      let words = (0..<300).map { "key\($0)" }
      let set = try await rig.send(words.map { RedisCommand(["SET", $0, "=" + $0]) })
      #expect(set == words.map { _ in .text("OK") })
      let answers = try await rig.send(words.map { RedisCommand(["GET", $0]) } + [RedisCommand("PING")])
      #expect(answers == words.map { .text("=" + $0) } + [.text("PONG")])
      for word in ["", "a", "{b}c", "{}d", "{{e}}f", "g{h}{i}", "}{", "{j"] {
        let slot = try members.all[0].command("CLUSTER", "KEYSLOT", word)
        #expect("\(ClusterSlots.slot(of: Array(word.utf8)))" == slot, "\(word)")
      }
      // Each node has its part.
      var found = 0
      for node in try await rig.nodes() {
        let count = try await rig.client.send([RedisCommand("DBSIZE")], to: node)[0].integer ?? 0
        #expect(count > 50)
        found += Int(count)
      }
      #expect(found == 300)
      let script = RedisScript("return redis.call('GET', KEYS[1])")
      let calls = words.map { RedisScriptCall(script, keys: [Array($0.utf8)]) }
      #expect(try await rig.run(calls) == words.map { .text("=" + $0) })
      // What one node publishes all of them pass on.
      let heard = Heard()
      heard.subscribe(rig.client)
      try await rig.until { heard.all == [.connected] }
      for server in members.all { try server.command("PUBLISH", "news", "a") }
      try await rig.until { heard.all == [.connected, .text("a"), .text("a"), .text("a")] }
    }
  }

  @Test func `while a slot moves, every command is carried out once`() async throws {
    let members = try await Members()
    let slot = "\(ClusterSlots.slot(of: Array("m".utf8)))"
    let place = members.all.indices.first { ClusterSlots.count * ($0 + 1) / 3 > Int(slot) ?? 0 } ?? 0
    let (source, target) = (members.all[place], members.all[(place + 1) % 3])
    try await Rig.with(members.settings) { (rig: Rig) async throws in
      let keys = (0..<8).map { "{m}\($0)" }
      for key in keys { #expect(try await rig.send("SET", key, "0") == .text("OK")) }
      let isOver = Locked(false)
      let counts = try await withThrowingTaskGroup(of: (String, Int).self) { group in
        for key in keys {
          group.addTask {
            var count = 0
            while !isOver.withLock({ $0 }) {
              let answers = try await rig.send([RedisCommand(["INCR", key]), RedisCommand(["GET", key])])
              count += 1
              #expect(answers == [.integer(Int64(count)), .text("\(count)")])
            }
            return (key, count)
          }
        }
        try target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", try members.id(place))
        try source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", try members.id((place + 1) % 3))
        for key in keys {
          try source.command("MIGRATE", "127.0.0.1", "\(target.port)", key, "0", "1000")
          // Both kinds of keys are used meanwhile.
          _ = try await rig.send(keys.map { RedisCommand(["EXISTS", $0]) })
        }
        // Nobody was sent for good yet: a new key is made where the slot goes.
        #expect(try await rig.send("SET", "{m}new", "1") == .text("OK"))
        #expect(try target.command("CLUSTER", "COUNTKEYSINSLOT", slot) == "9")
        let id = try members.id((place + 1) % 3)
        try target.command("CLUSTER", "SETSLOT", slot, "NODE", id)
        try source.command("CLUSTER", "SETSLOT", slot, "NODE", id)
        for key in keys { #expect(try await rig.send("EXISTS", key) == .integer(1)) }
        isOver.withLock { $0 = true }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
      for key in keys { #expect(try await rig.send("GET", key) == .text("\(counts[key] ?? -1)")) }
      let statistics = try source.command("INFO", "errorstats")
      #expect(statistics.contains("errorstat_ASK") && statistics.contains("errorstat_MOVED"))
    }
  }

  @Test func `a command on keys of both nodes waits until the slot has moved, within its time`() async throws
  {
    let members = try await Members()
    let slot = "\(ClusterSlots.slot(of: Array("m".utf8)))"
    let place = members.all.indices.first { ClusterSlots.count * ($0 + 1) / 3 > Int(slot) ?? 0 } ?? 0
    let (source, target) = (members.all[place], members.all[(place + 1) % 3])
    var settings = members.settings
    settings.commandTimeout = .milliseconds(300)
    try await Rig.with(settings) { (rig: Rig) async throws in
      _ = try await rig.send(["{m}a", "{m}b"].map { RedisCommand(["SET", $0, $0]) })
      try target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", try members.id(place))
      try source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", try members.id((place + 1) % 3))
      try source.command("MIGRATE", "127.0.0.1", "\(target.port)", "{m}a", "0", "1000")
      #expect("\(await rig.failure("MGET", "{m}a", "{m}b") as Any)".contains("TRYAGAIN"))
      try source.command("MIGRATE", "127.0.0.1", "\(target.port)", "{m}b", "0", "1000")
      #expect(try await rig.send("MGET", "{m}a", "{m}b") == .array([.text("{m}a"), .text("{m}b")]))
    }
  }

  @Test func `when a replica takes over, its commands come to it`() async throws {
    let members = try await Members(spare: 1)
    let replica = members.all[3]
    try replica.command("CLUSTER", "REPLICATE", try members.id(1))
    try await replica.wait(for: ["ROLE"]) { $0.contains("connected") }
    let second = ClusterSlots.count / 3..<ClusterSlots.count * 2 / 3
    let key = try #require(
      (0..<1_000).map { "k\($0)" }.first { second.contains(ClusterSlots.slot(of: Array($0.utf8))) })
    try await Rig.with(members.settings) { (rig: Rig) async throws in
      #expect(try await rig.send("SET", key, "b") == .text("OK"))
      try await replica.wait(for: ["DBSIZE"]) { $0 == "1" }
      members.all[1].kill()
      #expect(await rig.failure("GET", key) != nil)
      try replica.command("CLUSTER", "FAILOVER", "TAKEOVER")
      #expect(try await rig.eventually("GET", key) == .text("b"))
      #expect(try await rig.nodes().contains(replica.endpoint))
    }
  }

  @Test func `a server that is in no cluster, and none at all, are the cause`() async throws {
    let server = try RedisServer()
    let settings = RedisSettings(mode: .cluster, nodes: [server.endpoint])
    try await Rig.with(settings) { (rig: Rig) async throws in
      #expect("\(await rig.failure("GET", "a") as Any)".contains("knows no slots"))
      server.kill()
      try await rig.until { await rig.failure("GET", "a").map { "\($0)".contains("refused") } ?? false }
    }
  }
}
