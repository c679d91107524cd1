internal import Basics
internal import HTTP
internal import JSON
internal import Reactor
internal import Sessions

// What became of a question, and who is told: held calls, MCP sessions, pages that wait, and the page that fetches its call's answer.
extension ControlPlane {
  /// Tells everybody who waits: held calls, MCP sessions, pages.
  func settle(_ consent: SignInAttempt.Consent, _ state: ConsentDesk.State) {
    let asked = consent.ask.flatMap { desk.answered($0, state) }
    homes.settled(
      ConsentOutcome(
        user: consent.user, route: consent.routeIndex, state: state, ask: consent.ask,
        mcpSession: asked?.mcpSession))
    guard let ask = consent.ask else { return }
    for waiter in pagesWaiting.removeValue(forKey: ask) ?? [] { waiter.resume() }
  }

  /// The person said no, here or at the provider.
  func declined(_ consent: SignInAttempt.Consent, user: UserKey, _ request: OwnRequest) {
    metrics.consentsDeclined += 1
    log.consentDeclined(user, scopes: consent.scopes, requestID: request.requestID)
    settle(consent, .declined)
  }

  /// `GET /auth/continue?i=` by a script: `{"state":"pending"}` and so on; with `wait` in seconds the answer may take that long.
  func continueState(_ request: OwnRequest) async -> OwnResponse {
    guard let id = request.parameter("i"), let key = TicketHash(id) else {
      return .json(400, #"{"error":"invalid_request"}"#)
    }
    guard let session = await currentSession(request).session else {
      return .json(401, #"{"error":"login_required"}"#)
    }
    let user = session.user.digest
    if let wait = request.parameter("wait").flatMap({ Int($0) }), wait > 0,
      desk.state(of: key, user: user, now: clock()) == .pending
    {
      await waitForAnswer(key, atMost: .seconds(min(wait, 25)))
    }
    let state = desk.state(of: key, user: user, now: clock())?.rawValue ?? "unknown"
    return .json(200, JSONValue.object(["state": .string(state)]).serialized())
  }

  /// Pages that may wait at once, of all people.
  private static let maxPagesWaiting = 1000

  private func waitForAnswer(_ key: TicketHash, atMost limit: Duration) async {
    guard pagesWaiting.count < Self.maxPagesWaiting else { return }
    let loop = loop
    await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
      pagesWaiting[key, default: []].append(waiter)
      Task {
        try? await loop.sleep(for: limit)
        self.stopWaiting(key)
      }
    }
  }

  private func stopWaiting(_ key: TicketHash) {
    for waiter in pagesWaiting.removeValue(forKey: key) ?? [] { waiter.resume() }
  }

  /// Hands out a kept call, once, after its question was answered with yes.
  func fetchKept(_ request: OwnRequest) async -> ControlReply {
    guard let id = request.parameter("i"), let key = TicketHash(id) else { return .deny(.notKept) }
    let session: Session
    switch await currentSession(request) {
    case .session(let current): session = current
    case .unavailable: return .deny(.storeUnavailable)
    case .none: return .deny(.loginRequired)
    }
    switch desk.state(of: key, user: session.user.digest, now: clock()) {
    case .pending:
      return .respond(.json(409, #"{"error":"pending"}"#).adding("Retry-After", "1"))
    case .declined: return .deny(.consentDeclined)
    // Unknown after a restart: the call is tried, and refused again if it must be.
    case .granted, nil: break
    }
    await recordsBeingKept[key]?.value
    do {
      guard
        case .taken(let payload) = try await store.take(.keptCall, key, owner: session.user, now: clock()),
        let call = KeptCall(encoded: payload)
      else { return .deny(.notKept) }
      return .replay(call, ticket: session.hash)
    } catch {
      metrics.storeErrors += 1
      log.storeFailed("\(error)")
      return .deny(.storeUnavailable)
    }
  }
}
