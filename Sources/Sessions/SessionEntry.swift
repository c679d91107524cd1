internal import Basics

/// One session in the authority's memory, with what is under way for it.
///
/// Owner: the authority's executor. Invariant: while ``isBusy``, it stays in the table, so that there is
/// never a second entry for the same refresh token.
final class SessionEntry {
  /// Why an entry is no longer the session's.
  enum Ending {
    /// The session is over.
    case over
    /// A new sign-in took its place; its refresh token may live on there.
    case replaced
  }

  /// One kind of token request: the same ones share a refresh.
  struct FlightKey: Hashable {
    let resource: ResourceKey
    let claims: String?
  }

  /// A refresh that failed, and how long that is remembered.
  struct Trouble {
    enum Kind {
      case transient(detail: String)
      case interaction(ProviderRefusal)
      case subjectRefused
      case misconfigured(detail: String)
    }

    var kind: Kind
    var until: Timestamp
    var attempts: Int
  }

  /// What is under way for a session, and what is remembered of it for a while.
  struct Activity {
    /// Refreshes that run or wait for their turn.
    var flights: [FlightKey: Task<TokenOutcome, Never>] = [:]
    /// The end of the line of everything that changes the session.
    var line: Task<Void, Never>?
    /// How many stand in that line.
    var lineLength = 0
    var troubles: [FlightKey: Trouble] = [:]
    /// What lets this process alone refresh it, at a store that several share.
    var lease: SessionAuthority.HeldLease?
    /// Tokens that were fetched because the one before was rejected.
    var forced: [ResourceKey: Secret] = [:]

    var isNothing: Bool {
      lineLength == 0 && line == nil && flights.isEmpty && troubles.isEmpty && forced.isEmpty
        && lease == nil
    }
  }

  private final class ActivityBox {
    var activity = Activity()
    /// Unpacked once for all who wait.
    var session: Session?
  }

  // In this order they leave no room between them: there is one of these for every session in memory.
  let hash: TicketHash
  private var packed: PackedSession
  var ending: Ending?
  /// 0 stands for none: generations begin with 1.
  private var stored: UInt64
  /// Most sessions have nothing under way.
  private var box: ActivityBox?

  init(session: Session, storedGeneration: UInt64?) {
    hash = session.hash
    packed = PackedSession(session)
    stored = storedGeneration ?? 0
  }

  /// The generation that the store has; nil when it has none.
  var storedGeneration: UInt64? {
    get { stored == 0 ? nil : stored }
    set { stored = newValue ?? 0 }
  }

  /// The session. Kept packed, since most of those in memory are asked for once in a long while: an access unpacks it.
  var session: Session {
    get {
      if let session = box?.session { return session }
      let session = packed.session(hash)
      box?.session = session
      return session
    }
    set {
      packed = PackedSession(newValue)
      box?.session = nil
    }
  }

  /// The session for one look, without keeping it unpacked.
  var unpacked: Session { box?.session ?? packed.session(hash) }

  /// ``Session/createdAt`` and ``Session/lastSeenAt``, without unpacking.
  var times: (created: Timestamp, seen: Timestamp) { (packed.createdAt, packed.lastSeenAt) }

  /// Whether it has times that are still to come, without unpacking.
  func isAhead(of now: Timestamp) -> Bool { packed.isAhead(of: now) }

  /// Notes a use without unpacking.
  func noteUse(_ time: Timestamp) {
    packed.lastSeenAt = max(packed.lastSeenAt, time)
    box?.session?.lastSeenAt = packed.lastSeenAt
  }

  /// Whether it is this user's.
  func belongs(to user: UserKey) -> Bool { packed.belongs(to: user, hash) }

  var activity: Activity {
    get { box?.activity ?? Activity() }
    _modify {
      let box = box ?? ActivityBox()
      self.box = box
      yield &box.activity
      if box.activity.isNothing { self.box = nil }
    }
  }

  var isAlive: Bool { ending == nil }
  var isBusy: Bool { (box?.activity.lineLength ?? 0) > 0 }

  /// Remembers a failure. Distinct claims come from upstreams, so their number is bounded.
  func remember(_ kind: Trouble.Kind, of key: FlightKey, for duration: Duration, now: Timestamp) {
    let attempts = (activity.troubles[key]?.attempts ?? 0) + 1
    if activity.troubles.count >= 16, activity.troubles[key] == nil {
      activity.troubles = activity.troubles.filter { $0.key.claims == nil }
    }
    activity.troubles[key] = Trouble(kind: kind, until: now + duration, attempts: attempts)
  }

  /// Forgets the failures of resources for which there is a new token. Those with claims stay: the token was
  /// got without.
  func forgetTroubles(of resources: some Sequence<ResourceKey>) {
    for resource in resources { activity.troubles[FlightKey(resource: resource, claims: nil)] = nil }
  }
}
