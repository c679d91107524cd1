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

  var session: Session
  /// The generation that the store has; nil when it has none.
  var storedGeneration: UInt64?
  var ending: Ending?
  /// Refreshes that run or wait for their turn.
  var flights: [FlightKey: Task<TokenOutcome, Never>] = [:]
  /// The end of the line of everything that changes the session.
  var line: Task<Void, Never>?
  /// How many stand in that line.
  var lineLength = 0
  var troubles: [FlightKey: Trouble] = [:]
  /// Tokens that were fetched because the one before was rejected.
  var forced: [ResourceKey: Secret] = [:]

  init(session: Session, storedGeneration: UInt64?) {
    self.session = session
    self.storedGeneration = storedGeneration
  }

  var hash: TicketHash { session.hash }
  var isAlive: Bool { ending == nil }
  var isBusy: Bool { lineLength > 0 }

  /// Remembers a failure. Distinct claims come from upstreams, so their number is bounded.
  func remember(_ kind: Trouble.Kind, of key: FlightKey, for duration: Duration, now: Timestamp) {
    let attempts = (troubles[key]?.attempts ?? 0) + 1
    if troubles.count >= 16, troubles[key] == nil { troubles = troubles.filter { $0.key.claims == nil } }
    troubles[key] = Trouble(kind: kind, until: now + duration, attempts: attempts)
  }

  /// Forgets the failures of resources for which there is a new token. Those with claims stay: the token was
  /// got without.
  func forgetTroubles(of resources: some Sequence<ResourceKey>) {
    for resource in resources { troubles[FlightKey(resource: resource, claims: nil)] = nil }
  }
}
