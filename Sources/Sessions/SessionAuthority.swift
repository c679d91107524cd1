public import Basics

/// Owns every session: what is in memory in front, what is in the store behind, and every change in between.
///
/// Owner: its executor (the control loop). Loops that serve requests hold copies and hear of changes by ``SessionEvents``.
public actor SessionAuthority {
  nonisolated private let executor: any SerialExecutor
  /// The executor given at the start.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  /// What is known of a ticket.
  public enum Lookup: Sendable {
    /// A live session.
    case found(Session)
    /// There is none, or it timed out.
    case unknown
    /// The store could not be asked: the session may well exist, so nobody must be signed out for it.
    case unavailable
  }

  /// - Parameters:
  ///   - executor: where all work of the authority runs.
  ///   - jitter: a number from −1 to 1, see ``TokenSchedule/token(_:at:jitter:)``.
  public init(
    executor: any SerialExecutor, store: any SessionStore, refresher: any TokenRefresher,
    policy: SessionPolicy = SessionPolicy(), schedule: TokenSchedule = TokenSchedule(),
    clock: @escaping WallClock = Timestamp.now,
    jitter: @escaping @Sendable () -> Double = { Double.random(in: -1...1) },
    events: SessionEvents = SessionEvents()
  ) {
    self.executor = executor
  }

  /// The session of a ticket. Asking does not count as use; see ``touch(_:at:)``.
  public func session(for ticket: TicketHash) async -> Lookup { fatalError() }

  /// Makes a session under a new ticket. The one it replaces ends; its ticket stands for the new session for `overlap`
  /// longer if the user is the same, because requests may be under way with it.
  public func signIn(_ grant: SignInGrant, replacing old: TicketHash?, overlap: Duration = .seconds(30)) async
    -> SignInResult
  { fatalError() }

  /// A token of the session for a resource. Fetches it when there is none, when it is due, or when it is `rejected`.
  /// - Parameters:
  ///   - rejected: the token that an upstream refused. All callers that name the same one share one refresh.
  ///   - claims: a `claims` parameter for the token endpoint; forces a refresh.
  public func token(
    for ticket: TicketHash, resource: ResourceKey, rejected: Secret? = nil, claims: String? = nil
  ) async -> TokenOutcome { fatalError() }

  /// Notes that a session is in use. Report at least every ``SessionPolicy/touchInterval`` while it is.
  public func touch(_ ticket: TicketHash, at time: Timestamp) { fatalError() }

  /// Ends a session for good and hands out its last state, for revocation and the provider's sign-out.
  public func end(_ ticket: TicketHash) async -> Session? { fatalError() }

  /// Ends all sessions of a user.
  public func endAll(of user: UserKey) async { fatalError() }

  /// Ends all sessions that belong to one session at the provider.
  public func endAll(issuer: String, sid: String) async { fatalError() }

  /// Writes what waits to be written, tries again what failed, forgets what timed out. Call it every 10 to 60 seconds.
  public func maintain() async { fatalError() }

  /// Writes what waits to be written and waits for refreshes that run. Call it before the store closes.
  public func shutdown() async { fatalError() }

  /// Sessions in memory.
  public var countInMemory: Int { 0 }
}
