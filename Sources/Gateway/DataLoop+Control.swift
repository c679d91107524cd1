internal import Basics
internal import Consent
internal import Reactor
internal import Sessions
internal import Wire

/// What the control loop answers to a waiting exchange.
enum ControlReply: Sendable {
  case respond(OwnResponse)
  case deny(Denial)
  case session(SessionLookup, ticket: TicketHash)
  case token(TokenReply)
  /// The answer of a kept call is wanted, by the session of this ticket.
  case replay(KeptCall, ticket: TicketHash)
  /// What the store knows of the MCP session that the request names.
  case mcpSession(MCPSessionLookup, Bytes32, of: Bytes32)
  /// What became of the wish to keep the MCP session that the upstream's answer opens.
  case mcpSessionKept(MCPSessionLookup, Bytes32)
}

/// What became of a ticket.
enum SessionLookup: Sendable {
  case found(SessionSnapshot)
  case unknown
  /// The store could not be asked: the session may well exist, so nobody is signed out.
  case unavailable
}

/// What became of the wish for a token.
enum TokenReply: Sendable {
  case token(SessionSnapshot)
  /// There is no such session any more.
  case signInRequired
  /// The session has no token but the one that was refused, and none can be had without the person.
  case noOtherToken
  /// The provider wants something of the person first.
  case consentRequired(ConsentNeed)
  case unavailable(retryAfter: Int?)
  case misconfigured
}

extension DataLoop {
  /// Sends a question to the control loop and lets the exchange wait. The answer comes back to this loop by message; if the client
  /// left meanwhile, nobody waits for it any more.
  func askControl(
    _ x: Exchange, _ call: Call, _ question: @escaping @Sendable (ControlPlane) async -> ControlReply
  ) {
    call.phase = .awaitingControl
    let id = call.requestID
    waiting[id] = (x, loop.now)
    let control = shared.control
    let home = LoopBound(self, on: loop)
    control.loop.spawn {
      let reply = await question(control)
      home.loop.execute { home.value.resume(id, reply) }
    }
  }

  /// Sends a message that nobody waits for.
  func tellControl(_ message: @escaping @Sendable (ControlPlane) async -> Void) {
    let control = shared.control
    control.loop.spawn { await message(control) }
  }

  /// Goes on where the exchange stopped.
  func resume(_ id: UInt64, _ reply: ControlReply) {
    guard let x = waiting.removeValue(forKey: id)?.exchange, let call = x.context as? Call,
      call.requestID == id,
      call.phase == .awaitingControl
    else { return }
    follow(reply, x, call)
  }

  func follow(_ reply: ControlReply, _ x: Exchange, _ call: Call) {
    switch reply {
    case .respond(let response): answer(x, call, response)
    case .deny(let denial): deny(x, call, denial)
    case .session(let lookup, let ticket): sessionArrived(x, call, lookup, ticket)
    case .token(let reply): tokenArrived(x, call, reply)
    case .replay(let kept, let ticket): replay(x, call, kept, ticket)
    case .mcpSession(let lookup, let key, let user): mcpSessionArrived(x, call, lookup, key, of: user)
    case .mcpSessionKept(let kept, let key): mcpSessionKept(x, call, kept, key)
    }
  }

  /// The exchange that asks for a kept call's answer becomes that call, with its own ticket and its own origin.
  private func replay(_ x: Exchange, _ call: Call, _ kept: KeptCall, _ ticket: TicketHash) {
    guard let route = shared.routes.all.first(where: { $0.path == kept.route }),
      x.replaceRequest(head: kept.head, body: kept.body)
    else { return deny(x, call, .notKept) }
    let sight = x.withRequest { head, bytes, _ in RequestSight(head, bytes, shared) }
    // Its path may lead elsewhere since a restart.
    guard sight.route === route else { return deny(x, call, .notKept) }
    call.route = route
    call.pathRest = sight.pathRest
    call.headers = sight.headers
    call.mcpSession = sight.mcpSession
    call.evidence.verb = sight.evidence.verb
    call.ticket = ticket
    if route.isMCP, call.evidence.verb == .post, let denial = readMessage(x, call) {
      return deny(x, call, denial)
    }
    metrics.callsReplayed &+= 1
    findSession(x, call, route)
  }

  private func sessionArrived(_ x: Exchange, _ call: Call, _ lookup: SessionLookup, _ ticket: TicketHash) {
    guard let route = call.route else { return deny(x, call, .noRoute) }
    switch lookup {
    case .found(let snapshot):
      let now = Timestamp.now()
      guard let entry = sessions.insert(snapshot, ticket: ticket, now: now) else {
        return deny(x, call, .loginRequired)
      }
      entry.lastSeen = now
      useSession(x, call, route, entry, ticket, now)
    case .unknown:
      if route.needsSession { deny(x, call, .loginRequired) } else { checkMCPSession(x, call, route) }
    case .unavailable: deny(x, call, .storeUnavailable)
    }
  }

  private func tokenArrived(_ x: Exchange, _ call: Call, _ reply: TokenReply) {
    guard let route = call.route, let slot = route.credentialSlot else { return deny(x, call, .noRoute) }
    switch reply {
    case .token(let snapshot):
      call.hasFollowed = false
      sessions.update(snapshot)
      guard slot < snapshot.credentials.count, let credential = snapshot.credentials[slot] else {
        return deny(x, call, .loginRequired)
      }
      call.credential = credential
      checkScopes(x, call, route, credential)
    case .signInRequired: deny(x, call, .loginRequired)
    case .noOtherToken:
      // Where the upstream said what it wants, a sign-in that does not ask for it would lead back here.
      let granted = call.session?.snapshot.credentials[slot]?.scopes ?? []
      guard let need = call.demand?.afterRefresh(granted: granted) else {
        return deny(x, call, .loginRequired)
      }
      consentNeeded(x, call, route, need)
    case .consentRequired(var need):
      call.hasReplayed = true
      // A token endpoint names no scopes: it refused those that the route asks for.
      if need.kind == .consent, need.scopes.isEmpty { need.scopes = route.scope }
      consentNeeded(x, call, route, need)
    case .unavailable(let retryAfter): deny(x, call, .providerUnavailable(retryAfter: retryAfter))
    case .misconfigured: deny(x, call, .providerMisconfigured)
    }
  }
}
