internal import Basics
internal import Consent
internal import HTTP
internal import Reactor
internal import Sessions
internal import Wire

/// What happens when the upstream or the provider wants something of the person: the need becomes an answer the caller can act on.
extension DataLoop {
  /// Ends a request with the answer to a need, or repairs it silently where that may work.
  func consentNeeded(_ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed) {
    if need.kind == .claims, need.source == .challenge, !call.hasReplayed, x.canReplay,
      let slot = route.credentialSlot
    {
      // A claims challenge is tried without the person first (CAE): often the refresh alone brings what is wanted. Only where a
      // status said so: behind a 200 the tool may have run.
      call.hasReplayed = true
      metrics.replays &+= 1
      return obtainToken(x, call, slot: slot, rejected: call.credential?.token, claims: need.claims)
    }
    let denial = consentDenial(x, call, route, need)
    if case .consentRequired = denial, call.evidence.isNavigation, let consent = consent(call, route, need) {
      return sendToProvider(x, call, consent)
    }
    deny(x, call, denial)
  }

  /// The denial that answers a need; opens a link where the person can do something about it.
  func consentDenial(_ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed) -> Denial {
    switch need.kind {
    case .reauth: return .loginRequired
    case .adminConsent:
      return .consentBlocked(detail: "An administrator of your organisation has to grant it.")
    case .blocked: return .consentBlocked(detail: "A policy of your organisation forbids it.")
    case .transient(let wait):
      return .providerUnavailable(retryAfter: wait.map { Int($0.components.seconds) })
    case .config: return .providerMisconfigured
    case .consent, .claims, .stepUp, .declined: break
    }
    guard let consent = consent(call, route, need), let session = call.session?.snapshot else {
      return .loginRequired
    }
    if shared.consentRounds.verdict(user: session.userDigest, route: route, need: need) == .exhausted {
      return .consentExhausted(scopes: need.scopes)
    }
    metrics.consentRequired &+= 1
    // A page that navigates goes to the provider at once and needs no link.
    if call.evidence.isNavigation { return .consentRequired(scopes: need.scopes, link: "", detail: "") }
    let link = link(
      for: Continuation(consent: consent, returnTo: refererPath(x) ?? "/auth/?done=consent"), session.user)
    return .consentRequired(
      scopes: need.scopes, link: "/auth/continue?i=" + link, detail: ConsentAnswer.consentMessage(need.scopes)
    )
  }

  /// A new link, or the one made a moment ago for the same: a client that repeats its call at once must not fill the store.
  private func link(for continuation: Continuation, _ user: UserKey) -> String {
    if let recent = recentLinks[continuation], loop.now - recent.madeAt < .seconds(2) { return recent.id }
    let id = Ticket.make().reveal()
    if recentLinks.count >= 1024 { recentLinks.removeAll() }
    recentLinks[continuation] = (id, loop.now)
    tellControl { control in await control.keep(continuation, id: id, owner: user) }
    return id
  }

  private func consent(_ call: Call, _ route: Route, _ need: ConsentNeed) -> SignInAttempt.Consent? {
    guard let session = call.session?.snapshot else { return nil }
    var prompt: String?
    if need.kind == .consent,
      case .ask(let attempt) = shared.consentRounds.verdict(
        user: session.userDigest, route: route, need: need),
      attempt > 1
    {
      // The provider saw nothing new the first time; without this it would send the person straight back.
      prompt = "consent"
    }
    return SignInAttempt.Consent(
      session: session.hash, user: session.userDigest, routeIndex: route.index, scopes: need.scopes,
      claims: need.claims, acrValues: need.acrValues, maxAge: need.maxAge, prompt: prompt)
  }

  private func sendToProvider(_ x: Exchange, _ call: Call, _ consent: SignInAttempt.Consent) {
    let request = ownRequest(x, call)
    let target = x.requestBytes.string(x.request.target)
    askControl(x, call) { control in
      .respond(await control.askDirectly(consent, returnTo: target, request: request))
    }
  }
}
