public import Basics

/// One user's sign-in in one browser: who it is, and the tokens kept behind the counter.
///
/// A value; ``SessionAuthority`` owns the current one. Invariant: ``generation`` grows by one at every change
/// that is saved.
public struct Session: Sendable {
  /// Whether the session can get tokens.
  public enum State: Sendable, Hashable {
    /// It can, as far as is known.
    case active
    /// The provider ended the grant: the identity stays (so that the next sign-in knows whom to expect), the
    /// tokens are gone. The text is for the log.
    case needsSignIn(String)
  }

  /// The key of the session: the hash of its ticket.
  public let hash: TicketHash
  /// Whose it is.
  public let user: UserKey
  /// The configured name of the provider that it was signed in with; nil: the only one there is, or the session is from before
  /// providers had names.
  public var provider: String?
  /// What pages may show.
  public var profile: UserProfile
  /// When it began. The absolute timeout counts from here.
  public private(set) var createdAt: Timestamp
  /// When it was last used. The idle timeout counts from here.
  public var lastSeenAt: Timestamp
  /// When the user last proved who they are (`auth_time`), if the provider said so.
  public var authTime: Timestamp?
  /// The ID token, for the provider's sign-out.
  public var idToken: Secret?
  /// The refresh token: one for all resources.
  public var refreshToken: Secret?
  /// The scopes granted at sign-in.
  public var grantedScopes: [String]
  /// One access token a resource.
  public var tokens: [ResourceKey: AccessToken]
  /// Scopes that a resource asked for later, beyond the configured ones; every refresh asks for them again.
  public var extraScopes: [ResourceKey: [String]]
  /// Scopes that the user took back: the refresh token may still stand for them, so they must not be asked for in silence.
  public var withheldScopes: [String]
  /// The provider's own session id (`sid`), for sign-out that starts there.
  public var sid: String?
  /// What the provider wants to hear as `login_hint`.
  public var loginHint: String?
  /// Whether it can get tokens.
  public var state: State
  /// Number of the version, from 1.
  public var generation: UInt64
  /// What a newer program wrote into the session and this one does not know; kept as it is.
  var unknownFields: [ExtensionField] = []
  /// The compact record that it was unpacked from: still its own while the generation is the same.
  var origin: (generation: UInt64, record: [UInt8])?

  /// A session with every part given.
  public init(
    hash: TicketHash, user: UserKey, provider: String? = nil, profile: UserProfile = UserProfile(),
    createdAt: Timestamp,
    lastSeenAt: Timestamp, authTime: Timestamp? = nil, idToken: Secret? = nil, refreshToken: Secret? = nil,
    grantedScopes: [String] = [], tokens: [ResourceKey: AccessToken] = [:],
    extraScopes: [ResourceKey: [String]] = [:], withheldScopes: [String] = [], sid: String? = nil,
    loginHint: String? = nil, state: State = .active, generation: UInt64 = 1
  ) {
    self.hash = hash
    self.user = user
    self.provider = provider
    self.profile = profile
    self.createdAt = createdAt
    self.lastSeenAt = lastSeenAt
    self.authTime = authTime
    self.idToken = idToken
    self.refreshToken = refreshToken
    self.grantedScopes = grantedScopes
    self.tokens = tokens
    self.extraScopes = extraScopes
    self.withheldScopes = withheldScopes
    self.sid = sid
    self.loginHint = loginHint
    self.state = state
    self.generation = generation
  }
}

extension Session {
  /// Whether it came of this session at the provider: a `sid` is unique within its issuer only.
  func belongs(issuer: String, sid: String) -> Bool { self.sid == sid && user.issuer == issuer }
}

// A wall clock may be set back.
extension Session {
  /// Clocks that differ by less are one and the same: processes that share a store, small corrections.
  static let clockTolerance = Duration.seconds(60)

  /// Whether it has times that are still to come: then the clock was set back since.
  func isAhead(of now: Timestamp) -> Bool {
    let limit = now + Self.clockTolerance
    return createdAt > limit || lastSeenAt > limit || tokens.values.contains { $0.issuedAt > limit }
  }

  /// Lets what is ahead of the clock begin now, so that it does not live longer by the time the clock was set back. A token's age is
  /// not known then: it keeps its life, and is refreshed at the next opportunity.
  mutating func takeBack(to now: Timestamp) {
    origin = nil
    createdAt = min(createdAt, now)
    lastSeenAt = min(lastSeenAt, now)
    for (resource, token) in tokens where token.issuedAt > now {
      let ahead = token.issuedAt - now
      tokens[resource] = AccessToken(
        secret: token.secret, scopes: token.scopes, issuedAt: now, softExpiry: now,
        hardExpiry: token.hardExpiry - ahead, expiresAt: token.expiresAt - ahead)
    }
  }

  /// The earlier of the known beginnings counts.
  mutating func began(noLaterThan time: Timestamp) { createdAt = min(createdAt, time) }
}

/// How long sessions live.
public struct SessionPolicy: Sendable {
  /// Without a request for so long, a session ends.
  public var idleTimeout: Duration
  /// So long after its sign-in, a session ends whatever happens.
  public var absoluteTimeout: Duration
  /// Sessions held in memory; the least recently used go first and come back from the store.
  public var memoryCapacity: Int
  /// So long after it was last written, a ``Note`` is swept.
  public var noteLifetime: Duration
  /// So long sessions in memory are used while a store that others share does not answer; then each is neither
  /// known nor unknown until it does.
  public var outageGrace: Duration

  /// Half an hour idle, twelve hours in all, 100,000 in memory; notes for 400 days, so that what is used once
  /// a year is still known the next time; ten minutes without a shared store.
  public init(
    idleTimeout: Duration = .seconds(1800), absoluteTimeout: Duration = .seconds(43_200),
    memoryCapacity: Int = 100_000, noteLifetime: Duration = .seconds(400 * 86_400),
    outageGrace: Duration = .seconds(600)
  ) {
    self.idleTimeout = idleTimeout
    self.absoluteTimeout = absoluteTimeout
    self.memoryCapacity = max(1, memoryCapacity)
    self.noteLifetime = noteLifetime
    self.outageGrace = outageGrace
  }

  /// How often a loop needs to report that a session is in use: a minute, less where the idle timeout is
  /// short.
  public var touchInterval: Duration { min(.seconds(60), idleTimeout / 10) }

  /// When a session of these times ends at the latest if nobody uses it from now on.
  public func end(createdAt: Timestamp, lastSeenAt: Timestamp) -> Timestamp {
    min(createdAt + absoluteTimeout, lastSeenAt + idleTimeout)
  }

  /// Whether the session has outlived either timeout.
  public func isOver(_ session: Session, at now: Timestamp) -> Bool {
    end(createdAt: session.createdAt, lastSeenAt: session.lastSeenAt) <= now
  }

  func isOver(_ entry: SessionEntry, at now: Timestamp) -> Bool { ending(of: entry, at: now) != nil }

  /// Which timeout the session has outlived; nil: neither.
  func ending(of entry: SessionEntry, at now: Timestamp) -> EndReason? {
    let times = entry.times
    if times.created + absoluteTimeout <= now { return .expired }
    return times.seen + idleTimeout <= now ? .timedOut : nil
  }
}
