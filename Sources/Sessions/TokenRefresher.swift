public import Basics

/// Asks the provider for a new access token.
///
/// Conformers bound the time of a call themselves (`tokens.refresh_timeout`): callers wait for the answer
/// without a limit of their own. They must not end the call because a caller was cancelled.
public protocol TokenRefresher: Sendable {
  /// One token for one resource: a refresh grant (RFC 6749 §6), or an exchange of another token of the
  /// session (RFC 8693 §2.1), for which a refresh grant may have to come first.
  func refresh(_ request: RefreshRequest) async -> RefreshAnswer

  /// Whether tokens for this resource come from the refresh token alone. If not, ``refresh(_:)`` is called
  /// without one, too.
  func needsRefreshToken(for resource: ResourceKey) -> Bool
}

extension TokenRefresher {
  /// True: every token comes from the refresh token.
  public func needsRefreshToken(for resource: ResourceKey) -> Bool { true }
}

/// What is asked of the provider.
public struct RefreshRequest: Sendable {
  /// The session as it is at hand. A refreshed ID token must name its user; its tokens of other resources may
  /// be exchanged.
  public let session: Session
  /// Which token is wanted.
  public let resource: ResourceKey
  /// A `claims` parameter that an upstream's challenge asked for (JSON text).
  public let claims: String?

  /// A request.
  public init(session: Session, resource: ResourceKey, claims: String? = nil) {
    self.session = session
    self.resource = resource
    self.claims = claims
  }

  /// The refresh token to use. It may be gone for good after this request. Nil only where
  /// ``TokenRefresher/needsRefreshToken(for:)`` says that there need be none.
  public var refreshToken: Secret? { session.refreshToken }
  /// Scopes to ask for beyond those configured for the resource.
  public var extraScopes: [String] { session.extraScopes[resource] ?? [] }
  /// Whose session it is.
  public var user: UserKey { session.user }
}

/// What came of a request: its outcome, and what was won on the way to it.
public struct RefreshAnswer: Sendable {
  /// Whether there is a token.
  public var outcome: RefreshOutcome
  /// What the provider gave before the step that decided the outcome; nil when there was no such step, or
  /// it gave nothing. It is kept whatever the outcome: the old refresh token may be spent.
  public var gains: RefreshGains?

  /// An answer.
  public init(_ outcome: RefreshOutcome, gains: RefreshGains? = nil) {
    self.outcome = outcome
    self.gains = gains
  }

  /// Whether asking again with the same tokens is of no use.
  var isFinal: Bool {
    switch outcome {
    case .invalidGrant, .subjectRefused: true
    case .success, .interactionRequired, .transient, .misconfigured: false
    }
  }

  /// The newest refresh token in it.
  var refreshToken: Secret? {
    if case .success(let grant) = outcome, let token = grant.refreshToken { return token }
    return gains?.refreshToken
  }
}

/// What a refresh grant brought that another step followed, an exchange for instance. When its ID token names
/// another user, no step may follow: that is a ``RefreshGrant`` with this user.
public struct RefreshGains: Sendable {
  /// The new refresh token; nil means that the old one stays in use.
  public var refreshToken: Secret?
  /// A new ID token, validated by the refresher, and known to name the session's user.
  public var idToken: Secret?
  /// Tokens for other resources than the one asked for.
  public var also: [ResourceKey: TokenGrant]

  /// Gains.
  public init(
    refreshToken: Secret? = nil, idToken: Secret? = nil, also: [ResourceKey: TokenGrant] = [:]
  ) {
    self.refreshToken = refreshToken
    self.idToken = idToken
    self.also = also
  }
}

/// What the provider answered.
public enum RefreshOutcome: Sendable {
  /// A token.
  case success(RefreshGrant)
  /// `invalid_grant` for the refresh token: it works no more, and the session's tokens end. Never for a token
  /// that was exchanged; see ``subjectRefused(_:)``.
  case invalidGrant(ProviderRefusal)
  /// The exchange of another token was refused for good (RFC 8693 §2.2.2), or there is none to exchange: only
  /// a new sign-in brings a token for this resource. The refresh token and all other tokens stay good.
  case subjectRefused(ProviderRefusal)
  /// The user has to consent or to prove more; the refresh token stays good.
  case interactionRequired(ProviderRefusal)
  /// No answer, or one that says "later": network, 5xx, 429, `temporarily_unavailable`. The detail is for the
  /// log.
  case transient(retryAfter: Duration?, detail: String)
  /// The operator's fault (`invalid_client`, …): nothing a user can do. The detail is for the log.
  case misconfigured(detail: String)
}

/// A successful refresh.
public struct RefreshGrant: Sendable {
  /// The new access token.
  public var token: TokenGrant
  /// The new refresh token; nil means that the old one stays in use (RFC 6749 §6).
  public var refreshToken: Secret?
  /// A new ID token, validated by the refresher.
  public var idToken: Secret?
  /// Whom the new ID token names; another user than the session's ends the session.
  public var user: UserKey?
  /// Tokens for other resources that came along; saved together with ``token``.
  public var also: [ResourceKey: TokenGrant]

  /// A grant.
  public init(
    token: TokenGrant, refreshToken: Secret? = nil, idToken: Secret? = nil, user: UserKey? = nil,
    also: [ResourceKey: TokenGrant] = [:]
  ) {
    self.token = token
    self.refreshToken = refreshToken
    self.idToken = idToken
    self.user = user
    self.also = also
  }
}

/// An error answer of the token endpoint (RFC 6749 §5.2 with Microsoft's additions). Texts are for logs, not
/// for pages.
public struct ProviderRefusal: Sendable, Hashable {
  /// `error`.
  public var error: String
  /// `error_description`.
  public var description: String?
  /// `suberror`.
  public var suberror: String?
  /// `claims` to pass to the next authorization request (JSON text).
  public var claims: String?
  /// `error_codes`.
  public var codes: [Int]

  /// A refusal.
  public init(
    error: String, description: String? = nil, suberror: String? = nil, claims: String? = nil,
    codes: [Int] = []
  ) {
    self.error = error
    self.description = description
    self.suberror = suberror
    self.claims = claims
    self.codes = codes
  }
}

/// What became of the wish for a token.
public enum TokenOutcome: Sendable {
  /// Use this token. The session is the one after a refresh.
  case token(AccessToken, Session)
  /// There is no such session any more.
  case unknownSession
  /// No token for this resource can be had without the user signing in again. Where the grant ended, the
  /// session goes on without tokens (``Session/State/needsSignIn(_:)``); else those of other resources stay.
  case needsSignIn(Session)
  /// The provider wants the user's consent or a stronger proof first.
  case interactionRequired(ProviderRefusal, Session)
  /// The upstream rejected a token that had just been fetched because it rejected the one before. Another
  /// refresh would not help.
  case rejectedAgain(Session)
  /// Not now. The session and its tokens stay.
  case transient(retryAfter: Duration?, detail: String)
  /// The proxy's own registration is at fault. The session and its tokens stay.
  case misconfigured(detail: String)
}
