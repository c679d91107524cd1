import Basics
import Sessions
import Testing

/// What every store has to do; each test runs on each store.
@Suite struct `Every store` {
  enum Kind: CaseIterable {
    case memory, sqlite, redis, redisCluster

    /// Those that several processes share, and that tell one of the other.
    static let shared: [Kind] = [.memory, .redis, .redisCluster]
  }

  /// A store, with what it needs to live.
  struct Subject {
    let store: any SessionStore
    let directory: TemporaryDirectory
    let clock = FakeClock()
    /// The same sessions for another process.
    let other: @Sendable () async throws -> any SessionStore

    init(_ kind: Kind, maxRecordsPerKind: Int = 50_000) async throws {
      directory = try TemporaryDirectory()
      switch kind {
      case .memory:
        let memory = MemorySessionStore(maxRecordsPerKind: maxRecordsPerKind, clock: clock.wallClock)
        store = memory
        other = { memory.view() }
      case .sqlite:
        let sealer = Sealer(current: .make())
        let open: @Sendable () async throws -> any SessionStore = { [directory, clock] in
          try await SQLiteSessionStore.open(
            path: directory.file("sessions.db"), sealer: sealer, maxRecordsPerKind: maxRecordsPerKind,
            clock: clock.wallClock)
        }
        store = try await open()
        other = open
      case .redis, .redisCluster:
        let place = try RedisPlace(kind == .redis ? .single : .cluster)
        let open: @Sendable () async throws -> any SessionStore = { [clock] in
          try await place.open(clock: clock.wallClock, maxRecordsPerKind: maxRecordsPerKind)
        }
        store = try await open()
        other = open
      }
    }
  }

