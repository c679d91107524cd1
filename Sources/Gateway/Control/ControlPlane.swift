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
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  nonisolated let policy: Policy
  nonisolated let routes: RouteTable
  nonisolated let cookies: CookieJar
  nonisolated let log: EventLog
  let signIn: SignIn
  let provider: Provider
  let authority: SessionAuthority
  let store: any SessionStore
  let slots: CredentialSlots
  let rounds: ConsentRounds
  let clock: WallClock
  var metrics = ControlMetrics()
  /// Continuations on their way to the store, so that a link can be followed before the write is done.
  var continuationsBeingStored: [Bytes32: Continuation] = [:]
  /// Ends a session on every data loop and waits for all of them.
  private let forgetEverywhere: @Sendable (TicketHash) async -> Void

  struct Policy: Sendable {
    var idleTimeout: Duration
    var absoluteTimeout: Duration
    /// How often a data loop tells that a session is in use.
    var touchInterval: Duration
    var revokesOnLogout: Bool
    var linkLifetime: Duration
    var publicURL: String
    var postLogoutRedirectURI: String
    /// ID token claims that `/auth/session` may tell.
    var sessionClaims: [String]
  }

  init(
    loop: EventLoop, policy: Policy, routes: RouteTable, cookies: CookieJar, log: EventLog, signIn: SignIn,
    provider: Provider, authority: SessionAuthority, store: any SessionStore, slots: CredentialSlots,
    rounds: ConsentRounds, clock: @escaping WallClock, forgetEverywhere: @escaping @Sendable (TicketHash) async -> Void
  ) {
    self.loop = loop
    self.policy = policy
    self.routes = routes
    self.cookies = cookies
    self.log = log
    self.signIn = signIn
    self.provider = provider
    self.authority = authority
    self.store = store
    self.slots = slots
    self.rounds = rounds
    self.clock = clock
    self.forgetEverywhere = forgetEverywhere
  }

  // MARK: Own endpoints

  /// Answers a request to an own endpoint.
  func handle(_ request: OwnRequest) async -> OwnResponse {
    switch (request.path, request.method) {
    case ("/auth/login", "GET"): await login(request)
    case ("/auth/callback", "GET"): await callback(request)
    case ("/auth/logout", "POST"): await logout(request)
    case ("/auth/session", "GET"): await sessionInfo(request)
    case ("/auth/continue", "GET"): await continueConsent(request)
    case ("/auth/", "GET"), ("/auth", "GET"): await account(request)
    case ("/auth/logout", _):
      methodNotAllowed("POST")
    case ("/auth/login", _), ("/auth/callback", _), ("/auth/session", _), ("/auth/continue", _), ("/auth/", _):
      methodNotAllowed("GET")
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
      404, Pages.problem(title: "Nothing here", explanation: "This address is not known.", requestID: request.requestID))
  }

  // MARK: What data loops ask

  /// The session behind a ticket.
  func snapshot(for ticket: TicketHash) async -> SessionLookup {
    do {
      guard let session = try await session(for: ticket) else { return .unknown }
      return .found(slots.snapshot(of: session))
    } catch {
      metrics.storeErrors += 1
      return .unavailable
    }
  }

  /// A ticket's session, also when the ticket was replaced at a step-up and is still carried by a client.
  func session(for ticket: TicketHash) async throws -> Session? {
    if let session = try await authority.session(for: ticket) { return session }
    guard let payload = try await store.peek(kind: .ticketAlias, key: ticket.bytes, now: clock()),
      let current = TicketHash(stored: payload)
    else { return nil }
    return try await authority.session(for: current)
  }

  /// A token for one slot; all who ask while a refresh runs share it.
  ///
  /// - Parameter rejected: a token that the upstream refused, so that it is not handed out again.
  func token(for hash: TicketHash, slot: Int, rejected: Secret?) async -> TokenReply {
    let outcome = await authority.token(for: hash, resource: slots.key(slot), now: clock(), rejected: rejected)
    return await reply(to: outcome, hash: hash, slot: slot)
  }

  func sessionSeen(_ hash: TicketHash, at time: Timestamp) async { await authority.touch(hash, at: time) }

  func sessionExpired(_ hash: TicketHash) async { await end(hash) }

  /// Ends a session here, in the store and on every data loop; returns when no loop knows it any more.
  func end(_ hash: TicketHash) async {
    do { try await authority.end(hash) } catch {
      metrics.storeErrors += 1
      log.storeFailed("\(error)")
    }
    await forgetEverywhere(hash)
  }

  func mcpSessionOpened(_ key: Bytes32, owner: Bytes32) async {
    do {
      try await store.put(
        kind: .mcpSession, key: key, payload: owner.bytes, expiresAt: clock() + policy.absoluteTimeout)
    } catch {
      metrics.storeErrors += 1
    }
  }

  func mcpSessionOwner(_ key: Bytes32) async -> Bytes32? {
    guard let payload = try? await store.peek(kind: .mcpSession, key: key, now: clock()) else { return nil }
    return Bytes32(payload)
  }
}
