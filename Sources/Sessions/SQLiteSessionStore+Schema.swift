internal import Basics
internal import FoundationEssentials
internal import GRDB

extension SQLiteSessionStore {
  /// "Coat": marks the file as ours in its header (SQLite `application_id`).
  private static let applicationID: Int32 = 0x436F_6174
  /// Version of the tables (SQLite `user_version`).
  static let schemaVersion = Int32(steps.count)

  /// Makes the tables where there are none, brings those of an older version up to date, and
  /// checks that the file is ours and that the keys open it. In one transaction of the caller's: what fails or is killed on the way
  /// leaves the file as it was.
  ///
  /// No copy is made before. Steps only add, so nothing can be lost; and a copy would keep tokens of people who have signed out
  /// since, and refresh tokens that were used since, which a provider takes for stolen.
  /// - Returns: the version that the tables were brought up from; nil when they are new or were up to date.
  static func prepare(_ db: Database, sealer: Sealer) throws -> Int? {
    let version = try Int32.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    let application = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    if version == 0, application == 0 {
      guard try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") == 0 else {
        throw StoreError.corrupt("the file is a database of something else")
      }
      try db.execute(sql: "PRAGMA application_id = \(applicationID)")
    } else if application != applicationID {
      throw StoreError.corrupt("the file is a database of something else")
    } else if version > schemaVersion {
      throw StoreError.newer(found: Int(version), known: Int(schemaVersion))
    } else if version < 1 {
      throw StoreError.corrupt("the file has tables of version \(version)")
    }
    for step in steps.dropFirst(Int(version)) { try db.execute(sql: step) }
    if version != schemaVersion { try db.execute(sql: "PRAGMA user_version = \(schemaVersion)") }
    try checkKey(db, sealer: sealer)
    return (1..<schemaVersion).contains(version) ? Int(version) : nil
  }

  /// What leads from each version to the next. A step that was released is never changed again: files that
  /// have it behind them would not learn of it.
  ///
  /// A step only adds: columns with a default, tables, indexes. A process of the version before that still runs on the file, as while
  /// one takes over from another, goes on with what it knows.
  private static let steps = [
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
    """,
    // The installation's notes have an empty owner: in SQLite, NULL is never equal to NULL.
    """
    CREATE TABLE notes (
      kind TEXT NOT NULL, owner BLOB NOT NULL, key BLOB NOT NULL, updated_at INTEGER NOT NULL,
      sealed BLOB NOT NULL, PRIMARY KEY (kind, owner, key)
    );
    CREATE INDEX notes_order ON notes (kind, owner, updated_at);
    CREATE INDEX notes_updated ON notes (updated_at);
    CREATE INDEX records_owner ON records (kind, owner, expires_at) WHERE owner IS NOT NULL;
    """,
    // A row without a lease has no end of one.
    """
    ALTER TABLE sessions ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN lease_holder BLOB;
    ALTER TABLE sessions ADD COLUMN lease_until INTEGER;
    CREATE TABLE aliases (
      old BLOB PRIMARY KEY, new BLOB NOT NULL, until INTEGER NOT NULL, sealed BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX aliases_new ON aliases (new);
    CREATE INDEX aliases_until ON aliases (until);
    """,
  ]

  /// A known value sealed in the file tells at start-up whether the keys fit, instead of at everybody's next
  /// request. It is sealed again under the current key, so that a key that is in use cannot be left out unnoticed.
  static func checkKey(_ db: Database, sealer: Sealer) throws {
    let stored = try Data.fetchOne(db, sql: "SELECT value FROM meta WHERE name = 'key-check'")
    if let stored {
      _ = try sealer.open(Array(stored), for: .keyCheck)
      if sealer.isCurrent(Array(stored)) { return }
    }
    let value = Data(sealer.seal(Array("coatcheck".utf8), for: .keyCheck))
    try db.execute(
      sql: "INSERT OR REPLACE INTO meta (name, value) VALUES ('key-check', ?)", arguments: [value])
  }
}
