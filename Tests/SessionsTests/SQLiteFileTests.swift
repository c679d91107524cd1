import Basics
import Glibc
import Testing

@testable import Sessions

@Suite struct `The SQLite file` {
  private let clock = FakeClock()

  @Test func `shows no ticket, token, name or record, neither in the database nor in its log`() async throws {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    let ticket = Ticket.make()
    var session = Session.sample(ticket: ticket.hash, now: clock.now)
    try await store.insert(session, removing: nil)
    session.generation = 2
    try await store.save(session, replacing: 1)
    try await store.put(
      SingleUseRecord(
        kind: .signIn, key: ticket.hash, payload: Array("verifier-canary".utf8),
        expiresAt: clock.now + .seconds(600)))
    func check() throws {
      let bytes = try directory.everyByte()
      #expect(bytes.contains(bytes: ticket.hash.digest.bytes), "the search would not find anything")
      #expect(!bytes.contains(bytes: try #require(Base64URL.decode(ticket.reveal()))))
      for text in ["canary", ticket.reveal(), "alice", "Alice", "id.example"] {
        #expect(!bytes.contains(text: text))
      }
    }
    #expect(try directory.names().contains("s.db-wal"))
    try check()
    await store.close()
    try check()
  }

  @Test func `is readable and writable by its owner only, its log too`() async throws {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    try await store.insert(.sample(now: clock.now), removing: nil)
    let names = try directory.names()
    #expect(names == ["s.db", "s.db-shm", "s.db-wal"])
    for name in names { #expect(mode(of: directory.file(name)) == 0o600) }
    await store.close()
  }

  @Test func `keeps every write that returned when the process is killed`() async throws {
    let directory = try TemporaryDirectory()
    let key = SealingKey.make()
    let ticket = Ticket.make()
    try key.write(newFile: directory.file("key"))
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = directory.path as String, ticketText = ticket.reveal() as String] in
      let sealer = Sealer(current: try SealingKey(file: path + "/key"))
      let store = try await SQLiteSessionStore.open(path: path + "/s.db", sealer: sealer)
      let hash = try #require(TicketHash(ticketText))
      var session = Session.sample(ticket: hash, now: Timestamp(milliseconds: 1000))
      try await store.insert(session, removing: nil)
      session.generation = 2
      session.refreshToken = Secret("rotated")
      try await store.save(session, replacing: 1)
      kill(getpid(), SIGKILL)
    }
    let store = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: Sealer(current: key))
    let session = try #require(try await store.load(ticket.hash))
    #expect(session.generation == 2 && session.refreshToken == Secret("rotated"))
    await store.close()
  }

  @Test func `is open to a second connection while the first was never closed`() async throws {
    let directory = try TemporaryDirectory()
    let sealer = Sealer(current: .make())
    let first = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: sealer)
    let session = Session.sample(now: clock.now)
    try await first.insert(session, removing: nil)
    let second = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: sealer)
    expectSame(try await second.load(session.hash), session)
    await second.close()
    await first.close()
  }

  @Test func `a row copied over another user's row does not open`() async throws {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    let (alice, bob) = (Session.sample(.alice, now: clock.now), Session.sample(.bob, now: clock.now))
    try await store.insert(alice, removing: nil)
    try await store.insert(bob, removing: nil)
    try await directory.sql(
      "UPDATE sessions SET sealed = (SELECT sealed FROM sessions WHERE hash = \(literal(alice.hash))) "
        + "WHERE hash = \(literal(bob.hash))")
    await #expect(throws: StoreError.sealed(.notAuthentic)) { try await store.load(bob.hash) }
    expectSame(try await store.load(alice.hash), alice)
    await store.close()
  }

  @Test(arguments: [
    // An earlier row's seal, kept by somebody; and a row that says to be another user's, provider session's or version.
    "sealed = (SELECT sealed FROM kept)", "generation = 9", "generation = 1", "user = zeroblob(32)",
    "sid = NULL", "sid = zeroblob(32)",
    "(user, sid) = (SELECT user, sid FROM sessions AS other WHERE other.hash <> sessions.hash)",
  ])
  func `a session's row whose parts do not belong together does not open`(change: String) async throws {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    var alice = Session.sample(.alice, now: clock.now)
    let bob = Session.sample(.bob, now: clock.now)
    try await store.insert(alice, removing: nil)
    try await store.insert(bob, removing: nil)
    try await directory.sql(
      "CREATE TABLE kept AS SELECT sealed FROM sessions WHERE hash = \(literal(alice.hash))")
    alice.generation = 2
    try await store.save(alice, replacing: 1)
    try await directory.sql("UPDATE sessions SET \(change) WHERE hash = \(literal(alice.hash))")
    await #expect(throws: StoreError.sealed(.notAuthentic)) { try await store.load(alice.hash) }
    let page = try await store.page(after: nil, limit: 10)
    #expect(page.unreadable == 1 && page.sessions.map(\.hash) == [bob.hash])
    await store.close()
  }

  @Test func `a beginning that is set later in the file does not prolong a session`() async throws {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    let session = Session.sample(now: clock.now)
    try await store.insert(session, removing: nil)
    try await directory.sql("UPDATE sessions SET created_at = created_at + 3600000")
    #expect(try await store.load(session.hash)?.createdAt == session.createdAt)
    try await directory.sql("UPDATE sessions SET created_at = created_at - 7200000")
    #expect(try await store.load(session.hash)?.createdAt == session.createdAt - .seconds(3600))
    await store.close()
  }

  @Test(arguments: [
    "UPDATE aliases SET new = \(bob)", "UPDATE aliases SET until = until + 1",
    "INSERT INTO aliases (old, new, until, sealed) SELECT zeroblob(32), new, until, sealed FROM aliases",
    "UPDATE aliases SET old = zeroblob(32)", "UPDATE aliases SET sealed = 7",
  ])
  func `a ticket that somebody lets stand for a session in the file stands for none`(change: String)
    async throws
  {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    let (old, new) = (Session.sample(now: clock.now), Session.sample(now: clock.now))
    let bob = Session.sample(.bob, ticket: Self.bobsTicket, now: clock.now)
    for session in [old, bob] { try await store.insert(session, removing: nil) }
    try await store.insert(new, removing: old.hash, aliasUntil: clock.now + .seconds(60))
    #expect(try await store.alias(of: old.hash, now: clock.now) == new.hash)
    try await directory.sql(change)
    let forged = change.contains("zeroblob") ? TicketHash(digest: Bytes32(0, 0, 0, 0)) : old.hash
    #expect(try await store.alias(of: forged, now: clock.now) == nil)
    // Nor does it become ours when the session is replaced once more.
    try await store.insert(
      Session.sample(now: clock.now), removing: change.contains("new") ? bob.hash : new.hash,
      aliasUntil: clock.now + .seconds(60))
    #expect(try await store.alias(of: forged, now: clock.now) == nil)
    await store.close()
  }

  private static let bobsTicket = TicketHash(digest: Bytes32(1, 2, 3, 4))
  private static let bob =
    "x'" + bobsTicket.digest.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "'"

  @Test(arguments: ["owner = NULL", "expires_at = expires_at + 1", "kind = 'continuation'"])
  func `a record whose owner, expiry or kind was changed does not open`(change: String) async throws {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    let key = Ticket.make().hash
    let kind = RecordKind("other")
    try await store.put(
      SingleUseRecord(kind: kind, key: key, owner: .alice, payload: [1], expiresAt: clock.now + .seconds(600))
    )
    try await directory.sql("UPDATE records SET \(change)")
    let asked = change.hasPrefix("kind") ? RecordKind.continuation : kind
    await #expect(throws: StoreError.sealed(.notAuthentic)) {
      try await store.take(asked, key, owner: .alice, now: clock.now)
    }
    await store.close()
  }

  @Test func `a change of keys signs nobody out, and what was read is sealed under the new key`() async throws
  {
    let directory = try TemporaryDirectory()
    let (old, new) = (SealingKey.make(), SealingKey.make())
    let session = Session.sample(now: clock.now)
    let first = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: Sealer(current: old))
    try await first.insert(session, removing: nil)
    await first.close()
    let both = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: new, older: [old]))
    expectSame(try await both.load(session.hash), session)
    await both.close()
    let last = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: Sealer(current: new))
    expectSame(try await last.load(session.hash), session)
    await last.close()
  }

  @Test func `keys that do not fit are noticed at the opening`() async throws {
    let directory = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(
      path: directory.file("s.db"), sealer: Sealer(current: .make()))
    await store.close()
    await #expect(throws: StoreError.sealed(.unknownKey)) {
      try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: Sealer(current: .make()))
    }
  }

  @Test(arguments: [499, 500, 1001])
  func `a sweep takes everything that is too old, however much it is`(count: Int) async throws {
    let directory = try TemporaryDirectory()
    let sealer = Sealer(current: .make())
    let store = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: sealer)
    let young = Session.sample(now: clock.now)
    try await store.insert(young, removing: nil)
    let old = Session.sample(now: clock.now - .seconds(3600))
    try await store.insert(old, removing: nil)
    // Only their columns count here.
    try await directory.sql(
      """
      INSERT INTO sessions (hash, user, sid, generation, created_at, seen_at, sealed)
      WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < \(count))
      SELECT randomblob(32), user, sid, generation, created_at, seen_at, x'00' FROM n, sessions
      WHERE hash = \(literal(old.hash))
      """)
    try await store.sweep(
      createdBefore: clock.now - .seconds(7200), seenBefore: clock.now - .seconds(60), now: clock.now)
    #expect(try await store.count() == 1)
    expectSame(try await store.load(young.hash), young)
    await store.close()
  }

  @Test func `a file of something else is refused and not touched`() async throws {
    let directory = try TemporaryDirectory()
    let text = Array(repeating: "This is not a database. ", count: 100).joined()
    try write(text, to: directory.file("s.db"))
    do throws(StoreError) {
      _ = try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: Sealer(current: .make()))
      Issue.record("opened")
    } catch {
      guard case .corrupt = error else {
        Issue.record("\(error)")
        return
      }
    }
    #expect(try directory.everyByte() == Array(text.utf8))
  }

  @Test func `a database of another program is refused`() async throws {
    for statement in ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7"] {
      let directory = try TemporaryDirectory()
      try await directory.sql(statement)
      await #expect(throws: StoreError.corrupt("the file is a database of something else")) {
        try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: Sealer(current: .make()))
      }
    }
  }

  @Test func `a directory that does not exist is named`() async throws {
    await #expect(throws: StoreError.unavailable("/nowhere/s.db: No such file or directory")) {
      try await SQLiteSessionStore.open(path: "/nowhere/s.db", sealer: Sealer(current: .make()))
    }
  }

  private func literal(_ hash: TicketHash) -> String {
    "x'" + hash.digest.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + "'"
  }

  private func write(_ text: String, to path: String) throws {
    guard let file = unsafe fopen(path, "w") else { throw StoreError.unavailable(path) }
    unsafe fputs(text, file)
    unsafe fclose(file)
  }
}
