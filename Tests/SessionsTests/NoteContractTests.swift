import Basics
import Sessions
import Testing

/// What every store has to do with notes; each test runs on each store.
@Suite struct `Notes in every store` {
  typealias Kind = `Every store`.Kind
  typealias Subject = `Every store`.Subject

  private func note(
    _ key: String, _ payload: [UInt8] = [1], owner: UserKey? = .alice, kind: NoteKind = .consent,
    at time: Timestamp
  ) -> Note {
    Note(kind: kind, owner: owner, key: key, payload: payload, updatedAt: time)
  }

  @Test(arguments: Kind.allCases)
  func `come back as they were put in, the latest first, apart by kind and owner`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    let old = note("old", [1, 2], at: now)
    let new = note("new", [], at: now + .seconds(2))
    let middle = note("middle", [3], at: now + .seconds(1))
    let same = note("same time", [4], at: now + .seconds(1))
    let others = [
      note("old", [5], owner: .bob, at: now), note("old", [6], owner: nil, at: now),
      note("old", [7], kind: .toolScopes, at: now), note("", [8], owner: nil, kind: .toolScopes, at: now),
    ]
    for note in [old, new, middle, same] + others { try await store.put(note, keeping: 10) }
    #expect(try await store.notes(.consent, owner: .alice) == [new, same, middle, old])
    for other in others { #expect(try await store.notes(other.kind, owner: other.owner) == [other]) }
    #expect(try await store.notes(NoteKind("other"), owner: .alice) == [])
  }

  @Test(arguments: Kind.allCases)
  func `a note takes the place of the one under its key`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    try await store.put(note("a", at: now), keeping: 2)
    try await store.put(note("b", at: now + .seconds(1)), keeping: 2)
    let again = note("a", [9], at: now + .seconds(2))
    try await store.put(again, keeping: 2)
    #expect(try await store.notes(.consent, owner: .alice) == [again, note("b", at: now + .seconds(1))])
  }

  @Test(arguments: Kind.allCases)
  func `beyond the limit the oldest go, whoever was put last, of this kind and owner only`(kind: Kind)
    async throws
  {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    try await store.put(note("x", owner: .bob, at: now), keeping: 3)
    try await store.put(note("x", kind: .toolScopes, at: now), keeping: 3)
    for i in [3, 1, 4, 2, 5] as [Int64] {
      try await store.put(note("\(i)", at: now + .seconds(i)), keeping: 3)
    }
    func keys() async throws -> [String] { try await store.notes(.consent, owner: .alice).map(\.key) }
    #expect(try await keys() == ["5", "4", "3"])
    try await store.put(note("0", at: now), keeping: 3)
    #expect(try await keys() == ["5", "4", "3"])
    try await store.put(note("6", at: now + .seconds(5)), keeping: 2)
    #expect(try await keys() == ["6", "5"])
    try await store.put(note("7", at: now + .seconds(7)), keeping: 0)
    #expect(try await keys() == [])
    #expect(try await store.notes(.consent, owner: .bob).count == 1)
    #expect(try await store.notes(.toolScopes, owner: .alice).count == 1)
  }

  @Test(arguments: Kind.allCases)
  func `a key or a content that is too long is refused, and nothing changes`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    let largest = note(
      String(repeating: "ä", count: 128), Array(repeating: 7, count: Note.maxPayloadBytes), at: now)
    try await store.put(largest, keeping: 10)
    await #expect(throws: StoreError.tooLarge(limit: 256)) {
      try await store.put(note(largest.key + "x", at: now), keeping: 1)
    }
    await #expect(throws: StoreError.tooLarge(limit: 16_384)) {
      try await store.put(note("a", largest.payload + [1], at: now), keeping: 1)
    }
    #expect(try await store.notes(.consent, owner: .alice) == [largest])
  }

  @Test(arguments: Kind.allCases)
  func `one can be removed, or all of a kind and owner`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    let owners = [UserKey.alice, .bob, nil]
    for owner in owners {
      for key in ["a", "b"] { try await store.put(note(key, owner: owner, at: now), keeping: 10) }
    }
    try await store.removeNote(.consent, owner: .alice, key: "a")
    try await store.removeNote(.consent, owner: .alice, key: "a")
    try await store.removeNote(.toolScopes, owner: .alice, key: "b")
    try await store.removeNotes(.consent, owner: nil)
    try await store.removeNotes(.toolScopes, owner: .bob)
    var left: [[String]] = []
    for owner in owners { left.append(try await store.notes(.consent, owner: owner).map(\.key)) }
    #expect(left == [["b"], ["b", "a"], []])
  }

  @Test(arguments: Kind.allCases)
  func `those that were not written for long are swept, whoever's they are`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let (store, now) = (subject.store, subject.clock.now)
    for owner in [UserKey.alice, nil] {
      try await store.put(note("old", owner: owner, kind: .toolScopes, at: now), keeping: 10)
      try await store.put(
        note("new", owner: owner, kind: .toolScopes, at: now + .milliseconds(1)), keeping: 10)
    }
    // Sweeping sessions and records leaves them alone.
    let later = now + .seconds(1_000_000)
    try await store.sweep(createdBefore: later, seenBefore: later, now: later)
    try await store.sweepNotes(updatedBefore: now)
    for owner in [UserKey.alice, nil] {
      #expect(try await store.notes(.toolScopes, owner: owner).map(\.key) == ["new"])
    }
  }

  @Test(arguments: Kind.allCases)
  func `a closed store neither keeps nor gives any`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    await subject.store.close()
    await #expect(throws: StoreError.self) {
      try await subject.store.put(note("a", at: subject.clock.now), keeping: 1)
    }
    await #expect(throws: StoreError.self) { try await subject.store.notes(.consent, owner: .alice) }
  }
}
