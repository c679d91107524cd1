import Basics
import Sessions
import Testing

@testable import Gateway

@Suite struct SessionCacheTests {
  @Test func `while it is unusable nothing is found, and everything afterwards`() throws {
    var cache = SessionCache()
    _ = cache.insert(makeSnapshot(1), ticket: hash(1), now: noon)
    cache.isUsable = false
    #expect(cache.entry(for: hash(1), now: noon) == nil)
    // What changes meanwhile is taken over.
    cache.update(makeSnapshot(1, generation: 9))
    cache.isUsable = true
    #expect(cache.entry(for: hash(1), now: noon)?.snapshot.generation == 9)
  }

  @Test func `all sessions can be forgotten at once, without an end`() {
    var cache = SessionCache()
    _ = cache.insert(makeSnapshot(1), ticket: hash(1), now: noon)
    _ = cache.insert(makeSnapshot(1), ticket: hash(9), now: noon)
    cache.removeAll()
    #expect(cache.count == 0 && cache.entry(for: hash(9), now: noon) == nil)
    let again = cache.insert(makeSnapshot(1), ticket: hash(1), now: noon)
    #expect(again != nil)
  }

  @Test func `a session is found under the ticket it was asked by`() throws {
    var cache = SessionCache()
    let entryInserted = cache.insert(makeSnapshot(1), ticket: hash(1), now: noon)
    let entry = try #require(entryInserted)
    #expect(cache.entry(for: hash(1), now: noon) === entry)
    #expect(cache.entry(for: hash(2), now: noon) == nil)
    #expect(cache.count == 1)
  }

  @Test(arguments: [(1, 2, 2), (2, 2, 2), (3, 2, 3)] as [(UInt64, UInt64, UInt64)])
  func `an older version never replaces a newer one`(known: UInt64, told: UInt64, kept: UInt64) throws {
    var cache = SessionCache()
    let entryInserted = cache.insert(makeSnapshot(1, generation: known), ticket: hash(1), now: noon)
    let entry = try #require(entryInserted)
    let news = makeSnapshot(1, generation: told)
    cache.update(news)
    #expect(entry.snapshot.generation == kept)
    #expect((entry.snapshot === news) == (told >= known))
  }

  @Test func `news of a session nobody asked for leaves nothing behind`() throws {
    var cache = SessionCache()
    cache.update(makeSnapshot(5))
    #expect(cache.count == 0)
    #expect(cache.entry(for: hash(5), now: noon) == nil)
  }

  @Test func `a replaced ticket follows its new session`() throws {
    var cache = SessionCache()
    let ownInserted = cache.insert(makeSnapshot(1, generation: 1), ticket: hash(1), now: noon)
    let own = try #require(ownInserted)
    let oldInserted = cache.insert(makeSnapshot(1, generation: 1), ticket: hash(9), now: noon)
    let old = try #require(oldInserted)
    cache.update(makeSnapshot(1, generation: 2))
    #expect(own.snapshot.generation == 2)
    #expect(old.snapshot.generation == 2)
    #expect(cache.count == 2)
  }

  @Test func `a replaced ticket is asked for anew from time to time`() throws {
    var cache = SessionCache()
    _ = cache.insert(makeSnapshot(1), ticket: hash(1), now: noon)
    _ = cache.insert(makeSnapshot(1), ticket: hash(9), now: noon)
    #expect(cache.entry(for: hash(9), now: noon + .milliseconds(29_999)) != nil)
    #expect(cache.entry(for: hash(9), now: noon + .seconds(30)) == nil)
    #expect(cache.entry(for: hash(1), now: noon + .seconds(3600)) != nil)
  }

  @Test func `a session that is learnt anew is reported as used when that is due`() throws {
    var cache = SessionCache()
    let entryInserted = cache.insert(
      makeSnapshot(1, lastSeen: noon), ticket: hash(9), now: noon + .seconds(90))
    let entry = try #require(entryInserted)
    // What the control loop knows is a minute and a half old: this use has to be told.
    #expect(entry.lastReported == noon)
    #expect(entry.lastSeen == noon + .seconds(90))
  }

