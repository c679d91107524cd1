internal import Basics
internal import HTTP
internal import JSON
internal import OAuth
internal import Reactor
internal import Sessions

/// The endpoints by which the provider signs somebody out, and what every end of sessions has in common.
extension ControlPlane {
  static let signedOutPage = "/auth/?done=signed_out"

  /// Ends sessions here, in the store and on every data loop; returns when no loop knows them any more.
  func end(_ selection: SessionSelection, because reason: EndReason) async -> EndedSessions {
    let ended = await authority.end(selection, because: reason)
    await homes.forget(ended.sessions.map(\.hash))
    for user in Set(ended.sessions.map(\.user)) { await dropPending(of: user) }
    revokeTokens(of: ended.sessions)
    return ended
  }

  /// Takes the refresh tokens of sessions that are over back at their providers, where they can and the configuration says so. Nobody
  /// waits for it: the sessions are gone already. A provider that is not configured any more is told nothing.
  func revokeTokens(of sessions: [Session]) {
    guard policy.revokesOnLogout else { return }
    let log = log
    for home in providers.all {
      let tokens = Set(
        sessions.lazy.filter { self.providers.of($0)?.index == home.index }.compactMap(\.refreshToken))
      if tokens.isEmpty { continue }
      loop.spawn {
        for token in tokens {
          do throws(OAuthError) { try await home.provider.revoke(token, hint: "refresh_token") } catch {
            log.revocationFailed("\(error)")
            // A provider that is away is not asked once more for each of many.
            if error.isTransient { return }
          }
        }
      }
    }
  }

  /// How long a session has; one whose time is over ends with this.
  func time(of session: TicketHash) async -> SessionTime {
    switch await authority.session(for: session) {
    case .found(let session):
      .until(
        min(session.createdAt + policy.absoluteTimeout, session.lastSeenAt + policy.idleTimeout))
    case .unknown: .over
    case .unavailable: .unknown
    }
  }

  // MARK: Back channel

  /// `POST /auth/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0): the signed token in it is all that counts.
  func backChannelLogout(_ request: OwnRequest) async -> OwnResponse {
    let client = request.client.map { AttemptRate.Key.client($0) }
    if let client, let wait = refusedLogouts.wait(client, now: loop.now) {
      metrics.logoutTokensRefused += 1
      return ControlPlane.logoutError(429, "temporarily_unavailable", "too many bad logout tokens")
        .retrying(after: Int(wait.components.seconds) + 1)
    }
    let form = PercentEncoding.parseQuery(String(decoding: request.body, as: UTF8.self))
    let tokens = form.filter { $0.0 == "logout_token" }
    guard request.evidence.content != .json, tokens.count == 1, let token = tokens.first?.1, !token.isEmpty
    else {
      return refuseLogout("missing", "the form must have one logout_token", request)
    }
    do throws(OAuthError) {
      let (home, claims) = try await validate(Secret(token))
      guard let selection = selection(of: claims, home) else {
        return refuseLogout(
          "unknown_user", "users are known by tid and oid here: the token needs these, or a sid", request)
      }
      return await act(on: claims, selection, request)
    } catch .idToken(let rejection) {
      return refuseLogout(rejection.rawValue, "the logout token is not valid: \(rejection.rawValue)", request)
    } catch {
      // Without the provider's keys nothing can be said about it: the provider may try again.
      log.providerFailed("\(error)", requestID: request.requestID)
      return tryLogoutAgain()
    }
  }

