internal import Basics
internal import Consent
internal import HTTP
internal import JSON
internal import OAuth
internal import Sessions

/// A refused call's link: what it takes to ask the person, kept under a random id that only leads somewhere for the same person.
struct Continuation: Sendable {
  var consent: SignInAttempt.Consent
  /// Where the person goes when it is done.
  var returnTo: String

  func encoded() -> [UInt8] {
    JSONValue.object(["consent": consent.json, "return_to": .string(returnTo)]).serializedBytes()
  }

  init(consent: SignInAttempt.Consent, returnTo: String) {
    self.consent = consent
    self.returnTo = returnTo
  }

  init?(encoded: [UInt8]) {
    guard let value = try? JSONValue.parse(encoded), let json = value["consent"],
      let consent = SignInAttempt.Consent(json: json), let returnTo = value["return_to"]?.string
    else { return nil }
    self.init(consent: consent, returnTo: returnTo)
  }
}

extension ControlPlane {
  /// Keeps a link's meaning. The link may be followed from the moment this begins.
  func keep(_ continuation: Continuation, id: String) async {
    let key = SignIn.key(id)
    continuationsBeingStored[key] = continuation
    do {
      try await store.put(
        kind: .continuation, key: key, payload: continuation.encoded(), expiresAt: clock() + policy.linkLifetime)
    } catch {
      metrics.storeErrors += 1
      log.storeFailed("\(error)")
    }
    continuationsBeingStored[key] = nil
  }

  /// `GET /auth/continue?i=`: single use, for the person it was made for, within its lifetime.
  func continueConsent(_ request: OwnRequest) async -> OwnResponse {
    guard let id = request.parameter("i"), id.utf8.count <= 64 else { return linkDead(request) }
    do {
      guard let session = try await currentSession(request) else {
        let back = "/auth/continue?i=" + PercentEncoding.encode(id)
        return .seeOther("/auth/login?return_to=" + PercentEncoding.encode(back))
      }
      let key = SignIn.key(id)
      guard let continuation = try await pending(key) else { return linkDead(request) }
      guard continuation.consent.issuer == session.user.issuer, continuation.consent.subject == session.user.subject
      else {
        return problem(
          403, "This link is not for you",
          "It was made for another person. Nothing was changed, for them or for you.", request, retry: nil)
      }
      guard try await store.take(kind: .continuation, key: key, now: clock()) != nil else { return linkDead(request) }
      let returnTo = safeReturn(request.parameter("return_to"), otherwise: continuation.returnTo)
      return await ask(continuation.consent, of: session, returnTo: returnTo, request)
    } catch {
      metrics.storeErrors += 1
      return unavailable(request)
    }
  }

  private func pending(_ key: Bytes32) async throws -> Continuation? {
    if let early = continuationsBeingStored[key] {
      try await store.put(
        kind: .continuation, key: key, payload: early.encoded(), expiresAt: clock() + policy.linkLifetime)
      return early
    }
    return try await store.peek(kind: .continuation, key: key, now: clock()).flatMap { Continuation(encoded: $0) }
  }

  /// Sends a person straight to the provider for what a route asked: the way of a page that navigates.
  func askDirectly(_ consent: SignInAttempt.Consent, returnTo: String, request: OwnRequest) async -> OwnResponse {
    do {
      guard let session = try await currentSession(request) else {
        return .seeOther("/auth/login?return_to=" + PercentEncoding.encode(returnTo))
      }
      return await ask(consent, of: session, returnTo: returnTo, request)
    } catch {
      metrics.storeErrors += 1
      return unavailable(request)
    }
  }

  /// The request names the union of what was granted and what is asked (MCP authorization, step-up; RFC 6750 §3.1), and repeats
  /// the claims of the challenge until a token came of it.
  private func ask(
    _ consent: SignInAttempt.Consent, of session: Session, returnTo: String, _ request: OwnRequest
  ) async -> OwnResponse {
    guard routes.all.indices.contains(consent.routeIndex), let slot = routes.all[consent.routeIndex].credentialSlot
    else { return linkDead(request) }
    let route = routes.all[consent.routeIndex]
    let granted = Scopes.union(session.grantedScopes, session.scopes(of: slots.key(slot)))
    let demand = SignIn.Demand(
      scope: Scopes.union(Scopes.union(signIn.settings.scope, Scopes.union(route.scope, granted)), consent.scopes),
      resource: route.resource, claims: consent.claims, acrValues: consent.acrValues, maxAge: consent.maxAge,
      loginHint: session.loginHint ?? session.profile.username)
    return await begin(demand, purpose: .consent(consent), returnTo: returnTo, request: request)
  }

  private func linkDead(_ request: OwnRequest) -> OwnResponse {
    problem(
      410, "This link does not lead anywhere any more",
      "It was used already, or it is older than ten minutes. Repeat what you were doing to get a new one.", request,
      retry: nil)
  }
}
