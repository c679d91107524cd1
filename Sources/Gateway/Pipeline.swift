internal import Basics
internal import Consent
internal import HTTP
internal import MCP
internal import Reactor
internal import Sessions
internal import Wire

/// The way of one request, as a list to read from top to bottom: route, guard, message, session, token, forward. What happens to the
/// answer is in `Pipeline+Answer.swift`.
///
/// Every step either goes on to the next, waits (and is resumed at the same place), or ends in a denial. With a session in the
/// loop's cache and a fresh token nothing here waits, and nothing but the upstream's own bytes is allocated.
extension DataLoop: ExchangeHandler {
  func received(_ x: Exchange) {
    let call = call(of: x)
    call.reset(sequence: x.sequence, requestID: makeRequestID())
    x.bodyLimit = shared.limits.maxRequestBody
    let sight = x.withRequest { head, bytes, _ in
      let sight = RequestSight(head, bytes, shared)
      call.see(sight, bytes)
      return sight
    }
    if let count = sight.bodyLength, count > shared.limits.maxRequestBody {
      return deny(x, call, .bodyTooLarge)
    }
    route(x, call, sight)
  }

  // MARK: 1. Route

  private func route(_ x: Exchange, _ call: Call, _ sight: RequestSight) {
    if sight.isOwn { return ownEndpoint(x, call, isPreflight: sight.isPreflight) }
    if sight.isForThisHop { return x.respond(status: 204, fields: { $0.append(MaxForwards.allow) }) }
    guard sight.isPathClear else { return deny(x, call, .ambiguousPath) }
    guard let route = sight.route else { return deny(x, call, .noRoute) }
    if sight.isPreflight { return preflight(x, call) }
    guardRequest(x, call, route)
  }

  // MARK: 2. Guard

  private func guardRequest(_ x: Exchange, _ call: Call, _ route: Route) {
    if let refusal = RequestGuard.check(call.evidence, isMCP: route.isMCP) {
      metrics.refusedByGuard &+= 1
      return deny(x, call, Denial(refusal))
    }
    if route.isMCP && call.evidence.verb == .post {
      call.phase = .awaitingBody
      return x.collectBody(limit: shared.limits.requestBody)
    }
    if let detail = HeaderRules.repeated(call.headers) { return deny(x, call, .headerMismatch(detail)) }
    findSession(x, call, route)
  }

  // MARK: 3. Message

  func bodyCollected(_ x: Exchange, complete: Bool) {
    let call = call(of: x)
    guard let route = call.route else { return ownEndpointBody(x, call, complete: complete) }
    if complete {
      if let denial = readMessage(x, call) { return deny(x, call, denial) }
    } else {
      // A body beyond the bound streams on unseen: the server itself compares its headers with it.
      if let detail = HeaderRules.repeated(call.headers) { return deny(x, call, .headerMismatch(detail)) }
      if case .once(let version) = call.headers.version {
        call.isModern = ProtocolVersion.isModern(x.requestBytes, version)
      }
    }
    findSession(x, call, route)
  }

  /// Looks into a JSON-RPC message: its era, and whether headers and body say the same.
  func readMessage(_ x: Exchange, _ call: Call) -> Denial? {
    let message = x.withBody { buffer, range in MessageEnvelope.scan(buffer, range) }
    call.message = message
    let headers = call.headers
    let verdict = x.withRequest { _, bytes, _ in
      x.withBody { buffer, _ in HeaderRules.check(message, body: buffer, headers: headers, head: bytes) }
    }
    switch verdict {
    case .accepted(let era):
      call.isModern = era == .modern
      return nil
    case .mismatch(let detail): return .headerMismatch(detail)
    case .invalid(let detail): return .invalidMessage(detail)
    }
  }

  // MARK: 4. Ticket → session

  func findSession(_ x: Exchange, _ call: Call, _ route: Route) {
    guard let ticket = call.ticket else {
      if !route.needsSession { return checkMCPSession(x, call, route) }
      return deny(x, call, .loginRequired)
    }
    let now = Timestamp.now()
    if let entry = sessions.entry(for: ticket, now: now) {
      return useSession(x, call, route, entry, ticket, now)
    }
    askForSession(x, call, ticket)
  }

  func askForSession(_ x: Exchange, _ call: Call, _ ticket: TicketHash) {
    metrics.cacheMisses &+= 1
    askControl(x, call) { control in .session(await control.snapshot(for: ticket), ticket: ticket) }
  }

  func useSession(
    _ x: Exchange, _ call: Call, _ route: Route, _ entry: SessionCache.Entry, _ ticket: TicketHash,
    _ now: Timestamp
  ) {
    let policy = shared.control.policy
    if now >= entry.snapshot.createdAt + policy.absoluteTimeout
      || now >= entry.lastSeen + policy.idleTimeout
    {
      // Another loop may have seen it since: the control loop knows.
      return askForSession(x, call, ticket)
    }
    // Who is signed in elsewhere is not signed in here.
    if let only = route.onlyProvider, only != entry.snapshot.provider {
      return deny(x, call, .loginRequired)
    }
    entry.lastSeen = now
    // A clock that was set back counts as time passed.
    if now >= entry.lastReported + policy.touchInterval || now < entry.lastReported {
      entry.lastReported = now
      let hash = entry.snapshot.hash
      tellControl { control in await control.authority.touch(hash, at: now) }
    }
    call.session = entry
    call.owner = entry.snapshot.hash
    checkMCPSession(x, call, route)
  }

