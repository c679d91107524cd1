public import Basics
internal import FoundationEssentials
internal import GRDB

// Records: kept until they are taken once.
extension SQLiteSessionStore {
  public func put(_ record: SingleUseRecord) async throws(StoreError) {
    try await transaction { [sealer, maxRecordsPerKind] db in
      try Self.write(record, db, sealer, maxRecordsPerKind)
    }
  }

  public func claim(_ record: SingleUseRecord, now: Timestamp) async throws(StoreError) -> Bool {
    try await transaction { [sealer, maxRecordsPerKind] db in
      let isTaken = try Bool.fetchOne(
        db, sql: "SELECT 1 FROM records WHERE kind = ? AND key = ? AND expires_at > ?",
        arguments: [record.kind.name, record.key.data, now.milliseconds])
      if isTaken != nil { return false }
      try Self.write(record, db, sealer, maxRecordsPerKind)
      return true
    }
  }

  private static func write(
    _ record: SingleUseRecord, _ db: Database, _ sealer: Sealer, _ maxRecordsPerKind: Int
  ) throws {
    let kind = record.kind.name
    let count =
      try Int.fetchOne(db, sql: "SELECT count(*) FROM records WHERE kind = ?", arguments: [kind]) ?? 0
    if count >= maxRecordsPerKind {
      // A sixteenth at once, so that a flood does not count and delete at every step.
      try db.execute(
        sql: """
          DELETE FROM records WHERE rowid IN
          (SELECT rowid FROM records WHERE kind = ? ORDER BY expires_at LIMIT ?)
          """, arguments: [kind, max(1, maxRecordsPerKind / 16)])
    }
    if let owner = record.owner, let perOwner = record.perOwner {
      // The record takes one of the places, so one fewer of the others stays.
      try db.execute(
        sql: """
          DELETE FROM records WHERE rowid IN
          (SELECT rowid FROM records WHERE kind = ? AND owner = ? AND key <> ?
          ORDER BY expires_at DESC, rowid DESC LIMIT -1 OFFSET ?)
          """, arguments: [kind, owner.digest.data, record.key.data, max(1, perOwner) - 1])
    }
    let place = SealPlace.record(record.kind, record.key, record.owner?.digest, record.expiresAt)
    try db.execute(
      sql: "INSERT OR REPLACE INTO records (kind, key, owner, expires_at, sealed) VALUES (?, ?, ?, ?, ?)",
      arguments: [
        kind, record.key.data, record.owner?.digest.data, record.expiresAt.milliseconds,
        Data(sealer.seal(record.payload, for: place)),
      ])
  }

  public func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp)
    async throws(StoreError)
    -> RecordTake
  {
    try await transaction { [sealer] db in
      let found = try Self.look(db, sealer, kind, key, owner: owner, now: now)
      if case .foreign = found { return found }
      try db.execute(sql: "DELETE FROM records WHERE kind = ? AND key = ?", arguments: [kind.name, key.data])
      return found
    }
  }

  public func peek(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp)
    async throws(StoreError)
    -> RecordTake
  {
    try await transaction { [sealer] db in try Self.look(db, sealer, kind, key, owner: owner, now: now) }
  }

  public func discard(_ kind: RecordKind, owner: UserKey) async throws(StoreError) {
    try await transaction { db in
      try db.execute(
        sql: "DELETE FROM records WHERE kind = ? AND owner = ?",
        arguments: [kind.name, owner.digest.data])
    }
  }

  private static func look(
    _ db: Database, _ sealer: Sealer, _ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp
  ) throws -> RecordTake {
    guard
      let row = try Row.fetchOne(
        db, sql: "SELECT owner, expires_at, sealed FROM records WHERE kind = ? AND key = ?",
        arguments: [kind.name, key.data])
    else { return .missing }
    let bound: Data? = row[0]
    let expiresAt = Timestamp(milliseconds: row[1])
    let sealed: Data = row[2]
    let boundDigest = bound.flatMap { Bytes32(Array($0)) }
    guard expiresAt > now else { return .missing }
    if let boundDigest, boundDigest != owner?.digest { return .foreign }
    return .taken(try sealer.open(Array(sealed), for: .record(kind, key, boundDigest, expiresAt)))
  }
}
