import Basics
import FoundationEssentials
import GRDB
import Glibc
import Testing

@testable import Sessions

@Suite struct `A SQLite file of an earlier version` {
  /// The tables as each version made them, on top of those of the version before. They are never changed.
  private static let recorded = [
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE sessions (
      hash BLOB PRIMARY KEY, user BLOB NOT NULL, sid BLOB, generation INTEGER NOT NULL,
      created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, sealed BLOB NOT NULL
    );
    CREATE INDEX sessions_user ON sessions (user);
    CREATE INDEX sessions_sid ON sessions (sid) WHERE sid IS NOT NULL;
    CREATE INDEX sessions_seen ON sessions (seen_at);
    CREATE INDEX sessions_created ON sessions (created_at);
    CREATE TABLE records (
      kind TEXT NOT NULL, key BLOB NOT NULL, owner BLOB, expires_at INTEGER NOT NULL, sealed BLOB NOT NULL,
      PRIMARY KEY (kind, key)
    );
    CREATE INDEX records_expiry ON records (kind, expires_at);
    PRAGMA application_id = 1131372916;
    PRAGMA user_version = 1;
    """,
    """
    CREATE TABLE notes (
      kind TEXT NOT NULL, owner BLOB NOT NULL, key BLOB NOT NULL, updated_at INTEGER NOT NULL,
      sealed BLOB NOT NULL, PRIMARY KEY (kind, owner, key)
    );
    CREATE INDEX notes_order ON notes (kind, owner, updated_at);
    CREATE INDEX notes_updated ON notes (updated_at);
    CREATE INDEX records_owner ON records (kind, owner, expires_at) WHERE owner IS NOT NULL;
    PRAGMA user_version = 2;
    """,
  ]

  /// A file of a version, with a session in each form that its program wrote, and a record.
  private struct Scene {
    let directory: TemporaryDirectory
    let version: Int
    let sealer = Sealer(current: .make())
    let clock = FakeClock()
    let sessions: [Session]
    let record: SingleUseRecord

    init(version: Int) async throws {
      directory = try TemporaryDirectory()
      self.version = version
      record = SingleUseRecord(
        kind: .continuation, key: Ticket.make().hash, owner: .alice, payload: [4],
        expiresAt: clock.now + .seconds(60))
      // What the forms of then had no place for.
      var first = Session.sample(now: clock.now)
      (first.provider, first.withheldScopes) = (nil, [])
      var second = Session.sample(.bob, now: clock.now, sid: nil)
      (second.provider, second.generation) = (nil, 7)
      sessions = [first, second]
      let (seal, sealed, kept) = (
        sealer, [Self.record(first, form: 1), Self.record(second, form: 2)], record
      )
      let steps = `A SQLite file of an earlier version`.recorded[..<version].joined()
      try await inFile { [sessions] db in
        try db.execute(sql: steps)
        try db.execute(
          sql: "INSERT INTO meta VALUES ('key-check', ?)",
          arguments: [Data(seal.seal(Array("coatcheck".utf8), for: .keyCheck))])
        for (session, record) in zip(sessions, sealed) {
          let sid = session.sid.map { UserKey.sidDigest(issuer: session.user.issuer, sid: $0).data }
          try db.execute(
            sql: """
              INSERT INTO sessions (hash, user, sid, generation, created_at, seen_at, sealed)
              VALUES (?, ?, ?, ?, ?, ?, ?)
              """,
            arguments: [
              session.hash.data, session.user.digest.data, sid, Int64(session.generation),
              session.createdAt.milliseconds, session.lastSeenAt.milliseconds,
              Data(seal.seal(record, for: .session(session.hash))),
            ])
        }
        let place = SealPlace.record(kept.kind, kept.key, kept.owner?.digest, kept.expiresAt)
        try db.execute(
          sql: "INSERT INTO records (kind, key, owner, expires_at, sealed) VALUES (?, ?, ?, ?, ?)",
          arguments: [
            kept.kind.name, kept.key.data, kept.owner?.digest.data, kept.expiresAt.milliseconds,
            Data(seal.seal(kept.payload, for: place)),
          ])
      }
    }

    /// The lists at the end came one after the other; an empty one is a count of four bytes.
    private static func record(_ session: Session, form: UInt8) -> [UInt8] {
      [form] + session.record().dropFirst().dropLast(form == 1 ? 8 : 4)
    }

    func inFile<T: Sendable>(_ work: @escaping @Sendable (Database) throws -> T) async throws -> T {
      let queue = try DatabaseQueue(path: directory.file("s.db"))
      let result = try await queue.writeWithoutTransaction(work)
      try queue.close()
      return result
    }

    func open() async throws(StoreError) -> SQLiteSessionStore {
      try await SQLiteSessionStore.open(path: directory.file("s.db"), sealer: sealer)
    }

    /// Everything that describes tables and their version.
    func schema() async throws -> [String] {
      try await inFile { db in
        try String.fetchAll(db, sql: "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
          + [String(try Int.fetchOne(db, sql: "PRAGMA user_version") ?? -1)]
      }
    }
  }

  @Test(arguments: [1, 2])
  func `is brought up to date when it is opened, and keeps everything`(version: Int) async throws {
    let scene = try await Scene(version: version)
    let store = try await scene.open()
    #expect(store.oldVersion == version)
    for session in scene.sessions { expectSame(try await store.load(session.hash), session) }
    #expect(
      try await store.take(.continuation, scene.record.key, owner: .alice, now: scene.clock.now)
        == .taken([4]))
    // What came later works on what was there before.
    var session = scene.sessions[0]
    session.provider = "staff"
    session.generation += 1
    try await store.save(session, replacing: 1)
    let note = Note(kind: .consent, owner: .alice, key: "a", payload: [1], updatedAt: scene.clock.now)
    try await store.put(note, keeping: 1)
    let lease = try await store.acquireLease(
      session.hash, holder: LeaseHolder(id: Bytes32(1, 2, 3, 4)), for: .seconds(5))
    guard case .granted = lease else {
      Issue.record("no lease")
      return
    }
    await store.close()
    let again = try await scene.open()
    #expect(again.oldVersion == nil)
    expectSame(try await again.load(session.hash), session)
    expectSame(try await again.load(scene.sessions[1].hash), scene.sessions[1])
    #expect(try await again.notes(.consent, owner: .alice) == [note])
    await again.close()
  }

  @Test(arguments: [1, 2])
  func `gets the tables that a new file has`(version: Int) async throws {
    let scene = try await Scene(version: version)
    await (try await scene.open()).close()
    let fresh = try TemporaryDirectory()
    let store = try await SQLiteSessionStore.open(path: fresh.file("s.db"), sealer: scene.sealer)
    #expect(store.oldVersion == nil)
    await store.close()
    func columns(_ directory: TemporaryDirectory) async throws -> [String] {
      let queue = try DatabaseQueue(path: directory.file("s.db"))
      let found = try await queue.read { db in
        try String.fetchAll(
          db,
          sql: """
            SELECT m.type || ' ' || m.name || ' ' || coalesce(c.name || ' ' || c.type, '')
            FROM sqlite_master AS m LEFT JOIN pragma_table_info(m.name) AS c ORDER BY 1
            """)
      }
      try queue.close()
      return found
    }
    #expect(try await columns(scene.directory) == columns(fresh))
  }

  @Test(arguments: [1, 2])
  func `stays as it is when the keys do not fit`(version: Int) async throws {
    let scene = try await Scene(version: version)
    let before = try await scene.schema()
    await #expect(throws: StoreError.sealed(.unknownKey)) {
      try await SQLiteSessionStore.open(path: scene.directory.file("s.db"), sealer: Sealer(current: .make()))
    }
    #expect(try await scene.schema() == before)
    let store = try await scene.open()
    for session in scene.sessions { expectSame(try await store.load(session.hash), session) }
    await store.close()
  }

  @Test func `stays as it is when a step fails half way`() async throws {
    let scene = try await Scene(version: 2)
    // The last step makes this table, after it has changed another.
    try await scene.directory.sql("CREATE TABLE aliases (x)")
    let before = try await scene.schema()
    await #expect(throws: StoreError.self) { try await scene.open() }
    #expect(try await scene.schema() == before)
    try await scene.directory.sql("DROP TABLE aliases")
    let store = try await scene.open()
    #expect(store.oldVersion == 2)
    for session in scene.sessions { expectSame(try await store.load(session.hash), session) }
    await store.close()
  }

  @Test(arguments: [1, 2])
  func `stays as it is when the program is killed half way`(version: Int) async throws {
    let scene = try await Scene(version: version)
    let before = try await scene.schema()
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = scene.directory.file("s.db") as String, key = scene.sealer.ring.current.reveal() as String] in
      var configuration = GRDB.Configuration()
      configuration.journalMode = .wal
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      try await queue.write { db in
        // A small cache, so that changed pages reach the file's log before the end of the transaction.
        try db.execute(sql: "PRAGMA cache_size = 1; PRAGMA cache_spill = 1")
        _ = try SQLiteSessionStore.prepare(db, sealer: Sealer(current: try SealingKey(text: key)))
        kill(getpid(), SIGKILL)
      }
    }
    #expect(try await scene.schema() == before)
    let store = try await scene.open()
    #expect(store.oldVersion == version)
    for session in scene.sessions { expectSame(try await store.load(session.hash), session) }
    await store.close()
  }

  @Test func `is used by the program before while the next one has opened it`() async throws {
    let scene = try await Scene(version: 2)
    // What the program of that version does, with the statements that it has.
    let old = try DatabaseQueue(path: scene.directory.file("s.db"))
    let store = try await scene.open()
    let session = Session.sample(now: scene.clock.now)
    let sealed = scene.sealer.seal(session.record(), for: .session(session.hash))
    try await old.write { db in
      try db.execute(
        sql: """
          INSERT INTO sessions (hash, user, sid, generation, created_at, seen_at, sealed)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          session.hash.data, session.user.digest.data,
          session.sid.map { UserKey.sidDigest(issuer: session.user.issuer, sid: $0).data }, 1,
          session.createdAt.milliseconds, session.lastSeenAt.milliseconds, Data(sealed),
        ])
    }
    expectSame(try await store.load(session.hash), session)
    try old.close()
    await store.close()
  }

  @Test func `is refused, and stays as it is, when it is of a later version`() async throws {
    let scene = try await Scene(version: 2)
    await (try await scene.open()).close()
    let later = SQLiteSessionStore.version + 1
    try await scene.directory.sql("PRAGMA user_version = \(later)")
    let before = try await scene.schema()
    let error = StoreError.newer(found: later, known: later - 1)
    await #expect(throws: error) { try await scene.open() }
    #expect(try await scene.schema() == before)
    let text = "\(error)"
    #expect(text.contains("version \(later)") && text.contains("up to \(later - 1)"))
    #expect(text.contains("run the program that wrote it or a newer one") && !text.contains("damaged"))
  }

  @Test(arguments: [0, -1])
  func `of a version that never was is refused`(version: Int) async throws {
    let scene = try await Scene(version: 2)
    try await scene.directory.sql("PRAGMA user_version = \(version)")
    await #expect(throws: StoreError.corrupt("the file has tables of version \(version)")) {
      try await scene.open()
    }
  }
}
