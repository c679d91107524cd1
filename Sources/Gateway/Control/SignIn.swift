internal import Basics
internal import Consent
internal import Crypto
internal import HTTP
internal import Logging
internal import OAuth
internal import Sessions

/// The authorization code flow (OpenID Connect Core §3.1, RFC 9700): begins a walk to the provider, and takes in what comes back.
///
/// One for each provider; each takes in only what was begun with it, at its own redirect URI.
///
/// Owner: the control loop. Tokens come from the token endpoint only; what the browser brings is a code, a state and a cookie, and all
/// three must fit one attempt that was begun here.
struct SignIn: Sendable {
  let provider: Provider
  let store: any SessionStore
  let settings: Settings
  let clock: WallClock

  struct Settings: Sendable {
    /// What the configuration calls the provider.
    var provider: String
    /// The provider's own: no other one has it.
    var redirectURI: String
    var issuer: String
    /// `openid profile offline_access` and what else the configuration names.
    var scope: [String]
    /// The scopes of all routes that send a token: asked together, so that one consent covers them.
    var routeScopes: [String]
    /// RFC 8707 parameter of the first route with a token, where configured.
    var resource: String?
    var acrValues: [String]
    var prompt: String?
    var cookies: CookieJar
  }

  /// What a walk asks for beyond the plain sign-in.
  struct Demand: Sendable {
    var scope: [String]
    var resource: String?
    var claims: String?
    var acrValues: [String] = []
    var maxAge: Int?
    var prompt: String?
    var loginHint: String?
  }

  /// What came back from the provider, verified.
  struct Arrival: Sendable {
    var attempt: SignInAttempt
    var claims: IDTokenClaims
    var tokens: TokenResponse
  }

  /// Why a callback did not end in a session.
  enum Failure: Error {
    /// No attempt of this browser fits: reused, expired, forged, or its cookie is gone.
    case noAttempt
    /// The answer came from another issuer than the one asked (RFC 9207 §2.4).
    case wrongIssuer
    /// The provider, or the person, said no; the code is from the standard's list, never the provider's text.
    case refused(error: String, attempt: SignInAttempt)
    case token(OAuthError, attempt: SignInAttempt)
    case store(StoreError)
  }

  /// The request for everything a new session needs.
  var signInDemand: Demand {
    Demand(
      scope: ScopeList.union(settings.scope, settings.routeScopes), resource: settings.resource,
      acrValues: settings.acrValues, prompt: settings.prompt)
  }

  /// Starts a walk: remembers the attempt and sends the browser to the provider.
  func begin(
    _ demand: Demand, purpose: SignInAttempt.Purpose, returnTo: String, request: OwnRequest
  ) async throws -> OwnResponse {
    let name = settings.cookies.newAttempt(now: clock())
    // The cookie's value is a ticket of its own: the record is found by its hash, so knowing a state is not enough to use it up.
    let ticket = Ticket.make()
    // The state names its attempt's cookie, so several tabs at once find each their own.
    let state = name + "." + RandomBytes.token(bits: 256)
    let pkce = PKCE.make()
    let attempt = SignInAttempt(
      cookieName: name, state: Secret(state), nonce: RandomBytes.token(bits: 256),
      codeVerifier: pkce.verifier, issuer: settings.issuer, provider: settings.provider, returnTo: returnTo,
      scope: demand.scope, resource: demand.resource, purpose: purpose)
    let url = try await provider.authorizationURL(
      AuthorizationRequest(
        redirectURI: settings.redirectURI, scope: demand.scope, state: state, nonce: attempt.nonce,
        codeChallenge: pkce.challenge, resource: demand.resource, loginHint: demand.loginHint,
        claims: demand.claims,
        acrValues: demand.acrValues, maxAge: demand.maxAge, prompt: demand.prompt))
    try await store.put(
      SingleUseRecord(
        kind: .signIn, key: ticket.hash, payload: attempt.encoded(),
        expiresAt: clock() + SignInAttempt.lifetime))
    var response = OwnResponse.seeOther(url)
    for old in settings.cookies.surplusAttempts(in: request.cookies) {
      response = response.adding("Set-Cookie", settings.cookies.expiredAttempt(old))
    }
    return response.adding("Set-Cookie", settings.cookies.attempt(name, value: Secret(ticket.reveal())))
  }

  /// Takes in the provider's answer. Nothing is redeemed before state, cookie and issuer are found to fit.
  func arrive(_ request: OwnRequest) async throws(Failure) -> Arrival {
    let callback = AuthorizationCallback(parameters: request.query)
    guard let state = callback.state, state.utf8.count <= 256,
      let dot = state.firstIndex(of: "."),
      let cookie = settings.cookies.attemptValue(String(state[..<dot]), in: request.cookies)
    else { throw .noAttempt }
    guard let attempt = try await takeAttempt(state: state, cookie: cookie) else { throw .noAttempt }
    // What was begun at another provider is not for this one to answer, be it a code or an error (RFC 9700 §4.4.2.2).
    guard attempt.issuer == settings.issuer, attempt.provider == nil || attempt.provider == settings.provider
    else { throw .wrongIssuer }
    let metadata: ProviderMetadata
    do { metadata = try await provider.metadata() } catch { throw .token(error, attempt: attempt) }
    // Mix-up defence first, also for errors: on a mismatch nothing of the answer is believed or shown.
    guard callback.issuerFits(attempt.issuer, metadata: metadata) else { throw .wrongIssuer }
    if let error = callback.error { throw .refused(error: error, attempt: attempt) }
    guard let code = callback.code else { throw .noAttempt }
    do {
      let tokens = try await provider.redeem(
        code: code, redirectURI: settings.redirectURI, codeVerifier: attempt.codeVerifier,
        resource: attempt.resource, scope: attempt.scope)
      guard let idToken = tokens.idToken else { throw OAuthError.idToken(.missing) }
      var expectation = IDTokenExpectation(nonce: attempt.nonce, accessToken: tokens.accessToken)
      expectation.code = code
      if case .consent(let consent) = attempt.purpose {
        expectation.maxAge = consent.maxAge.map { .seconds($0) }
        expectation.requiredACRValues = consent.acrValues
      }
      let claims = try await provider.validate(idToken: idToken, expecting: expectation)
      return Arrival(attempt: attempt, claims: claims, tokens: tokens)
    } catch let error as OAuthError {
      throw .token(error, attempt: attempt)
    } catch {
      throw .noAttempt
    }
  }

  /// Takes the attempt that belongs to the cookie; its state must be the one that came back.
  private func takeAttempt(state: String, cookie: String) async throws(Failure) -> SignInAttempt? {
    guard let key = TicketHash(cookie) else { return nil }
    do {
      guard case .taken(let payload) = try await store.take(.signIn, key, owner: nil, now: clock()),
        let attempt = SignInAttempt(encoded: payload), attempt.state == Secret(state)
      else { return nil }
      return attempt
    } catch {
      throw .store(error)
    }
  }
}
