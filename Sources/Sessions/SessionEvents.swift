public import Basics

/// What happened to a session. Data loops keep copies and follow these.
public enum SessionChange: Sendable {
  /// The session has a new version: new tokens, or none any more.
  case updated(Session)
  /// A new session stands where the old one was. Requests that still carry the old ticket find the new
  /// session for a short while.
  case replaced(old: TicketHash, new: Session)
  /// Another process put a new session in the place of the old one: the same, but the new one is not read yet.
  case moved(old: TicketHash, new: TicketHash)
  /// The session is over.
  case ended(TicketHash, EndReason)
  /// Another process changed the session, which is not in memory here: copies must be asked for anew.
  case stale(TicketHash)
  /// All copies must be asked for anew.
  case allStale
  /// Every session is over, also those that are not in memory.
  case allEnded
}

/// Why a session is over.
public enum EndReason: String, Sendable, Hashable, CaseIterable {
  /// The user signed out here.
  case signedOut = "signed_out"
  /// The provider said so, server to server.
  case backChannel = "back_channel"
  /// The provider said so through the user's browser.
  case frontChannel = "front_channel"
  /// An operator ended it.
  case revoked
  /// Nobody used it for as long as the idle timeout.
  case timedOut = "idle"
  /// The absolute timeout.
  case expired
  /// A refreshed ID token named another user, or another user signed in in this browser.
  case userChanged = "user_changed"
  /// It is not in the store any more: another process ended it.
  case vanished
}

/// Where the authority tells what happens. Called on its executor, in order, and must return at once.
public struct SessionEvents: Sendable {
  /// A session changed.
  public var changed: @Sendable (SessionChange) -> Void
  /// The store failed; the authority goes on from memory.
  public var storeFailed: @Sendable (StoreError) -> Void
  /// A refresh token arrived for a session that had ended meanwhile. Nobody holds it: revoke it at the session's
  /// provider where possible.
  public var orphaned: @Sendable (Secret, Session) -> Void
  /// Whether copies of sessions may be used: false when a shared store has not answered for
  /// ``SessionPolicy/outageGrace``, true when it answers again.
  public var storeReachable: @Sendable (Bool) -> Void
  /// What other processes tell that is not about sessions: ``StoreNotice/message(_:)``, and whether any may
  /// have been lost.
  public var told: @Sendable (StoreNotice) -> Void

  /// Callbacks; those left out do nothing.
  public init(
    changed: @escaping @Sendable (SessionChange) -> Void = { _ in },
    storeFailed: @escaping @Sendable (StoreError) -> Void = { _ in },
    orphaned: @escaping @Sendable (Secret, Session) -> Void = { _, _ in },
    storeReachable: @escaping @Sendable (Bool) -> Void = { _ in },
    told: @escaping @Sendable (StoreNotice) -> Void = { _ in }
  ) {
    self.changed = changed
    self.storeFailed = storeFailed
    self.orphaned = orphaned
    self.storeReachable = storeReachable
    self.told = told
  }
}

/// What a finished sign-in brings.
public struct SignInGrant: Sendable {
  /// Who signed in.
  public var user: UserKey
  /// What the session shall have as ``Session/provider``.
  public var provider: String?
  /// What pages may show.
  public var profile: UserProfile
  /// `auth_time`.
  public var authTime: Timestamp?
  /// The validated ID token.
  public var idToken: Secret?
  /// The refresh token; nil when the provider gives none.
  public var refreshToken: Secret?
  /// The scopes granted.
  public var grantedScopes: [String]
  /// The access tokens that came along, by what they are for.
  public var tokens: [ResourceKey: TokenGrant]
  /// Scopes beyond the configured ones that every refresh shall ask for from now on.
  public var extraScopes: [ResourceKey: [String]]
  /// Tokens that are of no use any more, where none of ``tokens`` takes their place: the next is fetched.
  public var renewed: Set<ResourceKey>
  /// `sid`.
  public var sid: String?
  /// `login_hint`.
  public var loginHint: String?

  /// A grant.
  public init(
    user: UserKey, provider: String? = nil, profile: UserProfile = UserProfile(), authTime: Timestamp? = nil,
    idToken: Secret? = nil,
    refreshToken: Secret? = nil, grantedScopes: [String] = [], tokens: [ResourceKey: TokenGrant] = [:],
    extraScopes: [ResourceKey: [String]] = [:], renewed: Set<ResourceKey> = [], sid: String? = nil,
    loginHint: String? = nil
  ) {
    self.user = user
    self.provider = provider
    self.profile = profile
    self.authTime = authTime
    self.idToken = idToken
    self.refreshToken = refreshToken
    self.grantedScopes = grantedScopes
    self.tokens = tokens
    self.extraScopes = extraScopes
    self.renewed = renewed
    self.sid = sid
    self.loginHint = loginHint
  }
}

/// A finished sign-in.
public struct SignInResult: Sendable {
  /// For the cookie.
  public let ticket: Ticket
  /// The new session.
  public let session: Session
  /// The session that stood here before.
  public let previous: Session?
  /// Whether ``previous`` was somebody else's, or of another provider. Nothing of it was carried over, and nothing that hangs on it
  /// may be.
  public let userChanged: Bool
  /// False when a store that other processes use could not take the session: they do not know its ticket.
  public let isKnownToAll: Bool
}
