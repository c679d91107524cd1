import Testing

@testable import Redis

@Suite struct ClusterSlotsTests {
  private let origin = RedisEndpoint(host: "10.0.0.1", port: 7000)

  @Test func `slots are those of the specification`() {
    #expect(ClusterSlots.crc16(Array("123456789".utf8)[...]) == 0x31C3)
    func slot(_ key: String) -> Int { ClusterSlots.slot(of: Array(key.utf8)) }
    #expect(slot("foo") == 12_182)
    #expect(slot("{user1000}.following") == slot("{user1000}.followers"))
    #expect(slot("{user1000}.following") == slot("user1000"))
    // An empty tag is none, and only the first one counts.
    #expect(slot("foo{}{bar}") != slot("bar"))
    #expect(slot("foo{{bar}}zap") == slot("{bar"))
    #expect(slot("foo{bar}{zap}") == slot("bar"))
    #expect(slot("{") == slot("{") && slot("}{") != slot(""))
  }

  private func node(_ host: RedisValue, _ port: Int64) -> RedisValue { .array([host, .integer(port)]) }

  @Test func `a map is read, an unknown host is the one that answers`() throws {
    let answer = RedisValue.array([
      .array([.integer(0), .integer(5), node(.text("10.0.0.2"), 7001), node(.text("10.0.0.9"), 7009)]),
      .array([.integer(6), .integer(16_383), node(.text(""), 7002)]),
    ])
    let map = try #require(ClusterMap(answer, by: origin))
    #expect(map.master(of: 0) == RedisEndpoint(host: "10.0.0.2", port: 7001))
    #expect(map.master(of: 16_383) == RedisEndpoint(host: "10.0.0.1", port: 7002))
    #expect(map.masters.count == 2)
  }

  @Test func `what is no map is refused`() {
    let good = node(.text("h"), 1)
    let answers: [RedisValue] = [
      .null, .array([]), .integer(1), .error("ERR"), .array([.integer(0)]),
      .array([.array([.integer(0), .integer(16_384), good])]),
      .array([.array([.integer(-1), .integer(5), good])]),
      .array([.array([.integer(6), .integer(5), good])]),
      .array([.array([.integer(0), .integer(5)])]), .array([.array([.integer(0), .integer(5), .text("h")])]),
      .array([.array([.integer(0), .integer(5), node(.text("h"), 0)])]),
      .array([.array([.integer(0), .integer(5), node(.text("h"), 65_536)])]),
      .array([.array([.integer(0), .integer(5), node(.text("?"), 1)])]),
      .array([.array([.integer(0), .integer(5), node(.text("h h"), 1)])]),
    ]
    for answer in answers { #expect(ClusterMap(answer, by: origin) == nil, "\(answer)") }
  }

  @Test func `redirects are read, with any host`() {
    func target(_ text: String) -> RedisEndpoint? {
      ClusterRedirect(.error(text), by: origin)?.endpoint
    }
    #expect(target("MOVED 3999 127.0.0.1:6381") == RedisEndpoint(host: "127.0.0.1", port: 6381))
    #expect(target("ASK 3999 ::1:6381") == RedisEndpoint(host: "::1", port: 6381))
    #expect(target("MOVED 3999 :6381") == RedisEndpoint(host: "10.0.0.1", port: 6381))
    #expect(target("MOVED 3999 redis.test:6381") == RedisEndpoint(host: "redis.test", port: 6381))
    for text in [
      "MOVED", "MOVED 1", "MOVED x h:1", "MOVED 16384 h:1", "MOVED 1 h", "MOVED 1 h:0", "MOVED 1 ?:1",
    ] {
      #expect(target(text) == nil, "\(text)")
    }
  }
}
