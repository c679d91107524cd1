internal import Basics
internal import Consent
internal import Logging
internal import OAuth
internal import Reactor
internal import Sessions

/// The cold path: everything that may wait, on the control loop. Data loops ask it for sessions and tokens and hand it requests to
/// the own endpoints.
///
/// Owner: the control loop, which is its executor: awaits between its parts never change thread.
actor ControlPlane {
  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  nonisolated let policy: Policy
  nonisolated let routes: RouteTable
  nonisolated let cookies: CookieJar
  nonisolated let log: EventLog
  nonisolated let providers: ProviderDirectory
  let authority: SessionAuthority
  let store: any SessionStore
  let rounds: ConsentRounds
  let line: ReplicaLine
  nonisolated let desk: ConsentDesk
  nonisolated let toolScopes: ToolScopes
  let clock: WallClock
  var metrics = ControlMetrics()
  /// Links and kept calls on their way to the store: whoever follows one at once waits for that.
  var recordsBeingKept: [TicketHash: Task<Bool, Never>] = [:]
  /// MCP sessions whose bindings the store did not take yet.
  var unstoredMCPSessions: [TicketHash: SingleUseRecord] = [:]
  /// Pages that wait for the answer to a question.
  var pagesWaiting: [TicketHash: [UInt64: CheckedContinuation<Void, Never>]] = [:]
  var lastWaiter: UInt64 = 0
  /// The process finishes what is under way and takes nothing new.
  var isStopping = false
  var attempts: AttemptRate
  /// Logout tokens that were refused, so that nobody has signatures checked all day.
  var refusedLogouts: AttemptRate
  /// Asked when a scrape is answered.
  let logLinesDropped: @Sendable () -> UInt64
  /// Counted where no actor is at hand: by the refresher and the store's callback.
  let counters: Locked<ControlMetrics>
  let homes: LoopDirectory
  /// Of all certificates in use.
  let certificates: @Sendable () -> [TLSCertificateFacts]

  struct Policy: Sendable {
    var idleTimeout: Duration
    var absoluteTimeout: Duration
    /// How often a data loop tells that a session is in use.
    var touchInterval: Duration
    var revokesOnLogout: Bool
    var linkLifetime: Duration
    var keptCallsPerUser: Int
    var publicURL: String
    /// Walks to the provider that one client, or one session, may begin or end in a minute.
    var signInsPerMinute: Int
  }

  init(
    loop: EventLoop, policy: Policy, routes: RouteTable, cookies: CookieJar, log: EventLog,
    providers: ProviderDirectory, authority: SessionAuthority, store: any SessionStore,
    rounds: ConsentRounds, line: ReplicaLine, desk: ConsentDesk, toolScopes: ToolScopes,
    counters: Locked<ControlMetrics>,
    homes: LoopDirectory, logLinesDropped: @escaping @Sendable () -> UInt64,
    certificates: @escaping @Sendable () -> [TLSCertificateFacts], clock: @escaping WallClock
  ) {
    attempts = AttemptRate(perMinute: policy.signInsPerMinute)
    refusedLogouts = AttemptRate(perMinute: policy.signInsPerMinute)
    self.logLinesDropped = logLinesDropped
    self.loop = loop
    self.policy = policy
    self.routes = routes
    self.cookies = cookies
    self.log = log
    self.providers = providers
    self.authority = authority
    self.store = store
    self.rounds = rounds
    self.line = line
    self.desk = desk
    self.toolScopes = toolScopes
    self.clock = clock
    self.counters = counters
    self.homes = homes
    self.certificates = certificates
  }

  /// Whether other processes serve the same people from the same store.
  nonisolated var isShared: Bool { line.isOn }

  // MARK: Own endpoints

  /// Answers a request to an own endpoint.
  func handle(_ request: OwnRequest) async -> ControlReply {
    if request.path == "/auth/continue", request.method == "POST" { return await continueDecision(request) }
    return .respond(await respond(to: request))
  }

  private func respond(to request: OwnRequest) async -> OwnResponse {
    if let provider = providers.at(callbackPath: request.path) {
      return request.method == "GET" ? await callback(provider, request) : methodNotAllowed("GET")
    }
    return switch (request.path, request.method) {
    case ("/auth/login", "GET"): await login(request)
    case ("/auth/logout", "POST"): await logout(request)
    case (OwnEndpoints.backChannelLogout, "POST"): await backChannelLogout(request)
    case (OwnEndpoints.frontChannelLogout, "GET") where providers.all.contains { $0.frontChannel != .off }:
      await frontChannelLogout(request)
    case ("/auth/session", "GET"): await sessionInfo(request)
    case ("/auth/continue", "GET"): await continuePage(request)
    case ("/auth/revoke", "POST"): await revoke(request)
    case ("/auth/", "GET"), ("/auth", "GET"): await account(request)
    case ("/auth/logout", _), ("/auth/revoke", _), (OwnEndpoints.backChannelLogout, _):
      methodNotAllowed("POST")
    case ("/auth/continue", _): methodNotAllowed("GET, POST")
    case ("/auth/login", _), ("/auth/session", _), ("/auth/", _): methodNotAllowed("GET")
    default: notFound(request)
    }
  }

  private func methodNotAllowed(_ allowed: String) -> OwnResponse {
    OwnResponse.json(405, "{\"error\":\"method_not_allowed\"}").adding("Allow", allowed)
  }

  /// Also for `/.well-known/…`: an SDK that probes it must find plain JSON, never a page or a redirect.
  private func notFound(_ request: OwnRequest) -> OwnResponse {
    guard request.evidence.isNavigation else { return .json(404, "{\"error\":\"not_found\"}") }
    return .page(
      404,
      Pages.problem(
        title: "Nothing here", explanation: "This address is not known.", requestID: request.requestID))
  }

  // MARK: What data loops ask

  /// The session behind a ticket.
  func snapshot(for ticket: TicketHash) async -> SessionLookup {
    switch await authority.session(for: ticket) {
    // Without its provider there are no tokens for it, and never those of another one: its user signs in anew.
    case .found(let session): providers.snapshot(of: session).map { .found($0) } ?? .unknown
    case .unknown: .unknown
    case .unavailable: .unavailable
    }
  }

  /// A token for one slot; all who ask while a refresh runs share it.
  ///
  /// - Parameters:
  ///   - rejected: a token that the upstream refused, so that it is not handed out again.
  ///   - needed: scopes without which the token is of no use. No exchange is asked for one that would lack them: the person is
  ///     asked first.
  func token(
    for hash: TicketHash, slot: Int, rejected: Secret?, claims: String? = nil, needed: [String] = []
  ) async -> TokenReply {
    if !needed.isEmpty, case .found(let session) = await authority.session(for: hash),
      let slots = providers.of(session)?.slots, slots.slots[slot].exchange != nil
    {
      let missing = ScopeList.missing(needed, from: slots.wantedScope(of: session, slot: slot))
      if !missing.isEmpty {
        return .consentRequired(
          ConsentNeed(.consent, source: .precheck, code: "pre_consent", scopes: missing))
      }
    }
    return
      switch await authority.token(
        for: hash, resource: providers.key(slot), rejected: rejected, claims: claims)
    {
    case .token(_, let session): providers.snapshot(of: session).map { .token($0) } ?? .signInRequired
    case .unknownSession: .signInRequired
    case .needsSignIn, .rejectedAgain: .noOtherToken
    case .interactionRequired(let refusal, _): .consentRequired(ProviderFault.need(of: refusal))
    case .transient(let retryAfter, _):
      .unavailable(retryAfter: retryAfter.map(Self.wholeSeconds))
    case .misconfigured: .misconfigured
    }
  }

  /// `Retry-After` knows whole seconds: what is left of one is rounded up, since zero would mean at once.
  static func wholeSeconds(_ wait: Duration) -> Int {
    max(1, Int(clamping: (wait.milliseconds + 999) / 1000))
  }

  /// Ends a session here, in the store and on every data loop; returns when no loop knows it any more.
  func end(_ hash: TicketHash) async -> Session? {
    let last = await authority.end(hash)
    await homes.forget([hash])
    if let last {
      await dropPending(of: last.user)
      revokeTokens(of: [last])
    }
    return last
  }
}
