public import Basics

/// Asks the provider for a new access token.
///
/// Conformers bound the time of a call themselves (`tokens.refresh_timeout`): callers wait for the answer
/// without a limit of their own. They must not end the call because a caller was cancelled.
public protocol TokenRefresher: Sendable {
  /// One refresh grant (RFC 6749 §6) for one resource.
  func refresh(_ request: RefreshRequest) async -> RefreshOutcome
}

/// What is asked of the provider.
public struct RefreshRequest: Sendable {
  /// The refresh token to use. It may be gone for good after this request.
  public let refreshToken: Secret
  /// Which token is wanted.
  public let resource: ResourceKey
  /// Scopes to ask for beyond those configured for the resource.
  public let extraScopes: [String]
  /// A `claims` parameter that an upstream's challenge asked for (JSON text).
  public let claims: String?
  /// Whose session it is: a refreshed ID token must name the same user.
  public let user: UserKey

  /// A request.
  public init(
    refreshToken: Secret, resource: ResourceKey, extraScopes: [String] = [], claims: String? = nil,
    user: UserKey
  ) {
    self.refreshToken = refreshToken
    self.resource = resource
    self.extraScopes = extraScopes
    self.claims = claims
    self.user = user
  }
}

/// What the provider answered.
public enum RefreshOutcome: Sendable {
  /// A token.
  case success(RefreshGrant)
  /// `invalid_grant`: this refresh token works no more.
  case invalidGrant(ProviderRefusal)
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

  /// A grant.
  public init(token: TokenGrant, refreshToken: Secret? = nil, idToken: Secret? = nil, user: UserKey? = nil) {
    self.token = token
    self.refreshToken = refreshToken
    self.idToken = idToken
    self.user = user
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
  /// No token can be had without the user signing in again. The session goes on without tokens.
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
