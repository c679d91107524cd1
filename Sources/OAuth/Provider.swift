public import Basics
public import HTTP
internal import JSON

/// The OpenID provider as this proxy talks to it: discovery, authorization requests, token endpoint, ID tokens, sign-out.
///
/// Owner: the control loop, which is its executor. Documents are fetched once for all who wait, and kept.
public actor Provider {
  /// What the operator decided.
  public nonisolated let settings: ProviderSettings
  /// The loop.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  private nonisolated let executor: any SerialExecutor
  private let transport: any HTTPTransport
  let clock: WallClock
  private let document: CachedDocument<ProviderMetadata>
  private let keySet: JWKSCache

  /// A provider that nothing was asked of yet.
  public init(
    settings: ProviderSettings, transport: any HTTPTransport, executor: any SerialExecutor,
    clock: @escaping WallClock = { Timestamp.now() }
  ) {
    self.settings = settings
    self.transport = transport
    self.executor = executor
    self.clock = clock
    let loader = DocumentLoader(settings: settings, transport: transport)
    let document = CachedDocument(
      executor: executor, clock: clock,
      lifetime: .init(
        refreshAfter: .seconds(12 * 3600), waitAfter: .seconds(24 * 3600), jitter: .seconds(6 * 3600))
    ) { () async throws(OAuthError) in try await loader.metadata() }
    self.document = document
    keySet = JWKSCache(executor: executor, clock: clock) { () async throws(OAuthError) in
      try await loader.keys(at: try await document.value().jwksURI)
    }
  }

  // MARK: Documents

  /// The provider's metadata. Fetched at first use, again in the background after 12 to 18 hours, and waited for after 24; if that
  /// fails, the last good document stays. Without any, a failure is reported for five seconds before the next try.
  public func metadata() async throws(OAuthError) -> ProviderMetadata { try await document.value() }

  /// Whether ``metadata()`` has something to give without asking the provider.
  public var knowsMetadata: Bool { get async { await document.isHeld } }

  /// Checks an ID token in full and returns what it says. An unknown key causes one fetch of the key set at most every five minutes.
  public func validate(
    idToken: Secret, expecting expectation: IDTokenExpectation
  ) async throws(OAuthError) -> IDTokenClaims {
    let token = try await verify(idToken, types: IDTokenValidator.types, from: .signIn)
    do throws(IDTokenRejection) {
      return try token.rules.check(
        try token.claims(), signedBy: token.signers, token.algorithm, expecting: expectation)
    } catch { throw .idToken(error) }
  }

  /// Checks a logout token in full (OpenID Connect Back-Channel Logout 1.0 §2.6) and returns what it says. That it is used once is the
  /// caller's business. Anybody can send one: unknown keys in such tokens have their own fetch every five minutes, and take none away from
  /// sign-ins.
  public func validate(logoutToken: Secret) async throws(OAuthError) -> LogoutTokenClaims {
    let token = try await verify(logoutToken, types: LogoutTokenValidator.types, from: .anybody)
    do throws(IDTokenRejection) {
      return try LogoutTokenValidator(rules: token.rules).check(try token.claims(), signedBy: token.signers)
    } catch { throw .idToken(error) }
  }

  /// A token whose signature is the provider's.
  private struct VerifiedToken {
    let token: SignedToken
    let signers: [VerificationKey]
    let algorithm: SigningAlgorithm
    let rules: IDTokenValidator

    func claims() throws(IDTokenRejection) -> JSONObject { try token.claims() }
  }

  private func verify(
    _ secret: Secret, types: Set<String>, from source: JWKSCache.Source
  ) async throws(OAuthError) -> VerifiedToken {
    let metadata = try await metadata()
    let token: SignedToken
    let algorithm: SigningAlgorithm
    do throws(IDTokenRejection) {
      token = try SignedToken(secret)
      algorithm = try IDTokenValidator(settings: settings, metadata: metadata, now: clock()).algorithm(
        of: token, types: types)
    } catch { throw .idToken(error) }
    var keys = try await keySet.keys()
    if let keyID = token.keyID, !keys.contains(where: { $0.keyID == keyID }) {
      keys = try await keySet.keysAfterMiss(from: source)
    }
    // The time is read again: fetching may have taken a while.
    let rules = IDTokenValidator(settings: settings, metadata: metadata, now: clock())
    do throws(IDTokenRejection) {
      let signers = try rules.signers(of: token, algorithm, among: keys)
      return VerifiedToken(token: token, signers: signers, algorithm: algorithm, rules: rules)
    } catch { throw .idToken(error) }
  }

  // MARK: Browser

  /// Where to send the browser for `request`. Pushed first (RFC 9126) where the provider demands it or the settings say so.
  public func authorizationURL(_ request: AuthorizationRequest) async throws(OAuthError) -> String {
    let metadata = try await metadata()
    let parameters = settings.shaped(request).parameters(
      clientID: settings.clientID, extra: settings.shapedExtraParameters)
    if let own = metadata.pushedAuthorizationEndpoint,
      metadata.requiresPushedAuthorization || settings.pushesAuthorizationRequests
    {
      let endpoint = metadata.mutualTLSAliases?.pushedAuthorization ?? own
      let reference = try await push(parameters, to: endpoint, metadata)
      return metadata.authorizationEndpoint
        .appending(query: [("client_id", settings.clientID), ("request_uri", reference)]).description
    }
    return metadata.authorizationEndpoint.appending(query: parameters).description
  }

  /// Where to send the browser to end the provider's own session (OpenID Connect RP-Initiated Logout 1.0); nil when the provider
  /// has no such endpoint. An ID token as hint passes through the browser; `logoutHint` says less, and where it is given it is sent
  /// instead; with Entra also where the ID token itself has it.
  public func endSessionURL(
    idTokenHint: Secret? = nil, logoutHint: String? = nil, postLogoutRedirectURI: String? = nil,
    state: String? = nil
  ) async throws(OAuthError) -> String? {
    guard let endpoint = try await metadata().endSessionEndpoint else { return nil }
    var query: [(String, String)] = []
    let knownHint =
      settings.profile == .entra
      ? idTokenHint.flatMap { SignedToken.unverifiedClaims($0)?["login_hint"]?.string } : nil
    if let logoutHint = logoutHint ?? knownHint {
      query.append(("logout_hint", logoutHint))
    } else if let idTokenHint {
      query.append(("id_token_hint", idTokenHint.reveal()))
    }
    query.append(("client_id", settings.clientID))
    if let postLogoutRedirectURI { query.append(("post_logout_redirect_uri", postLogoutRedirectURI)) }
    if let state { query.append(("state", state)) }
    return endpoint.appending(query: query).description
  }

  // MARK: Token endpoint

  /// Redeems a code (RFC 6749 §4.1.3). Not repeated on failure: a code works once. `scope` is sent to Entra only, which wants to know
  /// for which one resource the token shall be; `resource` only picks among them there.
  public func redeem(
    code: Secret, redirectURI: String, codeVerifier: Secret, resource: String? = nil, scope: [String]? = nil
  ) async throws(OAuthError) -> TokenResponse {
    var form = [
      ("code", code.reveal()), ("redirect_uri", redirectURI), ("code_verifier", codeVerifier.reveal()),
    ]
    if let resource = settings.shaped(resource: resource) { form.append(("resource", resource)) }
    if settings.profile == .entra, let scope = settings.shaped(scope: scope, resource: resource),
      !scope.isEmpty
    {
      form.append(("scope", scope.joined(separator: " ")))
    }
    return try await requestTokens(.authorizationCode, form)
  }

  /// Redeems a refresh token (RFC 6749 §6) for one resource. Without `scope` all that was granted is asked for; `claims` answers a
  /// claims challenge.
  public func refresh(
    refreshToken: Secret, scope: [String]? = nil, resource: String? = nil, claims: String? = nil
  ) async throws(OAuthError) -> TokenResponse {
    var form = [("refresh_token", refreshToken.reveal())]
    let scope = settings.shaped(scope: scope, resource: resource)
    if let scope, !scope.isEmpty { form.append(("scope", scope.joined(separator: " "))) }
    if let resource = settings.shaped(resource: resource) { form.append(("resource", resource)) }
    if let claims = settings.shaped(claims: claims) { form.append(("claims", claims)) }
    return try await requestTokens(.refreshToken, form)
  }

  /// Revokes a token (RFC 7009); `hint` is `refresh_token` or `access_token`. False when the provider has no endpoint for it.
  @discardableResult
  public func revoke(_ token: Secret, hint: String? = nil) async throws(OAuthError) -> Bool {
    let metadata = try await metadata()
    guard let own = metadata.revocationEndpoint else { return false }
    let endpoint = metadata.mutualTLSAliases?.revocation ?? own
    var form = [("token", token.reveal())]
    if let hint { form.append(("token_type_hint", hint)) }
    let response = try await post(form, to: endpoint, .revocation, metadata)
    guard response.status == 200 || response.status == 204 else {
      throw .response(.revocation, status: response.status, .status)
    }
    return true
  }

  func requestTokens(_ grant: GrantType, _ form: [(String, String)]) async throws(OAuthError) -> TokenResponse
  {
    let metadata = try await metadata()
    let form = [("grant_type", grant.rawValue)] + form
    let endpoint = metadata.mutualTLSAliases?.token ?? metadata.tokenEndpoint
    let response = try await post(form, to: endpoint, .token, metadata)
    return try TokenEndpoint.read(response, grant: grant, now: clock())
  }

  private func push(
    _ parameters: [(String, String)], to endpoint: URLReference, _ metadata: ProviderMetadata
  ) async throws(OAuthError) -> String {
    let form = parameters.filter { $0.0 != "client_id" }
    let response = try await post(form, to: endpoint, .pushedAuthorization, metadata)
    func fault(_ fault: OAuthError.ResponseFault) -> OAuthError {
      .response(.pushedAuthorization, status: response.status, fault)
    }
    guard response.status == 201 || response.status == 200 else { throw fault(.status) }
    let value = try? JSONValue.parse(
      response.body, limits: JSONLimits(depth: 16, bytes: TokenEndpoint.maxBytes))
    guard let value else { throw fault(.notJSON) }
    guard let reference = value["request_uri"]?.string, !reference.isEmpty else {
      throw fault(.member("request_uri"))
    }
    return reference
  }

  /// Sends a form with the client's authentication. No `Origin` is ever sent: Entra refuses client credentials beside it.
  private func post(
    _ form: [(String, String)], to url: URLReference, _ endpoint: OAuthError.Endpoint,
    _ metadata: ProviderMetadata
  ) async throws(OAuthError) -> FetchResponse {
    let proof = try await settings.proof(metadata: metadata, now: clock())
    let request = FetchRequest(
      method: "POST", url: url,
      fields: [("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")]
        + proof.fields,
      body: Array(PercentEncoding.formEncode(form + proof.form).utf8))
    do { return try await transport.send(request) } catch { throw .transport(error, endpoint) }
  }
}