  /// `Mcp-Session-Id` must be one that this user opened here (MCP security best practices, session hijacking).
  func checkMCPSession(_ x: Exchange, _ call: Call, _ route: Route) {
    // Since 2026-07-28 there are no sessions: the field is neither asked for nor passed on.
    guard route.isMCP, !call.isModern, call.mcpSession != .absent else { return chooseToken(x, call, route) }
    guard case .once(let value) = call.mcpSession, let session = call.session?.snapshot,
      let key = MCPSessionBindings.key(route: route, id: x.requestBytes.array(value))
    else { return deny(x, call, .unknownMCPSession) }
    let owner = shared.mcpSessions.owner(of: key)
    guard owner == session.userDigest else {
      // Another process may have relayed its beginning.
      if owner == nil, shared.control.isShared { return askForMCPSession(x, call, key, session) }
      return deny(x, call, .unknownMCPSession)
    }
    call.mcpSessionKey = key
    chooseToken(x, call, route)
  }

  // MARK: 5. Session → token

  func chooseToken(_ x: Exchange, _ call: Call, _ route: Route) {
    if shared.streams.isFullForSomebody, !mayOpenStream(x, call, route) {
      return deny(x, call, .tooManyStreams)
    }
    if call.message?.isRetryWithInput == true, let denial = checkRetry(x, call, route) {
      return deny(x, call, denial)
    }
    guard let slot = route.credentialSlot, let entry = call.session else { return forward(x, call, route) }
    let now = Timestamp.now()
    if let credential = entry.snapshot.credentials[slot], now < credential.expiry {
      if now >= credential.softExpiry, now >= entry.lastRefreshAsk + .seconds(5) || now < entry.lastRefreshAsk
      {
        entry.lastRefreshAsk = now
        let hash = entry.snapshot.hash
        tellControl { control in _ = await control.token(for: hash, slot: slot, rejected: nil) }
      }
      call.credential = credential
      return checkScopes(x, call, route, credential)
    }
    obtainToken(x, call, slot: slot, rejected: nil)
  }

  /// Where the configuration wants it: a token without the scopes that the call needs never goes upstream, the person is asked
  /// first.
  func checkScopes(_ x: Exchange, _ call: Call, _ route: Route, _ credential: SessionSnapshot.Credential) {
    guard route.consent.requiresPreConsent, !credential.scopes.isEmpty else { return forward(x, call, route) }
    let missing = ScopeList.missing(neededScopes(x, call, route), from: credential.scopes)
    if missing.isEmpty { return forward(x, call, route) }
    consentNeeded(
      x, call, route, ConsentNeed(.consent, source: .precheck, code: "pre_consent", scopes: missing))
  }

  /// Waits for the control loop to bring a token that is good; all who wait share one refresh.
  func obtainToken(_ x: Exchange, _ call: Call, slot: Int, rejected: Secret?, claims: String? = nil) {
    guard let hash = call.session?.snapshot.hash else { return deny(x, call, .loginRequired) }
    var needed: [String] = []
    if let route = call.route, route.consent.requiresPreConsent { needed = neededScopes(x, call, route) }
    askControl(x, call) { [needed] control in
      .token(
        await control.token(for: hash, slot: slot, rejected: rejected, claims: claims, needed: needed))
    }
  }

  // MARK: 6. Forward

  /// Sends the request upstream; into the client's stream, where one has begun.
  ///
  /// - Parameter target: where a redirect on the upstream's own origin points; nil for the request's own target.
  func forward(_ x: Exchange, _ call: Call, _ route: Route, target: String? = nil) {
    call.phase = .forwarded
    x.upstreamHead.removeAll()
    let additions = UpstreamRequest.Additions(
      token: call.credential?.token, forwarding: forwardingLines(x, call),
      requestID: call.requestID,
      pathRest: call.pathRest, target: target, dropsMCPSessionID: call.isModern)
    x.withRequest { head, bytes, out in
      UpstreamRequest.write(to: &out, head: head, input: bytes, route: route, additions: additions)
    }
    setDisconnectRules(x, call, route)
    if x.isLocalStream {
      x.forwardIntoStream(to: pools[route.index])
    } else {
      x.forward(to: pools[route.index])
    }
  }

  /// The two eras want opposite things when a client disconnects: since 2026-07-28 that is the cancellation, before it must not be
  /// one (transports, *Cancellation* and *Sending Messages*).
  private func setDisconnectRules(_ x: Exchange, _ call: Call, _ route: Route) {
    guard route.isMCP else { return }
    if call.evidence.verb == .post {
      x.onClientGone = call.isModern ? .abortUpstream : .drainUpstream
      if call.isModern { x.endOfInput = .isDisconnect }
    } else {
      x.endOfInput = .isDisconnect
      x.endsOnDrain = true
    }
  }

  /// Who the client is, as far as we know: our own view, appended to what a trusted proxy in front says.
  private func forwardingLines(_ x: Exchange, _ call: Call) -> [UInt8] {
    if let lines = call.forwarding { return lines }
    let fields = ForwardingFields(
      clientAddress: x.peer.host, isSecure: shared.isSecure, authority: shared.publicAuthority)
    var buffer = Buffer()
    if !shared.trustedProxies.isEmpty, shared.trustedProxies.contains(where: { $0.contains(x.peer) }) {
      fields.append(to: &buffer, extending: x.request, x.requestBytes)
      return buffer.array()
    }
    fields.append(to: &buffer)
    let lines = buffer.array()
    call.forwarding = lines
    return lines
  }
}
