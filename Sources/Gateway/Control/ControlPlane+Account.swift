internal import Basics
internal import HTTP
internal import JSON
internal import OAuth
internal import Reactor
internal import Sessions

/// The endpoints that tell who is signed in, and the one that ends it.
extension ControlPlane {
  /// What is known of the ticket that came with a request.
  enum Current {
    case session(Session)
    case none
    /// A session of a provider that is not configured any more: as good as none, but it can be ended.
    case foreign(Session)
    /// The store could not be asked.
    case unavailable

    var session: Session? {
      if case .session(let session) = self { return session }
      return nil
    }

    /// Also one that is of no use any more: what a sign-in takes the place of.
    var any: Session? {
      if case .foreign(let session) = self { return session }
      return session
    }
  }

  /// The session whose ticket came with a request to an own endpoint. Asking does not keep it alive.
  func currentSession(_ request: OwnRequest) async -> Current {
    guard let value = request.cookie(cookies.sessionName), let ticket = TicketHash(value) else {
      return .none
    }
    switch await authority.session(for: ticket) {
    case .found(let session): return providers.of(session) == nil ? .foreign(session) : .session(session)
    case .unknown: return .none
    case .unavailable: return .unavailable
    }
  }

  /// `GET /auth/session`: for page scripts. Never a token.
  func sessionInfo(_ request: OwnRequest) async -> OwnResponse {
    switch await currentSession(request) {
    case .unavailable: return unavailable(request)
    case .none, .foreign:
      let login: JSONValue = .string(policy.publicURL + "/auth/login")
      return .json(401, JSONValue.object(["signed_in": false, "login_url": login]).serialized())
        .adding("WWW-Authenticate", cookies.challenge(realm: policy.publicURL))
    case .session(let session):
      var members: [(String, JSONValue)] = [
        ("signed_in", true), ("sub", .string(session.user.subject)), ("name", .string(displayName(session))),
        ("expires_at", .string((session.createdAt + policy.absoluteTimeout).rfc3339)),
        ("idle_expires_at", .string((session.lastSeenAt + policy.idleTimeout).rfc3339)),
        ("needs_sign_in", .bool(session.state != .active)),
      ]
      if providers.isSeveral, let provider = providers.of(session) {
        members.append(("provider", .string(provider.name)))
      }
      if let text = session.profile.claims, let claims = try? JSONValue.parse(text) {
        members.append(("claims", claims))
      }
      return .json(200, JSONValue.object(JSONObject(members)).serialized())
    }
  }

  /// What a page calls the person.
  func displayName(_ session: Session) -> String {
    session.profile.name ?? session.profile.username ?? session.user.subject
  }

  /// `GET /auth/`: the same for people.
  func account(_ request: OwnRequest) async -> OwnResponse {
    let notice = ControlPlane.notice(request.parameter("done"))
    switch await currentSession(request) {
    case .unavailable: return unavailable(request)
    case .none, .foreign: return .page(200, Pages.signedOut(notice: notice))
    case .session(let session):
      let provider = providers.of(session)
      let grants = routes.all.filter { $0.provider == nil || $0.provider?.index == provider?.index }
        .compactMap { route in
          route.credentialSlot.map {
            (route: route.path, scopes: provider?.slots.scopes(of: session, slot: $0) ?? [])
          }
        }
      let given: [GivenConsent]
      do { given = try await self.given(by: session.user) } catch { return storeFailed(error, request) }
      let account = Pages.Account(
        name: displayName(session), username: session.profile.username, issuer: session.user.issuer,
        signedInAt: ControlPlane.minute(session.createdAt),
        endsAt: ControlPlane.minute(session.createdAt + policy.absoluteTimeout),
        grants: grants,
        given: given.map {
          Pages.Account.Given(
            key: $0.key, server: $0.server, scopes: $0.scopes, tool: $0.tool, at: ControlPlane.minute($0.at))
        }, notice: notice)
      return .page(200, Pages.account(account), formTargets: await logoutTargets(provider))
    }
  }

  /// A time for people: `2026-01-31 09:05 UTC`.
  private static func minute(_ time: Timestamp) -> String {
    time.rfc3339.prefix(16).replacing("T", with: " ") + " UTC"
  }

  /// Words for what just happened, chosen from a fixed list: the query is not shown.
  private static func notice(_ key: String?) -> String? {
    switch key {
    case "consent": "You can go back now, and try again."
    case "signed_out": "You are signed out"
    case "revoked": "Taken back. The server has to ask you again."
    default: nil
    }
  }

  /// `POST /auth/logout`: ends the session everywhere, revokes the refresh token where the provider can, and goes on to the
  /// provider's own sign-out (OpenID Connect RP-Initiated Logout 1.0).
  func logout(_ request: OwnRequest) async -> OwnResponse {
    let clear = cookies.expiredSession()
    let current = await currentSession(request)
    if case .unavailable = current { return unavailable(request) }
    guard let found = current.any, let session = await end(found.hash) else {
      return signedOut(request, location: ControlPlane.signedOutPage).adding("Set-Cookie", clear)
    }
    metrics.signOuts += 1
    log.signedOut(session.user, requestID: request.requestID)
    // What the provider gave is of use nowhere else: where it is not configured any more, nobody is told.
    guard let home = providers.of(session) else {
      return signedOut(request, location: ControlPlane.signedOutPage).adding("Set-Cookie", clear)
    }
    let url = try? await home.provider.endSessionURL(
      idTokenHint: session.idToken, logoutHint: session.loginHint,
      postLogoutRedirectURI: home.postLogoutRedirectURI, state: RandomBytes.token(bits: 128))
    return signedOut(request, location: url ?? ControlPlane.signedOutPage).adding("Set-Cookie", clear)
  }

  /// A form is redirected; a script gets the address to go to, since it cannot follow a redirect to another origin.
  private func signedOut(_ request: OwnRequest, location: String) -> OwnResponse {
    if request.evidence.mode == .other {
      return .json(200, JSONValue.object(["signed_out": true, "location": .string(location)]).serialized())
    }
    return .seeOther(location)
  }

  /// Where the sign-out form may end: a browser applies `form-action` to the redirect as well.
  private func logoutTargets(_ home: ConfiguredProvider?) async -> [String] {
    guard let metadata = try? await home?.provider.metadata(), let endpoint = metadata.endSessionEndpoint
    else {
      return []
    }
    return [endpoint.origin]
  }

  func unavailable(_ request: OwnRequest) -> OwnResponse {
    let answer = DenialAnswer(.storeUnavailable)
    return .page(
      answer.status,
      Pages.problem(title: answer.title, explanation: answer.explanation, requestID: request.requestID)
    ).adding("Retry-After", "5")
  }
}