  /// Checks a token by the rules of the provider that it says it is from. With several clients at one issuer, its audience tells which.
  private func validate(_ token: Secret) async throws(OAuthError) -> (ConfiguredProvider, LogoutTokenClaims) {
    var candidates = providers.all
    if providers.isSeveral {
      candidates = Provider.unverifiedIssuer(of: token).map(providers.of(issuer:)) ?? []
    }
    var failure = OAuthError.idToken(.issuer)
    for home in candidates {
      do throws(OAuthError) {
        return (home, try await home.provider.validate(logoutToken: token))
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private func selection(of claims: LogoutTokenClaims, _ home: ConfiguredProvider) -> SessionSelection? {
    let user = home.slots.user(of: claims)
    if let sid = claims.sid { return .providerSession(issuer: claims.issuer, sid: sid, of: user) }
    return user.map { .user($0) }
  }

  private func act(
    on claims: LogoutTokenClaims, _ selection: SessionSelection, _ request: OwnRequest
  ) async -> OwnResponse {
    let record = SingleUseRecord.logoutToken(
      issuer: claims.issuer, id: claims.id, usableUntil: claims.usableUntil)
    do {
      guard try await store.claim(record, now: clock()) else {
        return refuseLogout("replayed", "the logout token was used before", request)
      }
    } catch {
      noteFailure(error)
      // What is in memory ends now: providers need not come again.
      let ended = await end(selection, because: .backChannel)
      if !ended.sessions.isEmpty {
        log.signedOutByProvider(ended.sessions, .backChannel, requestID: request.requestID)
      }
      return tryLogoutAgain()
    }
    let ended = await end(selection, because: .backChannel)
    log.signedOutByProvider(ended.sessions, .backChannel, requestID: request.requestID)
    guard ended.isComplete else {
      // The same token may come again, since it has not done its work.
      _ = try? await store.take(record.kind, record.key, owner: nil, now: clock())
      return tryLogoutAgain()
    }
    return OwnResponse(status: 200, fields: SecurityFields.noStore)
  }

  private func refuseLogout(_ reason: String, _ description: String, _ request: OwnRequest) -> OwnResponse {
    if let client = request.client { _ = refusedLogouts.attempt(.client(client), now: loop.now) }
    metrics.logoutTokensRefused += 1
    log.logoutTokenRefused(reason, requestID: request.requestID)
    return ControlPlane.logoutError(400, "invalid_request", description)
  }

  private func tryLogoutAgain() -> OwnResponse {
    ControlPlane.logoutError(503, "temporarily_unavailable", "try again in a moment").retrying(after: 5)
  }

  private static func logoutError(_ status: Int, _ error: String, _ description: String) -> OwnResponse {
    let body: JSONValue = ["error": .string(error), "error_description": .string(description)]
    return .json(status, body.serialized())
  }

  // MARK: Front channel

  /// As in a logout token.
  private static let maxSIDBytes = 255

  /// `GET /auth/frontchannel-logout?iss=&sid=` (OpenID Connect Front-Channel Logout 1.0): the provider shows it in a frame. Browsers
  /// keep the ticket from frames of other sites, so the provider's name for its session, which nobody can guess, has to do. The answer is
  /// the same whether there was such a session or not.
  func frontChannelLogout(_ request: OwnRequest) async -> OwnResponse {
    let current = await currentSession(request)
    let sids = request.query.filter { $0.name == "sid" }
    guard sids.count == 1, let sid = sids.first?.value, (1...Self.maxSIDBytes).contains(sid.utf8.count),
      let (_, issuer) = origin(request, current.any)
    else { return await framed(200) }
    let client = request.client.map { AttemptRate.Key.client($0) }
    if let client, let wait = refusedLogouts.wait(client, now: loop.now) {
      return await framed(429).retrying(after: Int(wait.components.seconds) + 1)
    }
    // Of several registrations at one issuer nobody can tell whose `sid` it is: the strictest counts.
    let modes = providers.of(issuer: issuer).map(\.frontChannel)
    guard !modes.contains(.off) else { return await framed(200) }
    let owns = current.any.map { $0.sid == sid && $0.user.issuer == issuer } ?? false
    if modes.contains(.cookie), !owns {
      if case .unavailable = current { return await framed(503) }
      return await framed(200)
    }
    let ended = await end(.providerSession(issuer: issuer, sid: sid, of: nil), because: .frontChannel)
    if !ended.sessions.isEmpty {
      log.signedOutByProvider(ended.sessions, .frontChannel, requestID: request.requestID)
    } else if let client {
      // Whoever guesses is told to wait at last.
      _ = refusedLogouts.attempt(client, now: loop.now)
    }
    guard ended.isComplete else { return await framed(503) }
    let answer = await framed(200)
    return owns ? answer.adding("Set-Cookie", cookies.expiredSession()) : answer
  }

  /// Whose `sid` it is: the provider, and the issuer. Microsoft Entra names none: it is the provider's own, and with many tenants that of
  /// the browser's session.
  private func origin(_ request: OwnRequest, _ current: Session?) -> (ConfiguredProvider, String)? {
    let open = providers.all.filter { $0.frontChannel != .off }
    func home(_ issuer: String) -> (ConfiguredProvider, String)? {
      let settings = { (one: ConfiguredProvider) in one.provider.settings }
      return open.first { settings($0).standsFor(issuer: issuer, tenant: nil) }.map { ($0, issuer) }
    }
    if let named = request.parameter("iss") { return home(named) }
    let nameless = open.filter { $0.provider.settings.profile == .entra }
    if let issuer = current?.user.issuer, let found = home(issuer),
      found.0.provider.settings.profile == .entra
    {
      return found
    }
    guard nameless.count == 1, let only = nameless.first else { return nil }
    return home(only.provider.settings.issuer)
  }

  private func framed(_ status: Int) async -> OwnResponse {
    var origins: [String] = []
    for home in providers.all where home.frontChannel != .off {
      let metadata = try? await home.provider.metadata()
      let own = [home.origin, metadata?.endSessionEndpoint?.origin, metadata?.authorizationEndpoint.origin]
      for origin in own.compactMap({ $0 }) where !origins.contains(origin) { origins.append(origin) }
    }
    return OwnResponse(
      status: status,
      fields: [("Content-Type", "text/html; charset=utf-8")] + SecurityFields.framedPage(by: origins),
      body: Array("<!doctype html><title>Signed out</title>".utf8))
  }
}
