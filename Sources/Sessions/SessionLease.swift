public import Basics

/// Who takes leases: one for each process, at random, so that two never share one.
public struct LeaseHolder: Sendable, Hashable {
  /// 256 random bits.
  public let id: Bytes32

  /// A known holder.
  public init(id: Bytes32) { self.id = id }

  /// A holder that nobody else is.
  public static func make() -> LeaseHolder {
    var generator = SystemRandomNumberGenerator()
    return LeaseHolder(
      id: Bytes32(generator.next(), generator.next(), generator.next(), generator.next()))
  }
}

/// The right to ask the provider for a session's tokens, for a while: no other process has it meanwhile.
///
/// A lease runs out by itself, so a holder that vanished holds nobody up. One that ran out unnoticed does no
/// harm either: what its holder saves late is refused, because the next one has a greater ``fence``.
public struct SessionLease: Sendable, Hashable {
  /// The session.
  public let hash: TicketHash
  /// Whose it is.
  public let holder: LeaseHolder
  /// Grows with every lease that is given for the session; kept with the session's row.
  public let fence: UInt64

  /// A lease as a store gave it.
  public init(hash: TicketHash, holder: LeaseHolder, fence: UInt64) {
    self.hash = hash
    self.holder = holder
    self.fence = fence
  }

  /// No lease is given for longer: what lasts longer was given before the clock was set back, and counts as
  /// run out.
  public static let longest = Duration.seconds(60)
}

/// What came of asking for a lease.
public enum LeaseAnswer: Sendable, Hashable {
  /// The caller has it now.
  case granted(SessionLease)
  /// Another has it, for so long at the most unless it is renewed.
  case held(remaining: Duration)
  /// There is no such session.
  case missing
}

/// What another process did to the store, or what became of the hearing of it.
public enum StoreNotice: Sendable, Hashable {
  /// The session has this generation now.
  case saved(TicketHash, generation: UInt64)
  /// The session is gone.
  case ended(TicketHash)
  /// A sign-in took the session's place; its ticket stands for the new one for a while.
  case replaced(TicketHash, by: TicketHash)
  /// Nobody has the lease of the session any more.
  case leaseEnded(TicketHash)
  /// Every session is gone.
  case endedAll
  /// What another process gave to ``SessionStore/publish(_:)``.
  case message([UInt8])
  /// From here on notices may be lost.
  case interrupted
  /// Notices arrive again; what was said between ``interrupted`` and this is not said again.
  case resumed
}

/// Some of the sessions of a store.
public struct SessionPage: Sendable {
  /// At most as many as were asked for.
  public var sessions: [Session]
  /// Where the next page begins; nil when this was the last one.
  public var next: String?
  /// Rows of this page that no key opens.
  public var unreadable: Int

  /// A page.
  public init(sessions: [Session], next: String?, unreadable: Int = 0) {
    self.sessions = sessions
    self.next = next
    self.unreadable = unreadable
  }
}
