internal import Basics
internal import Consent
internal import HTTP
internal import JSON
internal import OAuth
internal import Sessions

/// A refused call's link: what it takes to ask the person, kept under a random id that only leads somewhere for the same person.
struct Continuation: Sendable, Hashable {
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
  /// Keeps a link's meaning. Whoever follows the link waits until that is done.
  func keep(_ continuation: Continuation, id: String, owner: UserKey) async {
    guard let key = TicketHash(id) else { return }
    let record = SingleUseRecord(
      kind: .continuation, key: key, owner: owner, payload: continuation.encoded(),
      expiresAt: clock() + policy.linkLifetime)
    let store = store
    let log = log
    let task = Task {
      do { try await store.put(record) } catch { log.storeFailed("\(error)") }
    }
    linksBeingKept[key] = task
    await task.value
    linksBeingKept[key] = nil
  }

  /// `GET /auth/continue?i=`: single use, for the person it was made for, within its lifetime.
  func continueConsent(_ request: OwnRequest) async -> OwnResponse {
    guard let id = request.parameter("i"), let key = TicketHash(id) else { return linkDead(request) }
    let session: Session
    switch await currentSession(request) {
    case .session(let current): session = current
    case .unavailable: return unavailable(request)
    case .none:
      let returnTo = request.parameter("return_to").map { "&return_to=" + PercentEncoding.encode($0) } ?? ""
      let back = "/auth/continue?i=" + PercentEncoding.encode(id) + returnTo
      return .seeOther("/auth/login?return_to=" + PercentEncoding.encode(back))
    }
    await linksBeingKept[key]?.value
    do {
      switch try await store.take(.continuation, key, owner: session.user, now: clock()) {
      case .missing: return linkDead(request)
      case .foreign:
        return problem(
          403, "This link is not for you",
          "It was made for another person. Nothing was changed, for them or for you.", request, retry: nil)
      case .taken(let payload):
        homes.linkUsed(id)
        guard let continuation = Continuation(encoded: payload) else { return linkDead(request) }
        let returnTo = safeReturn(request.parameter("return_to"), otherwise: continuation.returnTo)
        return await ask(continuation.consent, of: session, returnTo: returnTo, request)
      }
    } catch {
      metrics.storeErrors += 1
      log.storeFailed("\(error)")
      return unavailable(request)
    }
  }

  /// Sends a person straight to the provider for what a route asked: the way of a page that navigates.
  func askDirectly(_ consent: SignInAttempt.Consent, returnTo: String, request: OwnRequest) async
    -> OwnResponse
  {
    switch await currentSession(request) {
    case .session(let session):
      await ask(
        consent, of: session, returnTo: safeReturn(returnTo, otherwise: "/auth/?done=consent"), request)
    case .unavailable: unavailable(request)
    case .none: .seeOther("/auth/login?return_to=" + PercentEncoding.encode(returnTo))
    }
  }

  /// The request names the union of what was granted and what is asked (MCP authorization, step-up; RFC 6750 §3.1), and repeats
  /// the claims of the challenge until a token came of it.
  private func ask(
    _ consent: SignInAttempt.Consent, of session: Session, returnTo: String, _ request: OwnRequest
  ) async -> OwnResponse {
    guard routes.all.indices.contains(consent.routeIndex),
      let slot = routes.all[consent.routeIndex].credentialSlot
    else { return linkDead(request) }
    let route = routes.all[consent.routeIndex]
    let granted = ScopeList.union(session.grantedScopes, slots.scopes(of: session, slot: slot))
    let need = ConsentNeed(
      .consent, source: .challenge, code: "continue", scopes: consent.scopes, claims: consent.claims,
      acrValues: consent.acrValues, maxAge: consent.maxAge)
    let additions = AuthorizationAdditions(
      for: need, signIn: signIn.settings.scope, granted: granted, requested: route.scope)
    let demand = SignIn.Demand(
      scope: additions.scopes, resource: route.resource, claims: additions.claims,
      acrValues: additions.acrValues,
      maxAge: additions.maxAge, prompt: consent.prompt,
      loginHint: session.loginHint ?? session.profile.username)
    return await begin(demand, purpose: .consent(consent), returnTo: returnTo, request: request)
  }

  private func linkDead(_ request: OwnRequest) -> OwnResponse {
    problem(
      410, "This link does not lead anywhere any more",
      "It was used already, or it is too old. Repeat what you were doing to get a new one.",
      request,
      retry: nil)
  }
}
