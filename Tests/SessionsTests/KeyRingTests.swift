import Basics
import Testing

@testable import Sessions

@Suite struct `A change of the key ring in a SQLite file` {
  private let clock = FakeClock()

  private func ring(_ current: SealingKey, _ older: SealingKey...) -> KeyRing {
    KeyRing(current: current, older: older)
  }

  /// A store with sessions, a record and a note under one key.
  private struct Scene {
    let directory: TemporaryDirectory
    let old = SealingKey.make()
    let sealer: Sealer
    let store: SQLiteSessionStore
    var sessions: [Session] = []
    let record: SingleUseRecord
    let note: Note

    init(_ clock: FakeClock, sessions count: Int = 5) async throws {
      directory = try TemporaryDirectory()
      sealer = Sealer(current: old)
      store = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: sealer)
      record = SingleUseRecord(
        kind: .continuation, key: Ticket.make().hash, owner: .alice, payload: [4],
        expiresAt: clock.now + .seconds(60))
      note = Note(kind: .consent, owner: .alice, key: "a", payload: [1], updatedAt: clock.now)
      for _ in 0..<count {
        let session = Session.sample(now: clock.now)
        sessions.append(session)
        try await store.insert(session, removing: nil, aliasUntil: nil)
      }
      try await store.put(record)
      try await store.put(
        SingleUseRecord(
          kind: .signIn, key: Ticket.make().hash, payload: [5], expiresAt: clock.now + .seconds(60)))
      try await store.put(note, keeping: 10)
      try await store.put(
        Note(kind: .toolScopes, owner: nil, key: "b", payload: [2], updatedAt: clock.now), keeping: 10)
    }

    /// Turns until the walk is done.
    func resealAll(limit: Int) async throws -> (turns: Int, resealed: Int, unreadable: Int) {
      var (turns, resealed) = (0, 0)
      while turns < 100 {
        let turn = try await store.reseal(limit: limit)
        turns += 1
        resealed += turn.resealed
        if turn.isDone { return (turns, resealed, turn.unreadable) }
      }
      throw StoreError.unavailable("never done")
    }
  }

  @Test(arguments: [1, 2, 3, 100])
  func `everything that is stored is sealed again, some of it at a time`(limit: Int) async throws {
    let scene = try await Scene(clock)
    let new = SealingKey.make()
    try await scene.store.adopt(ring(new, scene.old))
    let walk = try await scene.resealAll(limit: limit)
    // Five sessions, two records, two notes.
    #expect(walk.resealed == 9 && walk.unreadable == 0)
    #expect(walk.turns >= 9 / limit && walk.turns <= 9 / limit + 3)
    // A second walk finds nothing.
    let again = try await scene.resealAll(limit: limit)
    #expect(again.resealed == 0 && again.turns == walk.turns)
    try await scene.store.adopt(ring(new))
    for session in scene.sessions { expectSame(try await scene.store.load(session.hash), session) }
    #expect(
      try await scene.store.take(.continuation, scene.record.key, owner: .alice, now: clock.now)
        == .taken([4]))
    #expect(try await scene.store.notes(.consent, owner: .alice) == [scene.note])
    #expect(try await scene.store.notes(.toolScopes, owner: nil).count == 1)
    await scene.store.close()
  }

  @Test func `a ring without the key in use is refused, and the one before stays`() async throws {
    let scene = try await Scene(clock)
    await #expect(throws: StoreError.sealed(.unknownKey)) { try await scene.store.adopt(ring(.make())) }
    #expect(scene.sealer.ring == ring(scene.old))
    for session in scene.sessions { expectSame(try await scene.store.load(session.hash), session) }
    await scene.store.close()
  }

  @Test func `a store that cannot be written keeps the ring before`() async throws {
    let scene = try await Scene(clock)
    await scene.store.close()
    await #expect(throws: StoreError.self) { try await scene.store.adopt(ring(.make(), scene.old)) }
    #expect(scene.sealer.ring == ring(scene.old))
  }

  @Test func `an older key that goes too early takes with it what it sealed, and nothing else`() async throws
  {
    let scene = try await Scene(clock)
    let new = SealingKey.make()
    try await scene.store.adopt(ring(new, scene.old))
    // One is sealed again by being read, one is new.
    _ = try await scene.store.load(scene.sessions[0].hash)
    let late = Session.sample(.bob, now: clock.now)
    try await scene.store.insert(late, removing: nil, aliasUntil: nil)
    try await scene.store.adopt(ring(new))
    for session in [scene.sessions[0], late] { expectSame(try await scene.store.load(session.hash), session) }
    for session in scene.sessions[1...] {
      await #expect(throws: StoreError.sealed(.unknownKey)) { try await scene.store.load(session.hash) }
    }
    // Four sessions, two records and two notes, which are told.
    let walk = try await scene.resealAll(limit: 3)
    #expect(walk.resealed == 0 && walk.unreadable == 8)
    // Put back, it opens them again.
    try await scene.store.adopt(ring(new, scene.old))
    for session in scene.sessions { expectSame(try await scene.store.load(session.hash), session) }
    await scene.store.close()
  }

  @Test func `a ring that changes during a walk begins it anew`() async throws {
    let scene = try await Scene(clock)
    let (second, third) = (SealingKey.make(), SealingKey.make())
    try await scene.store.adopt(ring(second, scene.old))
    #expect(try await scene.store.reseal(limit: 3) == ResealTurn(resealed: 3, isDone: false))
    try await scene.store.adopt(ring(third, second, scene.old))
    #expect(try await scene.resealAll(limit: 4).resealed == 9)
    try await scene.store.adopt(ring(third))
    for session in scene.sessions { expectSame(try await scene.store.load(session.hash), session) }
    await scene.store.close()
  }

  @Test func `rows that somebody damaged are counted and left`() async throws {
    let scene = try await Scene(clock)
    try await scene.store.adopt(ring(.make(), scene.old))
    try await scene.directory.sql(
      """
      UPDATE sessions SET sealed = 7 WHERE rowid = 1; UPDATE sessions SET hash = 'short' WHERE rowid = 2;
      UPDATE records SET kind = x'ff00' WHERE rowid = 1; UPDATE notes SET key = x'01' WHERE rowid = 1;
      UPDATE notes SET updated_at = 'now' WHERE rowid = 2;
      """)
    let walk = try await scene.resealAll(limit: 2)
    #expect(walk.resealed == 4 && walk.unreadable == 5)
    #expect(try await scene.directory.rows(of: "sessions") == 5)
    await scene.store.close()
  }

  @Test func `a store in memory has nothing to seal`() async throws {
    let store = MemorySessionStore()
    try await store.adopt(ring(.make()))
    #expect(try await store.reseal(limit: 10) == ResealTurn(isDone: true))
  }
}
