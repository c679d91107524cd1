internal import Basics
internal import JSON
internal import OAuth
internal import Sessions

/// The endpoints that tell who is signed in, and the one that ends it.
extension ControlPlane {
  /// The session whose ticket came with a request to an own endpoint.
  func currentSession(_ request: OwnRequest) async throws -> Session? {
    guard let value = request.cookie(cookies.sessionName), let hash = TicketHash(ticket: value) else { return nil }
    guard let session = try await session(for: hash) else { return nil }
    let now = clock()
    guard now < session.createdAt + policy.absoluteTimeout, now - session.lastSeenAt < policy.idleTimeout else {
      await end(session.hash)
      return nil
    }
    return session
  }

  /// `GET /auth/session`: for page scripts. Never a token. Looking does not keep the session alive.
  func sessionInfo(_ request: OwnRequest) async -> OwnResponse {
    do {
      guard let session = try await currentSession(request) else {
        return .json(401, JSONValue.object(["signed_in": false, "login_url": .string(policy.publicURL + "/auth/login")]).serialized())
      }
      var members: [(String, JSONValue)] = [("signed_in", true), ("sub", .string(session.user.subject))]
      if let name = session.profile.name ?? session.profile.username { members.append(("name", .string(name))) }
      members.append(("expires_at", .string((session.createdAt + policy.absoluteTimeout).rfc3339)))
      members.append(("idle_timeout_seconds", .number(JSONNumber(policy.idleTimeout.components.seconds))))
      members.append(("needs_sign_in", .bool(session.needsSignIn)))
      members.append(("claims", session.profile.claims))
      return .json(200, JSONValue.object(JSONObject(members)).serialized())
    } catch {
      metrics.storeErrors += 1
      return unavailable(request)
    }
  }

  /// `GET /auth/`: the same for people.
  func account(_ request: OwnRequest) async -> OwnResponse {
    do {
      let notice = ControlPlane.notice(request.parameter("done"))
      guard let session = try await currentSession(request) else {
        return .page(200, Pages.signedOut(notice: notice))
      }
      let grants = routes.all.compactMap { route in
        route.credentialSlot.map { (route: route.path, scopes: session.scopes(of: slots.key($0))) }
      }
      let account = Pages.Account(
        name: session.profile.name ?? session.profile.username ?? session.user.subject,
        username: session.profile.username, issuer: session.user.issuer, signedInAt: session.createdAt.rfc3339,
        endsAt: (session.createdAt + policy.absoluteTimeout).rfc3339, grants: grants, notice: notice)
      return .page(200, Pages.account(account), formTargets: await logoutTargets())
    } catch {
      metrics.storeErrors += 1
      return unavailable(request)
    }
  }

  /// Words for what just happened, chosen from a fixed list: the query is not shown.
  private static func notice(_ key: String?) -> String? {
    switch key {
    case "consent": "Thank you. You can go back and try again: the server may act for you now."
    case "signed_out": "You are signed out"
    default: nil
    }
  }

  /// `POST /auth/logout`: ends the session everywhere, revokes the refresh token where the provider can, and goes on to the
  /// provider's own sign-out (OpenID Connect RP-Initiated Logout 1.0).
  func logout(_ request: OwnRequest) async -> OwnResponse {
    let clear = cookies.expiredSession()
    let session: Session?
    do { session = try await currentSession(request) } catch { return unavailable(request) }
    guard let session else { return signedOut(request, location: "/auth/?done=signed_out").adding("Set-Cookie", clear) }
    await end(session.hash)
    metrics.signOuts += 1
    log.signedOut(session.user, requestID: request.requestID)
    if policy.revokesOnLogout, let refreshToken = session.refreshToken {
      // The person does not wait for it: the session is gone already.
      let provider = provider
      let log = log
      loop.spawn {
        do { try await provider.revoke(refreshToken, hint: "refresh_token") } catch {
          log.revocationFailed("\(error)")
        }
      }
    }
    let url = try? await provider.endSessionURL(
      idTokenHint: session.idToken, logoutHint: session.loginHint,
      postLogoutRedirectURI: policy.postLogoutRedirectURI, state: nil)
    return signedOut(request, location: url ?? "/auth/?done=signed_out").adding("Set-Cookie", clear)
  }

  /// A form is redirected; a script gets the address to go to, since it cannot follow a redirect to another origin.
  private func signedOut(_ request: OwnRequest, location: String) -> OwnResponse {
    if request.evidence.mode == .other {
      return .json(200, JSONValue.object(["signed_out": true, "location": .string(location)]).serialized())
    }
    return .seeOther(location)
  }

  /// Where the sign-out form may end: a browser applies `form-action` to the redirect as well.
  private func logoutTargets() async -> [String] {
    guard let metadata = try? await provider.metadata(), let endpoint = metadata.endSessionEndpoint else { return [] }
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
