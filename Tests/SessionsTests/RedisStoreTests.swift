import Basics
import Redis
import Testing

@testable import Sessions

@Suite struct `The store in Redis` {
  private let clock = FakeClock()

  @Test func `shows no ticket, token, name or record, in no value and in no dump`() async throws {
    let place = try RedisPlace(.single)
    let store = try await place.open(clock: clock.wallClock)
    let ticket = Ticket.make()
    var session = Session.sample(ticket: ticket.hash, now: clock.now)
    try await store.insert(session, removing: nil, aliasUntil: nil)
    session.generation = 2
    try await store.save(session, replacing: 1, under: nil)
    let old = Ticket.make().hash
    let second = Session.sample(now: clock.now)
    try await store.insert(second, removing: old, aliasUntil: clock.now + .seconds(30))
    _ = try await store.acquireLease(ticket.hash, holder: .make(), for: .seconds(5))
    try await store.put(
      SingleUseRecord(
        kind: .signIn, key: ticket.hash, owner: .alice, payload: Array("verifier-canary".utf8),
        expiresAt: clock.now + .seconds(600)))
    try await store.put(
      Note(kind: .consent, owner: .alice, key: "alice-canary", payload: [1], updatedAt: clock.now), keeping: 5
    )
    try await store.ping()
    let bytes = try await place.everyByte()
    #expect(bytes.contains(bytes: ticket.hash.digest.bytes), "the search would not find anything")
    #expect(!bytes.contains(bytes: try #require(Base64URL.decode(ticket.reveal()))))
    for text in ["canary", ticket.reveal(), "alice", "Alice", "id.example"] {
      #expect(!bytes.contains(text: text), "\(text)")
    }
    await store.close()
  }

  @Test(arguments: RedisPlace.Kind.allCases)
  func `a row copied over another user's row does not open`(kind: RedisPlace.Kind) async throws {
    let place = try RedisPlace(kind)
    let store = try await place.open(clock: clock.wallClock)
    let (alice, bob) = (Session.sample(.alice, now: clock.now), Session.sample(.bob, now: clock.now))
    for session in [alice, bob] { try await store.insert(session, removing: nil, aliasUntil: nil) }
    let row = try #require(try await place.ask("GET", [store.keys.session(alice.hash)])[0].bytes)
    _ = try await place.ask("SET", [store.keys.session(bob.hash)], [row])
    await #expect(throws: StoreError.sealed(.notAuthentic)) { try await store.load(bob.hash) }
    expectSame(try await store.load(alice.hash), alice)
    let page = try await store.page(after: nil, limit: 10)
    #expect(page.sessions.map(\.hash) == [alice.hash] && page.unreadable == 1)
    await store.close()
  }

  @Test(arguments: [0, 1, 4, 20, 33, 60])
  func `a row of which a byte was changed does not open, but for its times`(offset: Int) async throws {
    let place = try RedisPlace(.single)
    let store = try await place.open(clock: clock.wallClock)
    let session = Session.sample(now: clock.now)
    try await store.insert(session, removing: nil, aliasUntil: nil)
    let key = store.keys.session(session.hash)
    var row = try #require(try await place.ask("GET", [key])[0].bytes)
    row[offset] ^= 0x40
    _ = try await place.ask("SET", [key], [row])
    if (9..<33).contains(offset) {
      #expect(try await store.load(session.hash)?.user == session.user)
    } else {
      await #expect(throws: StoreError.self) { try await store.load(session.hash) }
    }
    await store.close()
  }

