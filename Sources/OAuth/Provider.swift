public import Basics
public import HTTP

/// The OpenID provider as this proxy talks to it: discovery, authorization requests, token endpoint, ID tokens, sign-out.
///
/// Owner: the control loop, which is its executor. Documents are fetched once for all who wait and kept; see ``metadata()``.
public actor Provider {
  /// What the operator decided.
  public nonisolated let settings: ProviderSettings
  /// The loop.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }
  nonisolated let executor: any SerialExecutor
  let transport: any HTTPTransport
  let clock: WallClock

  /// A provider that nothing was asked of yet.
  public init(
    settings: ProviderSettings, transport: any HTTPTransport, executor: any SerialExecutor,
    clock: @escaping WallClock = { Timestamp.now() }
  ) {
    self.settings = settings
    self.transport = transport
    self.executor = executor
    self.clock = clock
  }

  /// The provider's metadata. Fetched at first use, again in the background after 12 to 18 hours, and waited for after 24; if that
  /// fails, the last good document stays.
  public func metadata() async throws(OAuthError) -> ProviderMetadata { fatalError() }

  /// Where to send the browser for `request`. Pushed first (RFC 9126) where the provider demands it.
  public func authorizationURL(_ request: AuthorizationRequest) async throws(OAuthError) -> String {
    fatalError()
  }

  /// Redeems a code (RFC 6749 §4.1.3). Not repeated on failure: a code works once.
  public func redeem(
    code: Secret, redirectURI: String, codeVerifier: Secret, resource: String? = nil
  ) async throws(OAuthError) -> TokenResponse { fatalError() }

  /// Redeems a refresh token (RFC 6749 §6) for one resource. `claims` answers a claims challenge.
  public func refresh(
    refreshToken: Secret, scope: [String]? = nil, resource: String? = nil, claims: String? = nil
  ) async throws(OAuthError) -> TokenResponse { fatalError() }

  /// Revokes a token (RFC 7009). False when the provider has no endpoint for it.
  @discardableResult
  public func revoke(_ token: Secret, hint: String? = nil) async throws(OAuthError) -> Bool { fatalError() }

  /// Where to send the browser to end the provider's own session (OpenID Connect RP-Initiated Logout 1.0); nil when the provider
  /// has no such endpoint.
  public func endSessionURL(
    idTokenHint: Secret? = nil, logoutHint: String? = nil, postLogoutRedirectURI: String? = nil,
    state: String? = nil
  ) async throws(OAuthError) -> String? { fatalError() }

  /// Checks an ID token in full and returns what it says.
  public func validate(
    idToken: Secret, expecting expectation: IDTokenExpectation
  ) async throws(OAuthError) -> IDTokenClaims { fatalError() }
}
