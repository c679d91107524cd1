import Basics
import Redis
import Testing

@testable import Sessions

@Suite struct `Sealing anew in Redis` {
  private let clock = FakeClock()

  /// Sessions, records and notes under one key.
  private struct Scene {
    let place: RedisPlace
    let store: RedisSessionStore
    let old = SealingKey.make()
    let sessions: [Session]
    let record: SingleUseRecord
    let note: Note

    init(_ kind: RedisPlace.Kind, _ clock: FakeClock) async throws {
      place = try RedisPlace(kind, sealer: Sealer(current: old))
      store = try await place.open(clock: clock.wallClock)
      let now = clock.now
      sessions = (0..<5).map { _ in Session.sample(now: now) }
      for session in sessions { try await store.insert(session, removing: nil, aliasUntil: nil) }
      record = SingleUseRecord(
        kind: .continuation, key: Ticket.make().hash, owner: .alice, payload: [4],
        expiresAt: now + .seconds(600))
      try await store.put(record)
      try await store.put(
        SingleUseRecord(kind: .signIn, key: Ticket.make().hash, payload: [1], expiresAt: now + .seconds(600)))
      note = Note(kind: .consent, owner: .alice, key: "k", payload: [7], updatedAt: now)
      try await store.put(note, keeping: 5)
      try await store.put(Note(kind: .toolScopes, key: "t", payload: [8], updatedAt: now), keeping: 5)
    }

    func resealAll(limit: Int) async throws -> ResealTurn {
      var sum = ResealTurn()
      for _ in 0..<100 {
        let turn = try await store.reseal(limit: limit)
        sum.resealed += turn.resealed
        #expect(turn.resealed <= limit)
        if turn.isDone {
          sum.unreadable = turn.unreadable
          return sum
        }
      }
      Issue.record("no end")
      return sum
    }
  }

  private func ring(_ current: SealingKey, _ older: SealingKey...) -> KeyRing {
    Sealer(current: current, older: older).ring
  }

  @Test(arguments: RedisPlace.Kind.allCases, [1, 4, 100])
  func `after a walk the older key can go, and nothing is lost`(kind: RedisPlace.Kind, limit: Int)
    async throws
  {
    let scene = try await Scene(kind, clock)
    let new = SealingKey.make()
    try await scene.store.adopt(ring(new, scene.old))
    #expect(try await scene.resealAll(limit: limit) == ResealTurn(resealed: 9))
    #expect(try await scene.resealAll(limit: limit) == ResealTurn(resealed: 0))
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
    let scene = try await Scene(.single, clock)
    await #expect(throws: StoreError.sealed(.unknownKey)) { try await scene.store.adopt(ring(.make())) }
    for session in scene.sessions { expectSame(try await scene.store.load(session.hash), session) }
    await scene.store.close()
  }

  @Test func `where Redis lost what it had, any ring will do`() async throws {
    let scene = try await Scene(.single, clock)
    _ = try await scene.place.ask("DEL", try await scene.place.keys())
    let new = SealingKey.make()
    try await scene.store.adopt(ring(new))
    try await scene.store.insert(scene.sessions[0], removing: nil, aliasUntil: nil)
    let other = try await scene.place.open(sealer: Sealer(current: new))
    expectSame(try await other.load(scene.sessions[0].hash), scene.sessions[0])
    for store in [scene.store, other] { await store.close() }
  }

  @Test func `what no key opens is counted and left`() async throws {
    let scene = try await Scene(.single, clock)
    let new = SealingKey.make()
    try await scene.store.adopt(ring(new, scene.old))
    _ = try await scene.store.load(scene.sessions[0].hash)
    try await scene.store.adopt(ring(new))
    // Four sessions, two records and two notes.
    #expect(try await scene.resealAll(limit: 3) == ResealTurn(resealed: 0, unreadable: 8))
    try await scene.store.adopt(ring(new, scene.old))
    for session in scene.sessions { expectSame(try await scene.store.load(session.hash), session) }
    await scene.store.close()
  }

  @Test func `a ring that changes during a walk begins it anew`() async throws {
    let scene = try await Scene(.single, clock)
    let (second, third) = (SealingKey.make(), SealingKey.make())
    try await scene.store.adopt(ring(second, scene.old))
    #expect(try await scene.store.reseal(limit: 3) == ResealTurn(resealed: 3, isDone: false))
    try await scene.store.adopt(ring(third, second, scene.old))
    #expect(try await scene.resealAll(limit: 4).resealed == 9)
    await scene.store.close()
  }
}
