internal import Basics
internal import HTTP
internal import JSON
internal import Reactor
internal import Sessions

// What became of a question, and who is told: held calls, MCP sessions, pages that wait, and the page that fetches its call's answer.
extension ControlPlane {
  /// The route that a consent is for; nil when it is gone from the configuration: links and attempts outlive this process.
  func route(of consent: SignInAttempt.Consent) -> Route? { routes.route(path: consent.route) }

  /// Counts a round that the person completed.
  func noteRound(_ consent: SignInAttempt.Consent, user: UserKey) {
    guard let route = route(of: consent) else { return }
    let now = clock()
    rounds.completed(
      user: user.digest, route: route, tool: consent.tool, scopes: consent.scopes, at: now)
    tell(
      .roundCompleted(
        ReplicaMessage.Round(
          user: user.digest, route: route.path, tool: consent.tool, scopes: consent.scopes, at: now)))
  }

  /// Rounds begin anew for a person.
  func forgetRounds(of user: UserKey) {
    rounds.forget(user: user.digest)
    tell(.roundsForgotten(user: user.digest))
  }

  /// Tells everybody who waits, here and elsewhere: held calls, MCP sessions, pages. When it returns, whoever is asked what became of the
  /// question knows it, since the person's browser may go on at another process at once.
  func settle(_ consent: SignInAttempt.Consent, _ state: ConsentDesk.State) async {
    let settlement = ReplicaMessage.Settlement(
      ask: consent.ask, user: consent.user, session: consent.session, route: consent.route, state: state,
      mcpSession: consent.ask.flatMap { desk.ask($0)?.mcpSession })
    settleHere(settlement)
    if isShared { await settleElsewhere(settlement) }
  }

  /// A walk to the provider ended without an answer: its link is used up, and a call that comes again is asked about anew.
  func walkFailed(_ attempt: SignInAttempt) {
    guard case .consent(let consent) = attempt.purpose, let ask = consent.ask else { return }
    desk.forget(ask)
    wakePages(ask)
    tell(.dropped(ask))
  }

  func wakePages(_ ask: TicketHash) {
    for waiter in pagesWaiting.removeValue(forKey: ask) ?? [:] { waiter.value.resume() }
  }

  /// A client was asked, and its user did not want to open the link.
  func clientDeclined(_ user: UserKey, _ what: ConsentSubject, requestID: String) {
    metrics.consentsDeclined += 1
    log.consentDeclined(user, what, requestID: requestID)
  }

  /// Counts and tells that the store failed.
  func noteFailure(_ error: StoreError) {
    metrics.storeErrors += 1
    log.storeFailed("\(error)")
  }

  /// The person said no, here or at the provider: what was kept is not sent any more.
  func declined(_ consent: SignInAttempt.Consent, user: UserKey, _ request: OwnRequest) async {
    metrics.consentsDeclined += 1
    log.consentDeclined(user, consent.subject, requestID: request.requestID)
    await settle(consent, .declined)
    guard let ask = consent.ask else { return }
    do { _ = try await store.take(.keptCall, ask, owner: user, now: clock()) } catch {
      noteFailure(error)
    }
  }

  /// Forgets what waits for a person: at sign-out, and when somebody else came back from the provider.
  func dropPending(of user: UserKey) async {
    desk.forget(user: user.digest)
    tell(.userForgotten(user.digest))
    // What is on its way to the store is in it before it is thrown away.
    for task in Array(recordsBeingKept.values) { _ = await task.value }
    do { try await store.discard(.keptCall, owner: user) } catch {
      noteFailure(error)
    }
  }

  /// `GET /auth/continue?i=` by a script: `{"state":"pending"}` and so on; with `wait` in seconds the answer may take that long.
  func continueState(_ request: OwnRequest) async -> OwnResponse {
    guard let id = request.parameter("i"), let key = TicketHash(id) else {
      return .json(400, #"{"error":"invalid_request"}"#)
    }
    guard let session = await currentSession(request).session else {
      return .json(401, #"{"error":"login_required"}"#)
    }
    var state = await self.state(of: key, user: session.user)
    if let wait = request.parameter("wait").flatMap({ Int($0) }), wait > 0, state == .pending {
      await waitForAnswer(key, atMost: .seconds(min(wait, 25)))
      state = await self.state(of: key, user: session.user)
    }
    return .json(200, JSONValue.object(["state": .string(state?.rawValue ?? "unknown")]).serialized())
  }

  /// Pages that may wait at once, of all people, and for one link.
  private static let maxPagesWaiting = 1000
  private static let maxWaitingForLink = 8

  private func waitForAnswer(_ key: TicketHash, atMost limit: Duration) async {
    guard pagesWaiting[key]?.count ?? 0 < Self.maxWaitingForLink,
      pagesWaiting.values.reduce(0, { $0 + $1.count }) < Self.maxPagesWaiting
    else { return }
    let loop = loop
    lastWaiter += 1
    let id = lastWaiter
    await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
      pagesWaiting[key, default: [:]][id] = waiter
      Task {
        try? await loop.sleep(for: limit)
        self.stopWaiting(key, id)
      }
    }
  }

  private func stopWaiting(_ key: TicketHash, _ id: UInt64) {
    pagesWaiting[key]?.removeValue(forKey: id)?.resume()
    if pagesWaiting[key]?.isEmpty == true { pagesWaiting[key] = nil }
  }

  /// This process ends: readiness says so, and pages that wait are told how things stand.
  func stopping() {
    isStopping = true
    for (key, waiters) in pagesWaiting { for id in waiters.keys { stopWaiting(key, id) } }
  }

  /// Hands out a kept call, once, after its question was answered with yes.
  func fetchKept(_ request: OwnRequest) async -> ControlReply {
    guard let id = request.parameter("i"), let key = TicketHash(id) else { return .deny(.notKept) }
    let session: Session
    switch await currentSession(request) {
    case .session(let current): session = current
    case .unavailable: return .deny(.storeUnavailable)
    case .none, .foreign: return .deny(.loginRequired)
    }
    switch await state(of: key, user: session.user) {
    case .pending:
      return .respond(.json(409, #"{"error":"pending"}"#).adding("Retry-After", "1"))
    case .declined: return .deny(.consentDeclined)
    // Unknown after a restart: the call is tried, and refused again if it must be.
    case .granted, nil: break
    }
    _ = await recordsBeingKept[key]?.value
    do {
      guard
        case .taken(let payload) = try await store.take(.keptCall, key, owner: session.user, now: clock()),
        let call = KeptCall(encoded: payload)
      else { return .deny(.notKept) }
      return .replay(call, ticket: session.hash)
    } catch {
      noteFailure(error)
      return .deny(.storeUnavailable)
    }
  }
}
