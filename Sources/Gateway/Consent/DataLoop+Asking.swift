internal import Basics
internal import Consent
internal import HTTP
internal import MCP
internal import Reactor
internal import Sessions
internal import Wire

/// What happens when the upstream or the provider wants something of the person: the need becomes a question, and the question an
/// answer that the caller can act on.
extension DataLoop {
  /// Ends a request with the answer to a need, or repairs it silently where that may work.
  func consentNeeded(_ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed) {
    if need.kind == .claims, need.isUnexecuted, !call.hasReplayed, x.canReplay,
      let slot = route.credentialSlot
    {
      // A claims challenge is tried without the person first (CAE): often the refresh alone brings what is wanted. Only where
      // it was refused before: otherwise the tool may have run.
      call.hasReplayed = true
      call.demand = need
      metrics.replays &+= 1
      return obtainToken(x, call, slot: slot, rejected: call.credential?.token, claims: need.claims)
    }
    do throws(Denial) {
      let question = try question(x, call, route, need)
      if navigates(call) { return sendAway(x, call, route, need, question) }
      if mayHold(x, call, route) { return hold(x, call, route, need) }
      giveLink(question, x, call, route, need) { .deny(.consentRequired($0)) }
    } catch {
      deny(x, call, error)
    }
  }

  /// What to ask the person.
  ///
  /// - Throws: the denial where there is nothing to ask.
  func question(
    _ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed
  ) throws(Denial) -> ConsentQuestion {
    switch need.kind {
    case .reauth: throw .loginRequired
    case .adminConsent:
      throw .consentBlocked(detail: "An administrator of your organisation has to grant it.")
    case .blocked:
      throw .consentBlocked(detail: "A policy of your organisation forbids it.")
    case .transient(let wait):
      throw .providerUnavailable(retryAfter: wait.map { Int($0.components.seconds) })
    case .config: throw .providerMisconfigured
    case .consent, .claims, .stepUp, .declined: break
    }
    guard let session = call.session?.snapshot else { throw .loginRequired }
    let tool = toolName(x, call)
    var consent = SignInAttempt.Consent(
      session: session.hash, user: session.userDigest, route: route.path, scopes: need.scopes,
      claims: need.claims, acrValues: need.acrValues, maxAge: need.maxAge, prompt: nil, tool: tool)
    var link: String?
    let isWholeKnown = shared.control.providers.all[session.provider].slots.scopeNamesResource
    switch route.consent.treatment(of: need, knowsWhole: isWholeKnown) {
    // What is passed on when a message tells of it was met with a status, or at the provider: then there is nothing to pass.
    case .ask, .pass: break
    case .askWhole:
      consent.scopes = [route.consent.wholeScope ?? ""]
      consent.isWhole = true
      consent.prompt = "consent"
    case .show(let shown): link = shown
    case .deny: throw .downstreamConsent
    }
    switch shared.consentRounds.verdict(
      user: session.userDigest, route: route, tool: tool, scopes: consent.scopes)
    {
    case .exhausted: throw .consentExhausted(scopes: consent.scopes)
    case .ask(let attempt):
      // The provider saw nothing new the first time; without this it would send the person straight back.
      if need.kind == .consent, attempt > 1 { consent.prompt = "consent" }
    }
    return ConsentQuestion(
      consent: consent, server: route.consent.server, id: "", url: "", upstreamLink: link)
  }

  /// Tells of a question with a link of its own, when the link leads somewhere: at once, or where several processes share a store,
  /// when it is there, since any of them may be asked for it next.
  func giveLink(
    _ question: ConsentQuestion, _ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed,
    as reply: @escaping @Sendable (ConsentQuestion) -> ControlReply
  ) {
    let (question, records) = link(question, x, call, route, need)
    guard let records else { return follow(reply(question), x, call) }
    guard shared.control.isShared else {
      tellControl { control in _ = await control.keep(records) }
      return follow(reply(question), x, call)
    }
    askControl(x, call) { control in
      await control.keep(records) ? reply(question) : .deny(.storeUnavailable)
    }
  }

  /// Gives a question its link where the answer cannot wait: inside an upstream's stream.
  func ask(
    _ question: ConsentQuestion, _ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed
  ) -> ConsentQuestion {
    let (question, records) = link(question, x, call, route, need)
    if let records { tellControl { control in _ = await control.keep(records) } }
    return question
  }

