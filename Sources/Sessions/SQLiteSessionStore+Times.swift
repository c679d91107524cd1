public import Basics
internal import GRDB

// What becomes of sessions by time alone.
extension SQLiteSessionStore {
  /// Of many sessions, so many are changed at a time, so that others are served in between: each takes about a tenth of a millisecond,
  /// and after a night many may have timed out.
  private static let batch = 500

  public func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError) {
    var rest = Array(uses)[...]
    while !rest.isEmpty {
      let some = rest.prefix(Self.batch)
      rest = rest.dropFirst(Self.batch)
      try await transaction { db in
        let statement = try db.cachedStatement(
          sql: "UPDATE sessions SET seen_at = max(seen_at, ?) WHERE hash = ?")
        for (hash, time) in some { try statement.execute(arguments: [time.milliseconds, hash.data]) }
      }
    }
  }

  public func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError)
  {
    let batch = Self.batch
    var gone = batch
    while gone == batch {
      gone = try await transaction { db in
        try db.execute(
          sql: """
            DELETE FROM sessions WHERE rowid IN
            (SELECT rowid FROM sessions WHERE created_at <= ? OR seen_at <= ? LIMIT ?)
            """, arguments: [createdBefore.milliseconds, seenBefore.milliseconds, batch])
        return db.changesCount
      }
    }
    try await transaction { db in
      let limit = (now + Session.clockTolerance).milliseconds
      try db.execute(
        sql: """
          UPDATE sessions SET created_at = min(created_at, ?), seen_at = min(seen_at, ?)
          WHERE created_at > ? OR seen_at > ?
          """,
        arguments: [now.milliseconds, now.milliseconds, limit, limit])
      try db.execute(sql: "DELETE FROM aliases WHERE until <= ?", arguments: [now.milliseconds])
      try db.execute(sql: "DELETE FROM records WHERE expires_at <= ?", arguments: [now.milliseconds])
    }
  }
}
