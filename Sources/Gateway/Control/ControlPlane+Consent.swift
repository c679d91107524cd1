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
  /// A page of the upstream's own that is shown instead of asking the provider.
  var upstreamLink: String?

  func encoded() -> [UInt8] {
    var members: [(String, JSONValue)] = [("consent", consent.json), ("return_to", .string(returnTo))]
    if let upstreamLink { members.append(("upstream_link", .string(upstreamLink))) }
    return JSONValue.object(JSONObject(members)).serializedBytes()
  }

  init(consent: SignInAttempt.Consent, returnTo: String, upstreamLink: String? = nil) {
    self.consent = consent
    self.returnTo = returnTo
    self.upstreamLink = upstreamLink
  }

  init?(encoded: [UInt8]) {
    guard let value = try? JSONValue.parse(encoded), let json = value["consent"],
      let consent = SignInAttempt.Consent(json: json), let returnTo = value["return_to"]?.string
    else { return nil }
    self.init(consent: consent, returnTo: returnTo, upstreamLink: value["upstream_link"]?.string)
  }
}

// Asking the person: what a link leads to, and what they answer there.
extension ControlPlane {
  // MARK: The link's page

  /// A link that was followed by the person it was made for.
  private struct FollowedLink {
    let id: String
    let continuation: Continuation
    let route: Route
    let session: Session
  }

  /// What is answered instead of going on.
  private struct Answer: Error {
    let response: OwnResponse
  }

  /// The meaning of the link that a request names, for its person alone.
  ///
  /// - Parameter takes: it is used up; otherwise it is only looked at.
  private func follow(_ request: OwnRequest, takes: Bool) async throws(Answer) -> FollowedLink {
    guard let id = request.parameter("i"), let key = TicketHash(id) else {
      throw Answer(response: linkDead(request, nil))
    }
    let session: Session
    switch await currentSession(request) {
    case .session(let current): session = current
    case .unavailable: throw Answer(response: unavailable(request))
    case .none, .foreign:
      let back = PercentEncoding.encode(ownTarget(request, id))
      throw Answer(response: .seeOther("/auth/login?return_to=" + back))
    }
    let found: RecordTake
    do throws(StoreError) {
      found = try await look(key, of: session.user, takes: takes)
    } catch {
      throw Answer(response: storeFailed(error, request))
    }
    switch found {
    case .foreign: throw Answer(response: linkForeign(request))
    case .missing: throw Answer(response: linkDead(request, await state(of: key, user: session.user)))
    case .taken(let payload):
      guard let continuation = Continuation(encoded: payload), let route = route(of: continuation.consent)
      else { throw Answer(response: linkDead(request, nil)) }
      return FollowedLink(id: id, continuation: continuation, route: route, session: session)
    }
  }

  /// `GET /auth/continue?i=`: for a person the page that tells who asks for what; for a script what became of it.
  func continuePage(_ request: OwnRequest) async -> OwnResponse {
    guard request.evidence.isNavigation else { return await continueState(request) }
    do {
      return question(try await follow(request, takes: false), request)
    } catch {
      return error.response
    }
  }

  private func question(_ link: FollowedLink, _ request: OwnRequest) -> OwnResponse {
    let consent = link.continuation.consent
    let session = link.session
    let home = providers.of(session)
    let page = ConsentPage(
      server: link.route.consent.server, tool: consent.tool,
      scopes: consent.isWhole ? [] : consent.scopes,
      isStepUp: consent.scopes.isEmpty && consent.isStepUp, isWhole: consent.isWhole,
      user: displayName(session),
      provider: home?.title ?? "", upstreamLink: link.continuation.upstreamLink,
      action: ownTarget(request, link.id))
    // A browser applies form-action to redirects as well, and a provider may send the person on to others.
    return .page(200, page.html, formTargets: ["https:"] + [home?.origin].compactMap { $0 })
  }

  /// This page's own address again, with nothing in it but what is known.
  private func ownTarget(_ request: OwnRequest, _ id: String) -> String {
    let returnTo = request.parameter("return_to").map { "&return_to=" + PercentEncoding.encode($0) } ?? ""
    return "/auth/continue?i=" + PercentEncoding.encode(id) + returnTo
  }

  /// `POST /auth/continue?i=`: the person's decision from the page's form; from a script, the wish for the answer of the kept call.
  func continueDecision(_ request: OwnRequest) async -> ControlReply {
    let form = PercentEncoding.parseQuery(String(decoding: request.body, as: UTF8.self))
    guard let text = form.first(where: { $0.0 == "decision" })?.1 else { return await fetchKept(request) }
    // A decision is made on our own page alone.
    if request.evidence.hasAllowedOrigin { return .deny(.crossSite) }
    guard let decision = Decision(rawValue: text) else { return .respond(noDecision(request)) }
    do {
      let link = try await follow(request, takes: true)
      let answer = await carryOut(decision, link, request)
      // Nothing came of it, for instance because the provider cannot be reached: the person may press the button again.
      if answer.status >= 500 || answer.status == 400 || answer.status == 429 {
        let records = QuestionRecords(
          id: link.id, owner: link.session.user, continuation: link.continuation)
        if let records { _ = await keep(records) }
      }
      return .respond(answer)
    } catch {
      return .respond(error.response)
    }
  }