  /// A fresh link each time, since clients give up on one they have seen (MCP Inspector), and what has to be kept of it.
  private func link(
    _ question: ConsentQuestion, _ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed
  ) -> (ConsentQuestion, QuestionRecords?) {
    guard let session = call.session?.snapshot else { return (question, nil) }
    metrics.consentRequired &+= 1
    var question = question
    let ticket = Ticket.make()
    question.id = ticket.reveal()
    question.url = shared.publicURL + "/auth/continue?i=" + question.id
    question.consent.ask = ticket.hash
    // What is known beforehand teaches nothing.
    if need.source != .precheck { learn(x, call, route, question.consent) }
    var kept: KeptCall?
    if callerKind(call) == .pageScript, need.isUnexecuted, shared.keptCalls.perUser > 0 {
      kept = KeptCall(x, route: route, maxBody: shared.keptCalls.maxBody)
      question.isKept = kept != nil
    }
    let ask = ConsentDesk.Ask(
      subject: subject(x, call, route, session), askedAt: Timestamp.now(),
      // Only a client that is told by an elicitation hears of its completion.
      mcpSession: rung(x, call) == .urlElicitation ? call.mcpSessionKey : nil)
    shared.desk.asked(ticket.hash, ask)
    let continuation = Continuation(
      consent: question.consent, returnTo: refererPath(x) ?? "/auth/?done=consent",
      upstreamLink: question.upstreamLink)
    return (
      question,
      QuestionRecords(
        id: question.id, owner: session.user, continuation: continuation, call: kept, ask: ask)
    )
  }

  /// What is called, as far as it is recognised when it comes again.
  func subject(_ x: Exchange, _ call: Call, _ route: Route, _ session: SessionSnapshot) -> ConsentDesk.Subject
  {
    let parts = calledParts(x, call)
    return ConsentDesk.Subject(
      user: session.userDigest, session: session.hash, route: route.index, method: parts.method,
      name: parts.name)
  }

  /// Method and name of the call: of its message, or for other requests its own method and path.
  private func calledParts(_ x: Exchange, _ call: Call) -> (method: [UInt8], name: [UInt8]) {
    if let kept = call.kept { return (kept.method, kept.name) }
    guard let message = call.message else {
      return (x.requestBytes.array(x.request.methodRange), x.requestBytes.array(x.request.path))
    }
    return x.withBody { body, _ in
      (message.methodBytes(body), message.nameBytes(body, limit: KeptMessage.maxNameBytes))
    }
  }

  /// The tool, prompt or resource that was called.
  func toolName(_ x: Exchange, _ call: Call) -> String? {
    guard call.message?.knownMethod.hasName == true else { return nil }
    let name = calledParts(x, call).name
    return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
  }

  /// A page that navigates goes to where the consent is given, and back to where it wanted to go.
  private func sendAway(
    _ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed, _ question: ConsentQuestion
  ) {
    let target = x.requestBytes.string(x.request.target)
    if question.upstreamLink != nil {
      // The link's page shows the upstream's own link: the provider could not help.
      return giveLink(question, x, call, route, need) {
        .respond(.seeOther($0.url + "&return_to=" + PercentEncoding.encode(target)))
      }
    }
    metrics.consentRequired &+= 1
    let request = ownRequest(x, call)
    askControl(x, call) { control in
      .respond(await control.askDirectly(question.consent, returnTo: target, request: request))
    }
  }

  // MARK: Scopes known beforehand

  /// What a call needs before it goes anywhere: the route's scopes, and those that its method or tool is known to need.
  func neededScopes(_ x: Exchange, _ call: Call, _ route: Route) -> [String] {
    guard route.isMCP, call.message != nil || call.isModern else { return route.scope }
    return ScopeList.union(route.scope, shared.toolScopes.needed(by: toolSubject(x, call, route)))
  }

  private func toolSubject(_ x: Exchange, _ call: Call, _ route: Route) -> ToolScopes.Subject {
    var (method, name) = calledParts(x, call)
    if let message = call.message, call.kept == nil {
      // What was cut off must not pass for another name.
      name = x.withBody { body, _ in message.nameBytes(body, limit: ToolScopes.maxToolBytes) }
    } else if call.message == nil {
      // The body is too long to be looked into: the fields repeat it, and the server compares them.
      if case .once(let range) = call.headers.method { method = x.requestBytes.array(range) }
      if case .once(let range) = call.headers.name {
        name = HeaderRules.decodedName(x.requestBytes, range)
      }
    }
    return ToolScopes.Subject(
      route: route.path, method: String(decoding: method, as: UTF8.self),
      tool: String(decoding: name, as: UTF8.self))
  }

  private func learn(_ x: Exchange, _ call: Call, _ route: Route, _ consent: SignInAttempt.Consent) {
    guard shared.learnsToolScopes, call.message?.kind == .request, !consent.isWhole else { return }
    let scopes = ScopeList.missing(consent.scopes, from: route.scope)
    guard
      let entry = shared.toolScopes.learn(
        toolSubject(x, call, route), scopes: scopes, now: Timestamp.now())
    else { return }
    tellControl { control in await control.keep(entry) }
  }
}