  @Test func `a session that ended is gone under all its tickets`() throws {
    var cache = SessionCache()
    for ticket in [1, 8, 9] as [UInt64] { _ = cache.insert(makeSnapshot(1), ticket: hash(ticket), now: noon) }
    _ = cache.insert(makeSnapshot(2), ticket: hash(2), now: noon)
    // Asked for again: the list of its tickets stays right.
    _ = cache.insert(makeSnapshot(1), ticket: hash(9), now: noon + .seconds(31))
    cache.remove(hash(1))
    for ticket in [1, 8, 9] as [UInt64] { #expect(cache.entry(for: hash(ticket), now: noon) == nil) }
    #expect(cache.entry(for: hash(2), now: noon) != nil)
    cache.remove(hash(1))
    #expect(cache.count == 1)
  }

  @Test func `when it is full the quiet ones go first`() throws {
    var cache = SessionCache(capacity: 4)
    for number in 1...4 as ClosedRange<UInt64> {
      _ = cache.insert(makeSnapshot(number), ticket: hash(number), now: noon)
    }
    let later = noon + .seconds(301)
    try #require(cache.entry(for: hash(3), now: later)).lastSeen = later
    _ = cache.insert(makeSnapshot(5), ticket: hash(5), now: later)
    #expect(cache.count == 2)
    #expect(cache.entry(for: hash(3), now: later) != nil)
    #expect(cache.entry(for: hash(5), now: later) != nil)
  }

  @Test func `it never holds more than its capacity`() throws {
    var cache = SessionCache(capacity: 8)
    for number in 1...100 as ClosedRange<UInt64> {
      _ = cache.insert(makeSnapshot(number), ticket: hash(number), now: noon)
      #expect(cache.count <= 8)
      #expect(cache.entry(for: hash(number), now: noon) != nil)
    }
  }
}

@Suite struct MCPSessionBindingTests {
  static func key(_ route: Int, _ id: String) throws -> Bytes32 {
    try #require(MCPSessionBindings.key(route: try makeRoute("/\(route)"), id: Array(id.utf8)))
  }

  static let alice = Bytes32(1, 0, 0, 0)
  static let bob = Bytes32(2, 0, 0, 0)

  @Test func `an id belongs to who opened it`() throws {
    let bindings = MCPSessionBindings()
    bindings.bind(try Self.key(0, "abc"), to: Self.alice, capabilities: [])
    #expect(bindings.owner(of: try Self.key(0, "abc")) == Self.alice)
    #expect(bindings.owner(of: try Self.key(0, "abd")) == nil)
    #expect(bindings.owner(of: try Self.key(0, "ABC")) == nil)
    #expect(bindings.owner(of: try Self.key(1, "abc")) == nil)
  }

  @Test func `keys of different routes and ids never meet`() throws {
    #expect(try Self.key(1, "2|x") != Self.key(12, "|x"))
    #expect(try Self.key(1, "|2") != Self.key(1, "2"))
    #expect(try Self.key(0, "") != Self.key(0, "\0"))
    let place = try makeRoute(index: 3, "/1").mcpSessionPlace
    #expect(try place == makeRoute(index: 0, "/1").mcpSessionPlace, "the place in the configuration counts")
  }

  @Test func `the oldest binding goes first and the number is bounded`() throws {
    let bindings = MCPSessionBindings(capacity: 3)
    let keys = try (0..<10).map { try Self.key(0, "s\($0)") }
    for (index, key) in keys.enumerated() {
      bindings.bind(key, to: Self.alice, capabilities: [])
      for (other, known) in keys.enumerated() {
        #expect((bindings.owner(of: known) != nil) == (other <= index && other > index - 3))
      }
    }
  }

  @Test func `binding the same id again takes no second place`() throws {
    let bindings = MCPSessionBindings(capacity: 2)
    let (a, b) = (try Self.key(0, "a"), try Self.key(0, "b"))
    bindings.bind(a, to: Self.alice, capabilities: [])
    for _ in 0..<5 { bindings.bind(b, to: Self.bob, capabilities: []) }
    #expect(bindings.owner(of: a) == Self.alice)
    #expect(bindings.owner(of: b) == Self.bob)
  }
}
