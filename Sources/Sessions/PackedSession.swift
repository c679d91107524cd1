internal import Basics

/// A session at rest in memory: its tokens and texts as one row of bytes, and beside them what is asked of all sessions
/// again and again. A third of what ``Session`` takes with its strings, arrays and tables.
struct PackedSession: CustomReflectable {
  /// The compact record, tokens included.
  private let record: [UInt8]
  private(set) var createdAt: Timestamp
  var lastSeenAt: Timestamp
  /// Of its newest token; the sign-in's where there is none.
  private let lastIssuedAt: Timestamp
  /// The first bits of ``UserKey/digest``: tells nearly all other users' sessions without unpacking them.
  private let userHint: UInt32

  init(_ session: Session) {
    userHint = Self.hint(session.user)
    lastIssuedAt = session.tokens.values.map(\.issuedAt).max() ?? session.createdAt
    createdAt = session.createdAt
    lastSeenAt = session.lastSeenAt
    // One record for the authority's memory and for a store in memory.
    if let origin = session.origin, origin.generation == session.generation {
      record = origin.record
    } else {
      record = session.compactRecord()
    }
  }

  /// Never the tokens.
  var customMirror: Mirror { Mirror(self, children: []) }

  private static func hint(_ user: UserKey) -> UInt32 { UInt32(truncatingIfNeeded: user.digest.a >> 32) }

  /// ``Session/isAhead(of:)``, without unpacking.
  func isAhead(of now: Timestamp) -> Bool {
    let limit = now + Session.clockTolerance
    return createdAt > limit || lastSeenAt > limit || lastIssuedAt > limit
  }

  /// The earlier of the known beginnings counts.
  mutating func began(noLaterThan time: Timestamp) { createdAt = min(createdAt, time) }

  /// Whether it is this user's session.
  func belongs(to user: UserKey, _ hash: TicketHash) -> Bool {
    userHint == Self.hint(user) && session(hash).user == user
  }

  /// The session whose ticket has this hash.
  func session(_ hash: TicketHash) -> Session {
    do throws(SealError) {
      var session = try Session(compactRecord: record, hash: hash, lastSeenAt: lastSeenAt)
      // The record has the beginning as it was known when it was packed.
      session.began(noLaterThan: createdAt)
      session.origin = (session.generation, record)
      return session
    } catch {
      preconditionFailure("a session that was packed here cannot be unpacked")
    }
  }
}
