public import Basics
internal import FoundationEssentials
internal import GRDB

// What two processes at one file need, and what reads all sessions.
extension SQLiteSessionStore {
  public func alias(of ticket: TicketHash, now: Timestamp) async throws(StoreError) -> TicketHash? {
    try await transaction { [sealer] db in
      let found = try Alias.fetch(db, sealer, "old = ?", ticket).first
      return found.flatMap { $0.until > now ? $0.new : nil }
    }
  }

  /// Called in the step that removes the session of `old`.
  func alias(_ db: Database, _ old: TicketHash, to new: TicketHash, until: Timestamp?) throws {
    guard let until else { return }
    let chained = try Alias.fetch(db, sealer, "new = ?", old)
    try db.execute(sql: "DELETE FROM aliases WHERE new = ?", arguments: [old.data])
    for alias in chained { try Alias(old: alias.old, new: new, until: alias.until).write(db, sealer) }
    try Alias(old: old, new: new, until: until).write(db, sealer)
  }

  /// A ticket that stands for another session. Sealed: a row that somebody else wrote would give them that session.
  private struct Alias {
    let old: TicketHash
    let new: TicketHash
    let until: Timestamp

    private var place: SealPlace { .alias(old, new, until) }

    /// Those that are ours; others count as not there.
    static func fetch(_ db: Database, _ sealer: Sealer, _ condition: String, _ hash: TicketHash) throws
      -> [Alias]
    {
      let rows = try Row.fetchAll(
        db, sql: "SELECT old, new, until, sealed FROM aliases WHERE \(condition)", arguments: [hash.data])
      return rows.compactMap { row in
        guard let old = row.digest("old"), let new = row.digest("new"),
          let until: Int64 = row.column("until"),
          let sealed: Data = row.column("sealed")
        else { return nil }
        let alias = Alias(
          old: TicketHash(digest: old), new: TicketHash(digest: new), until: Timestamp(milliseconds: until))
        return (try? sealer.open(Array(sealed), for: alias.place)) == nil ? nil : alias
      }
    }

    func write(_ db: Database, _ sealer: Sealer) throws {
      try db.execute(
        sql: "INSERT OR REPLACE INTO aliases (old, new, until, sealed) VALUES (?, ?, ?, ?)",
        arguments: [old.data, new.data, until.milliseconds, Data(sealer.seal([], for: place))])
    }
  }

  public func generations(of hashes: [TicketHash]) async throws(StoreError) -> [TicketHash: UInt64] {
    try await transaction { db in
      var known: [TicketHash: UInt64] = [:]
      for hash in hashes { known[hash] = try Self.generation(db, hash) }
      return known
    }
  }

  public func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage {
    var page = SessionPage(sessions: [], next: nil)
    var start = Data()
    if let cursor {
      guard let hash = TicketHash(cursor: cursor) else { return page }
      start = hash.data
    }
    let limit = max(1, limit)
    let rows = try await transaction { [sealer, start] db in
      try Row.fetchAll(
        db,
        sql: "SELECT \(Self.columns) FROM sessions WHERE hash > ? ORDER BY hash LIMIT ?",
        arguments: [start, limit]
      ).map { row -> (hash: TicketHash?, session: Session?) in
        let bytes: Data = row[0]
        guard let hash = Bytes32(Array(bytes)).map(TicketHash.init(digest:)) else { return (nil, nil) }
        let record = try? sealer.open(Self.envelope(row), for: .session(hash))
        return (hash, try? record.map { try Self.session(row, hash, $0) })
      }
    }
    page.sessions = rows.compactMap(\.session)
    page.unreadable = rows.count - page.sessions.count
    if rows.count == limit { page.next = rows.last?.hash?.cursor }
    return page
  }

  public func deleteEverySession() async throws(StoreError) -> Int {
    try await transaction { db in
      try db.execute(sql: "DELETE FROM aliases")
      try db.execute(sql: "DELETE FROM sessions")
      return db.changesCount
    }
  }

  public func acquireLease(_ hash: TicketHash, holder: LeaseHolder, for duration: Duration)
    async throws(StoreError)
    -> LeaseAnswer
  {
    let now = clock()
    return try await transaction { db in
      guard
        let row = try Row.fetchOne(
          db, sql: "SELECT fence, lease_holder, lease_until FROM sessions WHERE hash = ?",
          arguments: [hash.data])
      else { return .missing }
      let fence: Int64 = row[0]
      let present: Data? = row[1]
      let until: Int64? = row[2]
      if let present, let until, present != holder.id.data,
        let remaining = Self.remaining(Timestamp(milliseconds: until), now)
      {
        return .held(remaining: remaining)
      }
      let next = fence &+ 1
      try db.execute(
        sql: "UPDATE sessions SET fence = ?, lease_holder = ?, lease_until = ? WHERE hash = ?",
        arguments: [next, holder.id.data, Self.end(now, duration), hash.data])
      return .granted(SessionLease(hash: hash, holder: holder, fence: UInt64(bitPattern: next)))
    }
  }

  public func renewLease(_ lease: SessionLease, for duration: Duration) async throws(StoreError) -> Bool {
    let now = clock()
    return try await transaction { db in
      try db.execute(
        sql: """
          UPDATE sessions SET lease_until = ?
          WHERE hash = ? AND fence = ? AND lease_holder = ? AND lease_until > ? AND lease_until <= ?
          """,
        arguments: [
          Self.end(now, duration), lease.hash.data, Int64(bitPattern: lease.fence), lease.holder.id.data,
          now.milliseconds, Self.end(now, SessionLease.longest),
        ])
      return db.changesCount == 1
    }
  }

  public func releaseLease(_ lease: SessionLease) async throws(StoreError) {
    try await transaction { db in
      try db.execute(
        sql: "UPDATE sessions SET lease_holder = NULL, lease_until = NULL WHERE hash = ? AND fence = ?",
        arguments: [lease.hash.data, Int64(bitPattern: lease.fence)])
    }
  }

  /// Nobody is told: no other process is heard of at a file.
  public func publish(_ message: [UInt8]) async throws(StoreError) {}

  /// Never calls the listener.
  public func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void) async {}

  static func fence(_ db: Database, _ hash: TicketHash) throws -> Int64? {
    try Int64.fetchOne(db, sql: "SELECT fence FROM sessions WHERE hash = ?", arguments: [hash.data])
  }

  private static func end(_ now: Timestamp, _ duration: Duration) -> Int64 {
    (now + min(duration, SessionLease.longest)).milliseconds
  }

  private static func remaining(_ until: Timestamp, _ now: Timestamp) -> Duration? {
    until > now && until - now <= SessionLease.longest ? until - now : nil
  }
}
