internal import Basics
internal import FoundationEssentials
internal import GRDB
internal import Synchronization

// What is sealed under an older key is sealed under the current one, some rows at a time.
extension SQLiteSessionStore {
  /// How far a walk through the tables has come.
  struct Resealing {
    var table = Table.sessions
    /// Rows up to this one were looked at.
    var row: Int64 = 0
    var unreadable = 0
  }

  enum Table: String, CaseIterable {
    case sessions, records, notes

    /// What says where a row belongs; the sealed value is the column `sealed` in all of them.
    fileprivate var columns: String {
      switch self {
      case .sessions: "hash"
      case .records: "kind, key, owner, expires_at"
      case .notes: "kind, owner, key, updated_at"
      }
    }

    /// The row's place; nil when its columns are not what they must be.
    fileprivate func place(_ row: Row) -> SealPlace? {
      switch self {
      case .sessions: row.digest("hash").map { .session(TicketHash(digest: $0)) }
      case .records:
        if let kind: String = row.column("kind"), let key = row.digest("key"),
          let expiry: Int64 = row.column("expires_at")
        {
          .record(
            RecordKind(kind), TicketHash(digest: key), row.digest("owner"), Timestamp(milliseconds: expiry))
        } else {
          nil
        }
      case .notes:
        if let kind: String = row.column("kind"), let key = row.digest("key"),
          let time: Int64 = row.column("updated_at")
        {
          .note(NoteKind(kind), row.digest("owner"), key, Timestamp(milliseconds: time))
        } else {
          nil
        }
      }
    }
  }

  public func adopt(_ ring: KeyRing) async throws(StoreError) {
    let before = sealer.ring
    do throws(StoreError) {
      try await transaction { [sealer] db in
        try Self.checkKey(db, sealer: Sealer(ring))
        // Here, so that nothing is written under a key of the ring before once this is.
        sealer.replace(with: ring)
      }
    } catch {
      sealer.replace(with: before)
      throw error
    }
    resealing.withLock { $0 = Resealing() }
  }

  public func reseal(limit: Int) async throws(StoreError) -> ResealTurn {
    let begun = resealing.withLock { $0 }
    let (walk, turn) = try await transaction { [sealer] db in
      try Self.reseal(db, sealer, begun, limit: max(1, limit))
    }
    resealing.withLock { current in
      // Another ring was adopted meanwhile: the walk begins anew.
      if current.table == begun.table, current.row == begun.row { current = turn.isDone ? Resealing() : walk }
    }
    return turn
  }

  private static func reseal(
    _ db: Database, _ sealer: Sealer, _ begun: Resealing, limit: Int
  ) throws -> (Resealing, ResealTurn) {
    var walk = begun
    var resealed = 0
    let table = walk.table
    let rows = try Row.fetchAll(
      db,
      sql: """
        SELECT rowid, sealed, \(table.columns) FROM \(table.rawValue) WHERE rowid > ? ORDER BY rowid LIMIT ?
        """, arguments: [walk.row, limit])
    let update = try db.cachedStatement(sql: "UPDATE \(table.rawValue) SET sealed = ? WHERE rowid = ?")
    for row in rows {
      let id: Int64 = row["rowid"]
      walk.row = id
      let again: [UInt8]?
      do throws(SealError) {
        guard let place = table.place(row), let sealed: Data = row.column("sealed") else {
          throw .malformed
        }
        again = try sealer.reseal(Array(sealed), for: place)
      } catch {
        walk.unreadable += 1
        continue
      }
      guard let again else { continue }
      try update.execute(arguments: [Data(again), id])
      resealed += 1
    }
    var isDone = false
    if rows.count < limit {
      if let next = Table.allCases.drop(while: { $0 != table }).dropFirst().first {
        (walk.table, walk.row) = (next, 0)
      } else {
        isDone = true
      }
    }
    return (walk, ResealTurn(resealed: resealed, unreadable: isDone ? walk.unreadable : 0, isDone: isDone))
  }
}

// What somebody else wrote into the file may be of any type.
extension Row {
  func column<Value: DatabaseValueConvertible>(_ name: String) -> Value? {
    Value.fromDatabaseValue(self[name])
  }

  func digest(_ name: String) -> Bytes32? {
    let data: Data? = column(name)
    return data.flatMap { Bytes32(Array($0)) }
  }
}