  @Test func `a record bound to somebody else, moved, or given more time does not open`() async throws {
    let place = try RedisPlace(.single)
    let store = try await place.open(clock: clock.wallClock)
    let keys = (0..<3).map { _ in Ticket.make().hash }
    for key in keys {
      try await store.put(
        SingleUseRecord(
          kind: .continuation, key: key, owner: .alice, payload: [1], expiresAt: clock.now + .seconds(600)))
    }
    let names = keys.map { store.keys.records(.continuation) + Array("r:".utf8) + $0.digest.bytes }
    let rows = try await place.ask("GET", names).compactMap(\.bytes)
    var bobs = rows[0]
    bobs.replaceSubrange(17..<49, with: UserKey.bob.digest.bytes)
    var later = rows[1]
    later[7] ^= 1
    _ = try await place.ask("SET", [names[0]], [bobs])
    _ = try await place.ask("SET", [names[1]], [later])
    _ = try await place.ask("SET", [names[2]], [rows[0]])
    for (key, owner) in zip(keys, [UserKey.bob, .alice, .alice]) {
      await #expect(throws: StoreError.sealed(.notAuthentic)) {
        try await store.take(.continuation, key, owner: owner, now: clock.now)
      }
    }
    await store.close()
  }

  @Test func `an alias that was not sealed here leads nowhere, and nobody seals it`() async throws {
    let place = try RedisPlace(.single)
    let store = try await place.open(clock: clock.wallClock)
    let now = clock.now
    let (old, stolen) = (Ticket.make().hash, Ticket.make().hash)
    let session = Session.sample(now: now)
    try await store.insert(session, removing: old, aliasUntil: now + .seconds(30))
    let alias = try #require(try await place.ask("GET", [store.keys.alias(old)])[0].bytes)
    _ = try await place.ask("SET", [store.keys.alias(stolen)], [alias])
    #expect(try await store.alias(of: stolen, now: now) == nil)
    // Neither does the next sign-in take it along.
    let standing = store.keys.base(session.hash.digest) + Array("b:".utf8) + session.hash.digest.bytes
    _ = try await place.ask("ZADD", [standing], [Array("9e15".utf8), stolen.digest.bytes])
    let next = Session.sample(now: now)
    try await store.insert(next, removing: session.hash, aliasUntil: now + .seconds(30))
    #expect(try await store.alias(of: stolen, now: now) == nil)
    #expect(try await store.alias(of: old, now: now) == next.hash)
    await store.close()
  }

  @Test(arguments: RedisPlace.Kind.allCases)
  func `everything goes by itself some day, what concerns sessions soon after their longest life`(
    kind: RedisPlace.Kind
  ) async throws {
    let place = try RedisPlace(kind)
    let store = try await place.open(clock: clock.wallClock, lifetime: .seconds(3600))
    var session = Session.sample(now: clock.now)
    try await store.insert(session, removing: Ticket.make().hash, aliasUntil: clock.now + .seconds(60))
    session.generation = 2
    guard
      case .granted(let lease) = try await store.acquireLease(session.hash, holder: .make(), for: .seconds(5))
    else {
      Issue.record("no lease")
      return
    }
    try await store.save(session, replacing: 1, under: lease)
    try await store.touch([session.hash: clock.now + .seconds(1)])
    try await store.put(
      SingleUseRecord(kind: .signIn, key: session.hash, owner: .alice, payload: [1], expiresAt: clock.now))
    try await store.put(
      Note(kind: .consent, owner: .alice, key: "k", payload: [], updatedAt: clock.now), keeping: 5)
    try await store.ping()
    let keys = try await place.keys()
    let lives = try await place.ask("PTTL", keys).map { $0.integer ?? -1 }
    #expect(keys.count > 15 && lives.allSatisfy { $0 > 0 })
    let row = store.keys.session(session.hash)
    let life = try await place.ask("PTTL", [row])[0].integer ?? 0
    #expect(life > 3_600_000 && life <= 90_000_000)
    // What went by itself, or was pushed out, is nobody's session any more, and is in nobody's way.
    _ = try await place.ask("DEL", [row])
    #expect(try await store.load(session.hash) == nil)
    #expect(try await store.hashes(of: .alice) == [])
    #expect(try await store.page(after: nil, limit: 10).sessions.isEmpty)
    #expect(try await store.count() == 0)
    await #expect(throws: StoreError.conflict(current: nil)) {
      try await store.save(session, replacing: 2, under: nil)
    }
    #expect(try await store.acquireLease(session.hash, holder: .make(), for: .seconds(5)) == .missing)
    await store.close()
  }

  @Test func `leases run by the server's clock when none is given`() async throws {
    let place = try RedisPlace(.single)
    let store = try await place.open()
    let session = Session.sample(now: .now())
    try await store.insert(session, removing: nil, aliasUntil: nil)
    guard
      case .granted(let lease) = try await store.acquireLease(
        session.hash, holder: .make(), for: .seconds(50)),
      case .held(let remaining) = try await store.acquireLease(
        session.hash, holder: .make(), for: .seconds(50))
    else {
      Issue.record("no lease")
      return
    }
    #expect(remaining > .seconds(20) && remaining <= .seconds(50))
    #expect(try await store.renewLease(lease, for: .seconds(-1)))
    #expect(try await store.renewLease(lease, for: .seconds(50)) == false)
    await store.close()
  }

  @Test(arguments: RedisPlace.Kind.allCases)
  func `many stores that start at once on an empty Redis make one`(kind: RedisPlace.Kind) async throws {
    let place = try RedisPlace(kind)
    let stores = try await withThrowingTaskGroup(of: RedisSessionStore.self) { group in
      for _ in 0..<8 { group.addTask { try await place.open() } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    let session = Session.sample(now: clock.now)
    try await stores[0].insert(session, removing: nil, aliasUntil: nil)
    for store in stores {
      expectSame(try await store.load(session.hash), session)
      await store.close()
    }
  }

  @Test func `keys that do not fit are noticed at the opening, and a change of keys signs nobody out`()
    async throws
  {
    let (old, new) = (SealingKey.make(), SealingKey.make())
    let place = try RedisPlace(.single, sealer: Sealer(current: old))
    let first = try await place.open()
    let session = Session.sample(now: clock.now)
    try await first.insert(session, removing: nil, aliasUntil: nil)
    let row = try await place.ask("GET", [first.keys.session(session.hash)])
    await first.close()
    await #expect(throws: StoreError.sealed(.unknownKey)) {
      try await place.open(sealer: Sealer(current: new))
    }
    let both = try await place.open(sealer: Sealer(current: new, older: [old]))
    expectSame(try await both.load(session.hash), session)
    let life = try await place.ask("PTTL", [both.keys.session(session.hash)])[0].integer ?? 0
    #expect(try await place.ask("GET", [both.keys.session(session.hash)]) != row && life > 0)
    await both.close()
    let last = try await place.open(sealer: Sealer(current: new))
    expectSame(try await last.load(session.hash), session)
    await last.close()
  }

  @Test func `sealing anew does not undo what another process saved meanwhile`() async throws {
    let (old, new) = (SealingKey.make(), SealingKey.make())
    let place = try RedisPlace(.single, sealer: Sealer(current: old))
    let first = try await place.open()
    var session = Session.sample(now: clock.now)
    try await first.insert(session, removing: nil, aliasUntil: nil)
    let key = first.keys.session(session.hash)
    let read = try RedisRow(try #require(try await place.ask("GET", [key])[0].bytes))
    session.generation = 2
    try await first.save(session, replacing: 1, under: nil)
    let late = try await first.run(
      RedisScripts.reseal, first.keys.base(session.hash.digest),
      [
        session.hash.digest.bytes, Array(read.envelope.prefix(Sealer.overhead)),
        Sealer(current: new).seal([], for: .keyCheck),
      ])
    #expect(late.integer == 0)
    #expect(try await first.load(session.hash)?.generation == 2)
    await first.close()
  }

  @Test(arguments: RedisPlace.Kind.allCases)
  func `a sweep removes any number, a few at a time`(kind: RedisPlace.Kind) async throws {
    let place = try RedisPlace(kind)
    let store = try await place.open(clock: clock.wallClock)
    let now = clock.now
    // All in one shard, more than are swept at once.
    let count = RedisSessionStore.mostAtOnce * 2 + 1
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<count {
        let hash = TicketHash(digest: Bytes32(7 << 56, 0, 0, UInt64(number)))
        group.addTask {
          try await store.insert(.sample(ticket: hash, now: now, sid: nil), removing: nil, aliasUntil: nil)
        }
      }
      try await group.waitForAll()
    }
    #expect(try await store.count() == count)
    try await store.sweep(createdBefore: now - .seconds(1), seenBefore: now, now: now + .seconds(1))
    #expect(try await store.count() == 0)
    #expect(try await store.hashes(of: .alice) == [])
    await store.close()
  }

  @Test(arguments: RedisPlace.Kind.allCases)
  func `a sign-in that was half done when Redis went is finished when it is done again`(kind: RedisPlace.Kind)
    async throws
  {
    let place = try RedisPlace(kind)
    let store = try await place.open(clock: clock.wallClock)
    let (old, new) = (Session.sample(now: clock.now), Session.sample(now: clock.now))
    try await store.insert(old, removing: nil, aliasUntil: nil)
    // The first step alone.
    try await store.insert(new, removing: nil, aliasUntil: nil)
    await #expect(throws: StoreError.conflict(current: 1)) {
      try await store.insert(new, removing: old.hash, aliasUntil: clock.now + .seconds(30))
    }
    #expect(try await store.load(old.hash) == nil)
    #expect(try await store.alias(of: old.hash, now: clock.now) == new.hash)
    #expect(try await store.hashes(of: .alice) == [new.hash])
    // A later version under this hash is another matter.
    var next = new
    next.generation = 2
    try await store.save(next, replacing: 1, under: nil)
    let other = Session.sample(now: clock.now)
    try await store.insert(other, removing: nil, aliasUntil: nil)
    await #expect(throws: StoreError.conflict(current: 2)) {
      try await store.insert(new, removing: other.hash, aliasUntil: nil)
    }
    #expect(try await store.load(other.hash) != nil)
    await store.close()
  }
}
