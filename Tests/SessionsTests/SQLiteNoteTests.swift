import Basics
import Sessions
import Testing

@Suite struct `Notes in the SQLite file` {
  private let clock = FakeClock()

  private func open(_ directory: TemporaryDirectory, _ sealer: Sealer) async throws -> SQLiteSessionStore {
    try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: sealer)
  }

  private func note(_ key: String, owner: UserKey? = .alice, payload: [UInt8] = [1]) -> Note {
    Note(kind: .consent, owner: owner, key: key, payload: payload, updatedAt: clock.now)
  }

  @Test func `show neither owner, key nor content`() async throws {
    let directory = try TemporaryDirectory()
    let store = try await open(directory, Sealer(current: .make()))
    for owner in [UserKey.alice, nil] {
      try await store.put(
        note("key-canary alice@mail.example", owner: owner, payload: Array("payload-canary".utf8)),
        keeping: 10)
    }
    func check() throws {
      let bytes = try directory.everyByte()
      #expect(bytes.contains(bytes: UserKey.alice.digest.bytes), "the search would not find anything")
      for text in ["canary", "alice", "id.example", "mail.example"] {
        #expect(!bytes.contains(text: text))
      }
    }
    try check()
    await store.close()
    try check()
  }

  @Test(arguments: [
    // A content moved to another row, an owner or a key exchanged, a time or a kind changed.
    "UPDATE notes SET sealed = (SELECT sealed FROM notes WHERE length(owner) = 0) WHERE length(owner) > 0",
    "UPDATE notes SET owner = zeroblob(32) WHERE length(owner) = 0; "
      + "UPDATE notes SET owner = x'' WHERE owner <> zeroblob(32)",
    "UPDATE notes SET key = zeroblob(32) WHERE length(owner) > 0",
    "UPDATE notes SET updated_at = updated_at + 1", "UPDATE notes SET kind = 'tool-scopes'",
    "UPDATE notes SET sealed = x'01'", "UPDATE notes SET key = x'01' WHERE length(owner) > 0",
  ])
  func `a row that was tampered with is left out, and stays`(statement: String) async throws {
    let directory = try TemporaryDirectory()
    let store = try await open(directory, Sealer(current: .make()))
    try await store.put(note("a"), keeping: 10)
    try await store.put(note("a", owner: nil, payload: [2]), keeping: 10)
    try await directory.sql(statement)
    #expect(try await store.notes(.consent, owner: .alice).isEmpty)
    #expect(try await store.notes(.toolScopes, owner: .alice).isEmpty)
    #expect(try await store.notes(.consent, owner: nil).allSatisfy { $0.payload == [2] })
    #expect(try await store.notes(.toolScopes, owner: nil).isEmpty)
    #expect(try await directory.rows(of: "notes") == 2)
    let good = note("good")
    try await store.put(good, keeping: 10)
    #expect(try await store.notes(.consent, owner: .alice) == [good])
    await store.close()
  }

  @Test func `what was read after a change of keys is sealed under the new key`() async throws {
    let directory = try TemporaryDirectory()
    let (old, new) = (SealingKey.make(), SealingKey.make())
    let (read, unread) = (note("a"), note("b", owner: nil))
    let first = try await open(directory, Sealer(current: old))
    for note in [read, unread] { try await first.put(note, keeping: 10) }
    await first.close()
    let both = try await open(directory, Sealer(current: new, older: [old]))
    #expect(try await both.notes(.consent, owner: .alice) == [read])
    await both.close()
    let last = try await open(directory, Sealer(current: new))
    #expect(try await last.notes(.consent, owner: .alice) == [read])
    #expect(try await last.notes(.consent, owner: nil).isEmpty)
    await last.close()
    let again = try await open(directory, Sealer(current: new, older: [old]))
    #expect(try await again.notes(.consent, owner: nil) == [unread])
    await again.close()
  }
}