  @Test(arguments: Kind.allCases)
  func `gives back what was put in, every part of it`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let full = Session.sample(now: subject.clock.now)
    var bare = Session(
      hash: Ticket.make().hash, user: UserKey(issuer: "i", tenant: "t", objectID: "o"),
      createdAt: subject.clock.now,
      lastSeenAt: subject.clock.now)
    bare.state = .needsSignIn("AADSTS70043: expired")
    for session in [full, bare] {
      #expect(try await subject.store.load(session.hash) == nil)
      try await subject.store.insert(session, removing: nil)
      expectSame(try await subject.store.load(session.hash), session)
    }
    #expect(try await subject.store.count() == 2)
    try await subject.store.ping()
  }

  @Test(arguments: Kind.allCases)
  func `replaces only the generation that it is told`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    var session = Session.sample(now: subject.clock.now)
    try await subject.store.insert(session, removing: nil)
    session.generation = 2
    session.refreshToken = Secret("second")
    try await subject.store.save(session, replacing: 1)
    expectSame(try await subject.store.load(session.hash), session)

    var late = session
    late.refreshToken = Secret("late")
    await #expect(throws: StoreError.conflict(current: 2)) {
      try await subject.store.save(late, replacing: 1)
    }
    expectSame(try await subject.store.load(session.hash), session)
    await #expect(throws: StoreError.conflict(current: 2)) {
      try await subject.store.insert(late, removing: nil)
    }

    try await subject.store.delete(session.hash)
    await #expect(throws: StoreError.conflict(current: nil)) {
      try await subject.store.save(late, replacing: 2)
    }
    #expect(try await subject.store.load(session.hash) == nil)
  }

  @Test(arguments: Kind.allCases)
  func `keeps a generation beyond the signed range`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    var session = Session.sample(now: subject.clock.now)
    session.generation = .max - 1
    try await subject.store.insert(session, removing: nil)
    session.generation = .max
    try await subject.store.save(session, replacing: .max - 1)
    expectSame(try await subject.store.load(session.hash), session)
  }

  @Test(arguments: Kind.allCases)
  func `puts a new session in the place of an old one in one step`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (old, new) = (Session.sample(now: subject.clock.now), Session.sample(now: subject.clock.now))
    try await subject.store.insert(old, removing: nil)
    try await subject.store.insert(new, removing: old.hash)
    #expect(try await subject.store.load(old.hash) == nil)
    expectSame(try await subject.store.load(new.hash), new)
  }

  @Test(arguments: Kind.allCases)
  func `removes all sessions of one user, or of one session at the provider, and names them`(kind: Kind)
    async throws
  {
    let subject = try await Subject(kind)
    let now = subject.clock.now
    let alice1 = Session.sample(.alice, now: now, sid: "s1")
    let alice2 = Session.sample(.alice, now: now, sid: "s2")
    let alice3 = Session.sample(.alice, now: now, sid: nil)
    let bob = Session.sample(.bob, now: now, sid: "s3")
    let stranger = Session.sample(UserKey(issuer: "https://other.example", subject: "x"), now: now, sid: "s1")
    for session in [alice1, alice2, alice3, bob, stranger] {
      try await subject.store.insert(session, removing: nil)
    }

    #expect(try await subject.store.deleteAll(issuer: "https://id.example", sid: "s1") == [alice1.hash])
    #expect(try await subject.store.deleteAll(issuer: "https://id.example", sid: "s1") == [])
    #expect(try await Set(subject.store.deleteAll(of: .alice)) == [alice2.hash, alice3.hash])
    #expect(try await subject.store.load(alice3.hash) == nil)
    #expect(try await subject.store.load(bob.hash) != nil)
    #expect(try await subject.store.load(stranger.hash) != nil)
  }

  @Test(arguments: Kind.allCases)
  func `notes uses, never backwards, and a save does not undo them`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let start = subject.clock.now
    var session = Session.sample(now: start)
    try await subject.store.insert(session, removing: nil)
    try await subject.store.touch([session.hash: start + .seconds(60), Ticket.make().hash: start])
    try await subject.store.touch([session.hash: start + .seconds(30)])
    #expect(try await subject.store.load(session.hash)?.lastSeenAt == start + .seconds(60))
    #expect(try await subject.store.load(session.hash)?.generation == 1)
    session.generation = 2
    try await subject.store.save(session, replacing: 1)
    #expect(try await subject.store.load(session.hash)?.lastSeenAt == start + .seconds(60))
    #expect(try await subject.store.count() == 1)
  }

  @Test(arguments: Kind.allCases)
  func `sweeps what is too old by either measure, and expired records`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let start = subject.clock.now
    let idle = Session.sample(now: start)
    let used = Session.sample(now: start)
    let young = Session.sample(now: start + .seconds(1000))
    for session in [idle, used, young] { try await subject.store.insert(session, removing: nil) }
    try await subject.store.touch([used.hash: start + .seconds(900)])
    let key = Ticket.make().hash
    try await subject.store.put(
      SingleUseRecord(kind: .signIn, key: key, payload: [1], expiresAt: start + .seconds(1000)))

    try await subject.store.sweep(
      createdBefore: start - .seconds(1), seenBefore: start, now: start + .seconds(999))
    #expect(try await subject.store.load(idle.hash) == nil)
    #expect(try await subject.store.count() == 2)
    try await subject.store.sweep(createdBefore: start, seenBefore: start, now: start + .seconds(1000))
    #expect(try await subject.store.load(used.hash) == nil)
    #expect(try await subject.store.load(young.hash) != nil)
    // Gone from the store itself: even a clock that goes back does not bring it back.
    #expect(try await subject.store.take(.signIn, key, owner: nil, now: start) == .missing)
  }

  @Test(arguments: Kind.allCases)
  func `a sweep lets sessions from the future begin now, for good`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let now = subject.clock.now
    let ahead = Session.sample(now: now + .seconds(86_400))
    let close = Session.sample(now: now + .seconds(59))
    for session in [ahead, close] { try await subject.store.insert(session, removing: nil) }
    try await subject.store.sweep(createdBefore: now - .seconds(1), seenBefore: now - .seconds(1), now: now)
    var taken = try #require(try await subject.store.load(ahead.hash))
    #expect(taken.createdAt == now && taken.lastSeenAt == now)
    expectSame(try await subject.store.load(close.hash), close)
    // A save does not undo it.
    taken.generation = 2
    try await subject.store.save(taken, replacing: 1)
    #expect(try await subject.store.load(ahead.hash)?.createdAt == now)
  }

  @Test(arguments: Kind.allCases)
  func `hands a record out once, of its kind only`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let now = subject.clock.now
    let key = Ticket.make().hash
    try await subject.store.put(
      SingleUseRecord(kind: .signIn, key: key, payload: [1, 2, 3], expiresAt: now + .seconds(600)))
    #expect(try await subject.store.take(.continuation, key, owner: nil, now: now) == .missing)
    #expect(try await subject.store.take(.signIn, Ticket.make().hash, owner: nil, now: now) == .missing)
    #expect(try await subject.store.take(.signIn, key, owner: nil, now: now) == .taken([1, 2, 3]))
    #expect(try await subject.store.take(.signIn, key, owner: nil, now: now) == .missing)
  }

  @Test(arguments: Kind.allCases)
  func `hands a record to one of many who ask at once`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let now = subject.clock.now
    let key = Ticket.make().hash
    try await subject.store.put(
      SingleUseRecord(kind: .signIn, key: key, payload: [9], expiresAt: now + .seconds(1)))
    let store = subject.store
    let taken = try await withThrowingTaskGroup(of: RecordTake.self) { group in
      for _ in 0..<50 { group.addTask { try await store.take(.signIn, key, owner: nil, now: now) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(taken.filter { $0 == .taken([9]) }.count == 1)
    #expect(taken.filter { $0 == .missing }.count == 49)
  }

  @Test(arguments: Kind.allCases)
  func `keeps a bound record for its owner, and others cannot use it up`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let now = subject.clock.now
    let key = Ticket.make().hash
    try await subject.store.put(
      SingleUseRecord(
        kind: .continuation, key: key, owner: .alice, payload: [4], expiresAt: now + .seconds(600)))
    #expect(try await subject.store.take(.continuation, key, owner: .bob, now: now) == .foreign)
    #expect(try await subject.store.take(.continuation, key, owner: nil, now: now) == .foreign)
    #expect(try await subject.store.take(.continuation, key, owner: .alice, now: now) == .taken([4]))
    #expect(try await subject.store.take(.continuation, key, owner: .bob, now: now) == .missing)
  }

  @Test(arguments: Kind.allCases)
  func `an expired record is missing for everybody`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let key = Ticket.make().hash
    let expiry = subject.clock.now + .seconds(600)
    for owner in [UserKey.alice, nil] {
      try await subject.store.put(
        SingleUseRecord(kind: .continuation, key: key, owner: owner, payload: [4], expiresAt: expiry))
      #expect(try await subject.store.take(.continuation, key, owner: .bob, now: expiry) == .missing)
    }
  }

  @Test(arguments: Kind.allCases)
  func `a flood of records pushes out those that expire first, of the same kind only`(kind: Kind) async throws
  {
    let subject = try await Subject(kind, maxRecordsPerKind: 16)
    let now = subject.clock.now
    let keys = (0..<20).map { _ in Ticket.make().hash }
    let other = Ticket.make().hash
    try await subject.store.put(
      SingleUseRecord(kind: .continuation, key: other, payload: [0], expiresAt: now + .seconds(1)))
    for (i, key) in keys.enumerated() {
      try await subject.store.put(
        SingleUseRecord(kind: .signIn, key: key, payload: [1], expiresAt: now + .seconds(Int64(100 + i))))
    }
    var kept: [Int] = []
    for (i, key) in keys.enumerated()
    where try await subject.store.take(.signIn, key, owner: nil, now: now) != .missing {
      kept.append(i)
    }
    #expect(kept == Array(4..<20))
    #expect(try await subject.store.take(.continuation, other, owner: nil, now: now) == .taken([0]))
  }

  @Test(arguments: Kind.allCases)
  func `after its end everything fails as unavailable`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    await subject.store.close()
    do {
      _ = try await subject.store.load(Ticket.make().hash)
      Issue.record("answered")
    } catch {
      guard case .unavailable = error else {
        Issue.record("\(error)")
        return
      }
    }
    await #expect(throws: StoreError.self) { try await subject.store.ping() }
  }
}