  /// The buttons of the page.
  private enum Decision: String {
    /// On to the provider.
    case `continue`
    /// What the upstream's own page wanted is done.
    case done
    case decline
  }

  private func carryOut(_ decision: Decision, _ link: FollowedLink, _ request: OwnRequest) async
    -> OwnResponse
  {
    let consent = link.continuation.consent
    let returnTo = safeReturn(request.parameter("return_to"), otherwise: link.continuation.returnTo)
    switch (decision, link.continuation.upstreamLink) {
    case (.continue, nil):
      return await ask(consent, of: link.session, returnTo: returnTo, request)
    case (.done, .some):
      // Whether the upstream has what it needs now, it alone knows: the call goes there again, so often and no more.
      noteRound(consent, user: link.session.user)
      metrics.consentsGranted += 1
      log.consentGranted(link.session.user, consent.subject, requestID: request.requestID)
      await settle(consent, .granted)
      return .seeOther(returnTo)
    case (.decline, _):
      await declined(consent, user: link.session.user, request)
      return declinedPage(request)
    case (.continue, .some), (.done, nil):
      return noDecision(request)
    }
  }

  /// Not a button of that page: nothing was decided.
  private func noDecision(_ request: OwnRequest) -> OwnResponse {
    problem(
      400, "Nothing was decided", "The page did not send one of its own answers. Open the link once more.",
      request, retry: nil)
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
    case .none, .foreign: .seeOther("/auth/login?return_to=" + PercentEncoding.encode(returnTo))
    }
  }

  /// The request names the union of what was granted and what is asked (MCP authorization, step-up; RFC 6750 §3.1), and repeats
  /// the claims of the challenge until a token came of it.
  private func ask(
    _ consent: SignInAttempt.Consent, of session: Session, returnTo: String, _ request: OwnRequest
  ) async -> OwnResponse {
    let holder = await askersSession(consent, user: session.user) ?? session
    // The provider of the session that shall get the token, whichever one the browser is signed in with.
    guard let route = route(of: consent), let slot = route.credentialSlot, let home = providers.of(holder),
      route.provider == nil || route.provider?.index == home.index
    else { return linkDead(request, nil) }
    let slots = home.slots
    let granted = ScopeList.union(holder.grantedScopes, slots.scopes(of: holder, slot: slot))
    let need = ConsentNeed(
      .consent, source: .challenge, code: "continue", scopes: consent.scopes, claims: consent.claims,
      acrValues: consent.acrValues, maxAge: consent.maxAge)
    let additions = AuthorizationAdditions(
      for: need, signIn: home.signIn.settings.scope, granted: consent.isWhole ? [] : granted,
      requested: consent.isWhole ? [] : slots.askedScope(slot))
    let demand = SignIn.Demand(
      scope: additions.scopes, resource: slots.askedResource(slot), claims: additions.claims,
      acrValues: additions.acrValues,
      maxAge: additions.maxAge, prompt: consent.prompt,
      loginHint: holder.loginHint ?? holder.profile.username)
    return await begin(home, demand, purpose: .consent(consent), returnTo: returnTo, request: request)
  }

  // MARK: Ends

  private func linkForeign(_ request: OwnRequest) -> OwnResponse {
    problem(
      403, "This link is not for you",
      "It was made for another person. Nothing was changed, for them or for you.", request, retry: nil)
  }

  private func linkDead(_ request: OwnRequest, _ state: ConsentDesk.State?) -> OwnResponse {
    switch state {
    case .granted:
      problem(
        410, "You have agreed already", "This link was used. Go back and repeat what you were doing.",
        request, retry: nil)
    case .declined:
      problem(
        410, "You have declined already",
        "This link was used. Repeat what you were doing if you want to be asked again.", request, retry: nil)
    case .pending, nil:
      problem(
        410, "This link does not lead anywhere any more",
        "It was used already, or it is too old. Repeat what you were doing to get a new one.", request,
        retry: nil)
    }
  }

  func declinedPage(_ request: OwnRequest) -> OwnResponse {
    let plain = DenialAnswer(.consentDeclined)
    return problem(
      403, plain.title,
      "Nothing has changed. The server cannot do what it was asked without your consent.", request, retry: nil
    )
  }

  func storeFailed(_ error: StoreError, _ request: OwnRequest) -> OwnResponse {
    noteFailure(error)
    return unavailable(request)
  }
}
