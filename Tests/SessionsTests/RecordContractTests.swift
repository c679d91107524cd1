import Basics
import Sessions
import Testing

/// Records that are looked at, bounded and removed by their owner; each test runs on each store.
@Suite struct `Records in every store` {
  typealias Kind = `Every store`.Kind
  typealias Subject = `Every store`.Subject

  @Test(arguments: Kind.allCases)
  func `a record that was looked at can still be taken, once`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now, key) = (subject.store, subject.clock.now, Ticket.make().hash)
    try await store.put(
      SingleUseRecord(
        kind: .keptCall, key: key, owner: .alice, payload: [7], expiresAt: now + .seconds(60)))
    for _ in 0..<2 {
      #expect(try await store.peek(.keptCall, key, owner: .alice, now: now) == .taken([7]))
      #expect(try await store.peek(.keptCall, key, owner: .bob, now: now) == .foreign)
      #expect(try await store.peek(.keptCall, key, owner: nil, now: now) == .foreign)
      #expect(try await store.peek(.signIn, key, owner: .alice, now: now) == .missing)
      #expect(
        try await store.peek(.keptCall, key, owner: .alice, now: now + .seconds(60)) == .missing)
    }
    #expect(try await store.take(.keptCall, key, owner: .alice, now: now) == .taken([7]))
    #expect(try await store.peek(.keptCall, key, owner: .alice, now: now) == .missing)
  }

  @Test(arguments: Kind.allCases)
  func `of many that claim one key at once, one alone succeeds, and again only after the end`(kind: Kind)
    async throws
  {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    let record = SingleUseRecord.logoutToken(issuer: "https://id.example", id: "t1", usableUntil: now)
    let won = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<16 { group.addTask { (try? await store.claim(record, now: now)) ?? false } }
      return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(won == 1)
    #expect(try await !store.claim(record, now: record.expiresAt - .milliseconds(1)))
    #expect(try await store.claim(record, now: record.expiresAt))
    for other in [
      SingleUseRecord.logoutToken(issuer: "https://id.example", id: "t2", usableUntil: now),
      SingleUseRecord.logoutToken(issuer: "https://other.example", id: "t1", usableUntil: now),
    ] {
      #expect(try await store.claim(other, now: now))
    }
  }

  @Test(arguments: Kind.allCases)
  func `the tickets of a session at the provider are found by issuer and sid together`(kind: Kind)
    async throws
  {
    let subject = try await Subject(kind)
    let store = subject.store
    var expected: Set<TicketHash> = []
    for (issuer, sid) in [("a", "s1"), ("a", "s1"), ("a", "s2"), ("b", "s1"), ("a", nil)] {
      let session = Session(
        hash: Ticket.make().hash, user: UserKey(issuer: issuer, subject: "x"), createdAt: subject.clock.now,
        lastSeenAt: subject.clock.now, sid: sid)
      try await store.insert(session, removing: nil)
      if issuer == "a", sid == "s1" { expected.insert(session.hash) }
    }
    #expect(Set(try await store.hashes(issuer: "a", sid: "s1")) == expected)
    #expect(try await store.hashes(issuer: "b", sid: "s2").isEmpty)
  }

  @Test(arguments: Kind.allCases)
  func `an owner's records of one kind can be discarded together`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    let cases: [(kind: RecordKind, owner: UserKey?, stays: Bool)] = [
      (.keptCall, .alice, false), (.keptCall, .alice, false), (.keptCall, .bob, true), (.keptCall, nil, true),
      (.continuation, .alice, true),
    ]
    let keys = cases.map { _ in Ticket.make().hash }
    for (item, key) in zip(cases, keys) {
      try await store.put(
        SingleUseRecord(
          kind: item.kind, key: key, owner: item.owner, payload: [1], expiresAt: now + .seconds(60)))
    }
    try await store.discard(.keptCall, owner: .alice)
    try await store.discard(.keptCall, owner: .alice)
    for (item, key) in zip(cases, keys) {
      let found = try await store.take(item.kind, key, owner: item.owner, now: now)
      #expect(found == (item.stays ? .taken([1]) : .missing))
    }
  }

  @Test(arguments: Kind.allCases)
  func `of one owner and kind only so many are kept, and those that expire first make room`(kind: Kind)
    async throws
  {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    func put(_ key: TicketHash, _ owner: UserKey?, expiresIn seconds: Int64, kind: RecordKind = .keptCall)
      async throws
    {
      try await store.put(
        SingleUseRecord(
          kind: kind, key: key, owner: owner, payload: [1], expiresAt: now + .seconds(seconds), perOwner: 3))
    }
    func kept(_ keys: [TicketHash], _ owner: UserKey?) async throws -> [Int] {
      var kept: [Int] = []
      for (i, key) in keys.enumerated()
      where try await store.peek(.keptCall, key, owner: owner, now: now) == .taken([1]) { kept.append(i) }
      return kept
    }
    let keys = (0..<6).map { _ in Ticket.make().hash }
    let theirs = (0..<4).map { _ in Ticket.make().hash }
    let otherKind = Ticket.make().hash
    try await put(otherKind, .alice, expiresIn: 1, kind: .continuation)
    for key in theirs { try await put(key, nil, expiresIn: 5) }
    try await put(keys[0], .alice, expiresIn: 30)
    try await put(keys[1], .alice, expiresIn: 20)
    try await put(keys[2], .alice, expiresIn: 40)
    // Put again, it needs no second place.
    try await put(keys[1], .alice, expiresIn: 20)
    #expect(try await kept(keys, .alice) == [0, 1, 2])
    // The new one stays even where it expires before all others.
    try await put(keys[3], .alice, expiresIn: 10)
    #expect(try await kept(keys, .alice) == [0, 2, 3])
    try await put(keys[4], .alice, expiresIn: 40)
    try await put(keys[5], .alice, expiresIn: 40)
    // Of the same expiry, the first to come goes first.
    try await put(keys[0], .alice, expiresIn: 40)
    #expect(try await kept(keys, .alice) == [0, 4, 5])
    #expect(try await kept(theirs, nil) == [0, 1, 2, 3])
    #expect(try await store.take(.continuation, otherKind, owner: .alice, now: now) == .taken([1]))
  }

  @Test(arguments: Kind.allCases)
  func `a record that is put again under another owner is that owner's alone`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now, key) = (subject.store, subject.clock.now, Ticket.make().hash)
    for owner in [UserKey.alice, .bob] {
      try await store.put(
        SingleUseRecord(
          kind: .keptCall, key: key, owner: owner, payload: [1], expiresAt: now + .seconds(60), perOwner: 1))
    }
    try await store.discard(.keptCall, owner: .alice)
    #expect(try await store.take(.keptCall, key, owner: .bob, now: now) == .taken([1]))
  }

  @Test(arguments: Kind.allCases)
  func `the tickets of a user are those of the sessions that are there`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    let (one, two, bob) = (
      Session.sample(now: now), Session.sample(now: now), Session.sample(.bob, now: now)
    )
    for session in [one, two, bob] { try await store.insert(session, removing: nil) }
    #expect(try await Set(store.hashes(of: .alice)) == [one.hash, two.hash])
    try await store.delete(one.hash)
    #expect(try await store.hashes(of: .alice) == [two.hash])
    #expect(try await store.hashes(of: UserKey(issuer: "i", subject: "nobody")) == [])
  }
}
