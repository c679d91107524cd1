public import Basics
internal import FoundationEssentials
internal import GRDB
internal import Glibc
internal import Synchronization

/// Sessions, records and notes in one SQLite file in WAL mode, sealed.
///
/// Readable in the file: hashes, times, generations, sizes. Everything else, names and tokens above all, is
/// sealed and bound to its row. A write that has returned survives the end of the process and the loss of
/// power (`synchronous = FULL`). Database work and sealing run on GRDB's own Dispatch queue.
public final class SQLiteSessionStore: SessionStore {
  private let queue: DatabaseQueue
  let resealing = Mutex(Resealing())
  let sealer: Sealer
  let maxRecordsPerKind: Int
  let clock: WallClock
  /// The version that the file's tables had when it was opened, if they had to be brought up to date.
  public let oldVersion: Int?
  /// The version that they have.
  public static var version: Int { Int(schemaVersion) }

  /// False: another process at the file is not heard of, and meets this one only in the rows.
  public var isShared: Bool { false }

  /// Opens the file at `path`, and makes it (mode 0600) where there is none; its directory must exist.
  /// - Throws: ``StoreError/sealed(_:)`` when no key of the sealer opens it, ``StoreError/corrupt(_:)`` when
  ///   it is not ours or damaged, ``StoreError/newer(found:known:)``, ``StoreError/unavailable(_:)`` when it cannot be opened for writing.
  /// - Parameter clock: the time that leases run by.
  public static func open(
    path: String, sealer: Sealer, maxRecordsPerKind: Int = 50_000,
    clock: @escaping WallClock = Timestamp.now
  ) async throws(StoreError) -> SQLiteSessionStore {
    // SQLite gives its -wal and -shm files the mode of the database.
    let descriptor = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .unavailable("\(path): \(unsafe String(cString: strerror(errno)))") }
    Glibc.close(descriptor)
    do {
      var configuration = GRDB.Configuration()
      configuration.label = "coatcheck.sessions"
      configuration.journalMode = .wal
      configuration.busyMode = .timeout(5)
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      let oldVersion = try await queue.writeWithoutTransaction { db in
        // Overwrites what is deleted, so that an ended session leaves no sealed tokens behind.
        try db.execute(
          sql: "PRAGMA secure_delete = ON; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304")
        var oldVersion: Int?
        try db.inTransaction(.immediate) {
          oldVersion = try prepare(db, sealer: sealer)
          return .commit
        }
        return oldVersion
      }
      return SQLiteSessionStore(
        queue: queue, sealer: sealer, maxRecordsPerKind: maxRecordsPerKind, clock: clock,
        oldVersion: oldVersion)
    } catch {
      throw StoreError(error, path: path)
    }
  }

  private init(
    queue: DatabaseQueue, sealer: Sealer, maxRecordsPerKind: Int, clock: @escaping WallClock, oldVersion: Int?
  ) {
    self.oldVersion = oldVersion
    self.queue = queue
    self.sealer = sealer
    self.maxRecordsPerKind = max(1, maxRecordsPerKind)
    self.clock = clock
  }

  public func load(_ hash: TicketHash) async throws(StoreError) -> Session? {
    try await transaction { [sealer] db in
      guard
        let row = try Row.fetchOne(
          db, sql: "SELECT \(Self.columns) FROM sessions WHERE hash = ?", arguments: [hash.data])
      else { return nil }
      let envelope = Self.envelope(row)
      let place = SealPlace.session(hash)
      let record = try sealer.open(envelope, for: place)
      let session = try Self.session(row, hash, record)
      if !sealer.isCurrent(envelope) {
        // The key has changed since: seal again while it is at hand, so that the old key can be retired.
        try db.execute(
          sql: "UPDATE sessions SET sealed = ? WHERE hash = ?",
          arguments: [Data(sealer.seal(record, for: place)), hash.data])
      }
      return session
    }
  }

  /// The sealed record of a row with the columns of ``session(_:_:_:)``.
  static func envelope(_ row: Row) -> [UInt8] {
    let sealed: Data = row[3]
    return Array(sealed)
  }

  /// Of a session's row, in the order that ``session(_:_:_:)`` takes them.
  static let columns = "hash, seen_at, created_at, sealed, generation, user, sid"

  /// The session of a row with the ``columns``, whose record was opened.
  /// - Throws: ``SealError/notAuthentic`` when the columns that stand for parts of the record are not as it has them: what is found,
  ///   ended and replaced by them would be another session's.
  static func session(_ row: Row, _ hash: TicketHash, _ record: [UInt8]) throws -> Session {
    var session = try Session(record: record, hash: hash, lastSeenAt: Timestamp(milliseconds: row[1]))
    let generation: Int64 = row[4]
    let user: Data = row[5]
    let sid: Data? = row[6]
    guard UInt64(bitPattern: generation) == session.generation, user == session.user.digest.data,
      sid == session.sidDigest?.data
    else { throw SealError.notAuthentic }
    // A sweep may have taken the column back; the sealed record stays as it was. A later beginning than the sealed one does not
    // count.
    session.began(noLaterThan: Timestamp(milliseconds: row[2]))
    return session
  }

  public func insert(_ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?)
    async throws(StoreError)
  {
    try await transaction { [self] db in
      if let current = try Self.generation(db, session.hash) { throw StoreError.conflict(current: current) }
      if let old {
        try db.execute(sql: "DELETE FROM sessions WHERE hash = ?", arguments: [old.data])
        try alias(db, old, to: session.hash, until: aliasUntil)
      }
      try db.execute(
        sql: """
          INSERT INTO sessions (hash, user, sid, generation, created_at, seen_at, sealed)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          session.hash.data, session.user.digest.data, session.sidDigest?.data,
          Int64(bitPattern: session.generation),
          session.createdAt.milliseconds, session.lastSeenAt.milliseconds,
          Data(sealer.seal(session.record(), for: .session(session.hash))),
        ])
    }
  }

  public func save(_ session: Session, replacing generation: UInt64, under lease: SessionLease?)
    async throws(StoreError)
  {
    let fence = lease.map { Int64(bitPattern: $0.fence) }
    try await transaction { [sealer] db in
      try db.execute(
        sql: """
          UPDATE sessions SET generation = ?, seen_at = max(seen_at, ?), sealed = ?
          WHERE hash = ? AND generation = ? AND fence = coalesce(?, fence)
          """,
        arguments: [
          Int64(bitPattern: session.generation), session.lastSeenAt.milliseconds,
          Data(sealer.seal(session.record(), for: .session(session.hash))), session.hash.data,
          Int64(bitPattern: generation), fence,
        ])
      guard db.changesCount == 1 else {
        if let fence, let current = try Self.fence(db, session.hash), current != fence {
          throw StoreError.fenced
        }
        throw StoreError.conflict(current: try Self.generation(db, session.hash))
      }
    }
  }

  public func delete(_ hash: TicketHash) async throws(StoreError) {
    try await transaction { db in
      try db.execute(sql: "DELETE FROM sessions WHERE hash = ?", arguments: [hash.data])
    }
  }

  public func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await deleteAll(where: "user", is: user.digest)
  }

  public func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await deleteAll(where: "sid", is: UserKey.sidDigest(issuer: issuer, sid: sid))
  }

  public func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await hashes(where: "user", is: user.digest)
  }

  public func hashes(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await hashes(where: "sid", is: UserKey.sidDigest(issuer: issuer, sid: sid))
  }

  public func count() async throws(StoreError) -> Int {
    try await transaction { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM sessions") ?? 0 }
  }

  public func ping() async throws(StoreError) {
    // A write: a full disk still reads well.
    try await transaction { db in
      try db.execute(sql: "INSERT OR REPLACE INTO meta (name, value) VALUES ('ping', x'')")
    }
  }

  public func close() async {
    // Closing fails only for a connection in use, and this one is used by its queue alone.
    try? await queue.writeWithoutTransaction { db in
      _ = try? Row.fetchOne(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
    }
    try? queue.close()
  }

  private func hashes(where column: String, is digest: Bytes32) async throws(StoreError) -> [TicketHash] {
    try await transaction { db in
      let hashes = try Data.fetchAll(
        db, sql: "SELECT hash FROM sessions WHERE \(column) = ?", arguments: [digest.data])
      return hashes.compactMap { Bytes32(Array($0)).map(TicketHash.init(digest:)) }
    }
  }

  private func deleteAll(where column: String, is digest: Bytes32) async throws(StoreError) -> [TicketHash] {
    try await transaction { db in
      let gone = try Data.fetchAll(
        db, sql: "DELETE FROM sessions WHERE \(column) = ? RETURNING hash", arguments: [digest.data])
      return gone.compactMap { Bytes32(Array($0)).map(TicketHash.init(digest:)) }
    }
  }

  static func generation(_ db: Database, _ hash: TicketHash) throws -> UInt64? {
    try Int64.fetchOne(db, sql: "SELECT generation FROM sessions WHERE hash = ?", arguments: [hash.data])
      .map(UInt64.init(bitPattern:))
  }

  func transaction<T: Sendable>(
    _ work: @escaping @Sendable (Database) throws -> T
  ) async throws(StoreError) -> T {
    do {
      return try await queue.write(work)
    } catch {
      throw StoreError(error, path: queue.path)
    }
  }
}

extension StoreError {
  fileprivate init(_ error: any Error, path: String) {
    switch error {
    case let error as StoreError: self = error
    case let error as SealError: self = .sealed(error)
    case let error as DatabaseError:
      let detail = "\(path): \(error.message ?? "SQLite error") (\(error.extendedResultCode.rawValue))"
      switch error.resultCode {
      case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .corrupt(detail)
      default: self = .unavailable(detail)
      }
    default: self = .unavailable("\(path): \(error)")
    }
  }
}

extension Session {
  /// What the session is found by when the provider names one of its own.
  var sidDigest: Bytes32? { sid.map { UserKey.sidDigest(issuer: user.issuer, sid: $0) } }
}

extension Bytes32 {
  var data: Data { Data(bytes) }
}

extension TicketHash {
  var data: Data { digest.data }
}
