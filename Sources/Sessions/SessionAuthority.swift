public import Basics

/// Owns every session: what is in memory in front, what is in the store behind, and every change in between.
///
/// Owner: its executor (the control loop). Loops that serve requests hold copies and hear of changes by
/// ``SessionEvents``. When the store fails, the authority reports it and goes on from memory: nobody is
/// signed out because of the store. Where other processes share the store, that has an end, and nobody asks the
/// provider for a session's tokens without its lease; see ``SessionPolicy/outageGrace``.
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

  let store: WatchedStore
  let refresher: any TokenRefresher
  /// The timeouts and bounds.
  public nonisolated let policy: SessionPolicy
  let schedule: TokenSchedule
  let clock: WallClock
  let jitter: @Sendable () -> Double
  let events: SessionEvents
  let sleep: WallSleep
  /// This process, where leases are given.
  let holder = LeaseHolder.make()

  var entries = RecencyTable<TicketHash, SessionEntry>()
  /// Loads under way. One that is not here any more when it ends has been overtaken and does not count.
  var loads: [TicketHash: (id: UInt64, task: Task<LoadResult, Never>)] = [:]
  var lastLoadID: UInt64 = 0
  /// Tickets that stand for a newer session for a short while.
  var overlaps: [TicketHash: (new: TicketHash, until: Timestamp)] = [:]
  /// Uses that the store does not know yet.
  var touches: [TicketHash: Timestamp] = [:]
  var isFlushingTouches = false
  /// Sessions whose newest state the store does not have.
  var unsaved: Set<TicketHash> = []
  /// Refresh tokens of ``unsaved`` sessions that the store still has, although they are spent.
  var spent: [TicketHash: Secret] = [:]
  /// Old tickets of ``unsaved`` sessions that the store does not know yet.
  var unsavedAliases: [TicketHash: (old: TicketHash, until: Timestamp)] = [:]
  var isSaving = false
  /// Those who wait for another process's lease; at most one a session, since it stands in its line.
  var waiters: [TicketHash: Waiter] = [:]
  /// Leases on their way back.
  var releases: [SessionLease: Task<Void, Never>] = [:]
  var counts = LeaseCounts()
  let notices = NoticeQueue()
  /// Notices may have been lost.
  var isDeaf = false
  /// Sessions in memory that are older than what the store is said to have.
  var reloads: [TicketHash: UInt64] = [:]
  var isReloading = false
  /// The comparison of all sessions that is under way.
  var reconciling: Task<Bool, Never>?
  /// From when notices began to be lost until they are heard again.
  var isCutOff = false
  var mustReconcileAgain = false
  /// Whether sessions had to make room in memory: loops may have some that are not here.
  var hasLetGo = false
  var isWatching = false
  /// Which store it was when it was last looked at.
  var identity: Bytes32?
  /// When a shared store was found to have lost everything.
  var lastLoss: Timestamp?
  /// When a shared store was found to answer again.
  var lastRecovery: Timestamp?
  /// The store has not answered for too long: what is in memory must not be used.
  var isOutOfReach = false
  /// Removals that the store has not confirmed yet. What they cover is not loaded any more.
  var removals: Set<Removal> = []
  /// Revocations that did not reach every session yet, because the store did not answer.
  var revocations: Set<Revocation> = []
  var lastSweep: Timestamp?
  var lastNoteSweep: Timestamp?

  /// - Parameters:
  ///   - executor: where all work of the authority runs.
  ///   - sleep: waits by the same time as `clock`.
  ///   - jitter: a number from −1 to 1, see ``TokenSchedule/token(_:at:jitter:)``.
  public init(
    executor: any SerialExecutor, store: any SessionStore, refresher: any TokenRefresher,
    policy: SessionPolicy = SessionPolicy(), schedule: TokenSchedule = TokenSchedule(),
    clock: @escaping WallClock = Timestamp.now,
    sleep: @escaping WallSleep = { try await Task.sleep(for: $0) },
    jitter: @escaping @Sendable () -> Double = { Double.random(in: -1...1) },
    events: SessionEvents = SessionEvents()
  ) {
    self.executor = executor
    self.store = store as? WatchedStore ?? WatchedStore(store, clock: clock)
    self.sleep = sleep
    self.refresher = refresher
    self.policy = policy
    self.schedule = schedule
    self.clock = clock
    self.jitter = jitter
    self.events = events
  }

  /// The store as an authority sees it, for those who work on the same one: shared and known to be down, it fails at once.
  public static func watched(
    _ store: any SessionStore, clock: @escaping WallClock = Timestamp.now
  ) -> any SessionStore { WatchedStore(store, clock: clock) }

  /// Waits until nobody refreshes a session, here or in another process.
  private func settle(_ entry: SessionEntry) async {
    guard store.isShared else {
      await entry.activity.line?.value
      return
    }
    await inLine(entry) { _ = await self.takeTurn(entry) }.value
  }

  /// Sessions in memory.
  public var countInMemory: Int { entries.count }

  /// The session of a ticket. Asking does not count as use; see ``touch(_:at:)``.
  public func session(for ticket: TicketHash) async -> Lookup {
    switch await find(ticket) {
    case .entry(let entry): .found(entry.session)
    case .unknown: .unknown
    case .unavailable: .unavailable
    }
  }

  /// Makes a session under a new ticket. The one it replaces ends; its ticket stands for the new session for
  /// `overlap` longer if the user is the same, because requests may be under way with it.
  ///
  /// From a replaced session of the same user the tokens of other resources, the extra scopes and, if the
  /// grant brings none, the refresh token are carried over. From another user's session nothing is, nor from one of
  /// another provider: tokens go to nobody but who gave them.
  public func signIn(_ grant: SignInGrant, replacing old: TicketHash?, overlap: Duration = .seconds(30)) async
    -> SignInResult
  {
    await retryRemovals()
    await retryRevocations()
    var replaced: SessionEntry?
    // A ticket that was replaced already is another tab's: that tab's session stays beside this one, because
    // which of the two cookies the browser keeps is open.
    if let old, overlaps[old] == nil, case .entry(let entry) = await find(old), entry.hash == old {
      // A refresh that runs, here or elsewhere, may rotate the token that is carried over.
      if grant.refreshToken == nil, entry.belongs(to: grant.user) { await settle(entry) }
      if entry.isAlive { replaced = entry }
    }
    let now = clock()
    let ticket = Ticket.make()
    let previous = replaced?.session
    let userChanged = previous.map { $0.user != grant.user || $0.provider != grant.provider } ?? false
    let session = newSession(grant, hash: ticket.hash, now: now, continuing: userChanged ? nil : previous)
    if let replaced {
      detach(replaced, userChanged ? .over : .replaced)
      if !userChanged {
        // Tickets that stood for the replaced session go along.
        for (ticket, known) in overlaps where known.new == replaced.hash {
          overlaps[ticket] = (session.hash, known.until)
        }
        overlaps[replaced.hash] = (session.hash, now + overlap)
      }
    }
    let entry = SessionEntry(session: session, storedGeneration: nil)
    entries.insert(entry, for: session.hash)
    makeRoom(needed: entry)
    let aliasUntil = replaced != nil && !userChanged ? now + overlap : nil
    await inLine(entry) { await self.addToStore(entry, removing: old, aliasUntil: aliasUntil) }.value
    if let replaced, !userChanged {
      events.changed(.replaced(old: replaced.hash, new: session))
    } else {
      if let replaced { events.changed(.ended(replaced.hash, .userChanged)) }
      events.changed(.updated(session))
    }
    return SignInResult(
      ticket: ticket, session: session, previous: previous, userChanged: userChanged,
      isKnownToAll: !store.isShared || !unsaved.contains(session.hash))
  }

  /// Notes that a session is in use. Report at least every ``SessionPolicy/touchInterval`` while it is.
  public func touch(_ ticket: TicketHash, at time: Timestamp) {
    let now = clock()
    let hash = current(ticket, now: now)
    let time = min(time, now)
    if let entry = entries.use(hash) {
      guard entry.times.seen < time, !policy.isOver(entry, at: time) else { return }
      entry.noteUse(time)
    }
    guard touches.count < policy.memoryCapacity || touches[hash] != nil else { return }
    touches[hash] = max(time, touches[hash] ?? time)
    if touches.count >= Self.touchBatch, !isFlushingTouches {
      Task { await self.flushTouches() }
    }
  }

  private func newSession(
    _ grant: SignInGrant, hash: TicketHash, now: Timestamp, continuing previous: Session?
  ) -> Session {
    var session = Session(
      hash: hash, user: grant.user, provider: grant.provider, createdAt: now, lastSeenAt: now,
      refreshToken: previous?.refreshToken,
      tokens: previous?.tokens ?? [:], extraScopes: previous?.extraScopes ?? [:],
      withheldScopes: previous?.withheldScopes ?? [])
    Self.take(grant, scheduled(grant, now), into: &session)
    session.sid = grant.sid
    return session
  }

  /// Gives a session what a consent brought that its user gave in another browser. Its ticket stays, since whoever has it
  /// hears nothing of a new one. Nil when there is no such session of this user.
  public func extend(_ ticket: TicketHash, with grant: SignInGrant) async -> Session? {
    guard case .entry(let entry) = await find(ticket), entry.belongs(to: grant.user) else { return nil }
    let tokens = scheduled(grant, clock())
    return await inLine(entry) {
      let session = await self.commit(entry) { Self.take(grant, tokens, into: &$0) }
      entry.activity.troubles = [:]
      entry.activity.forced = [:]
      return session
    }.value
  }

  private func scheduled(_ grant: SignInGrant, _ now: Timestamp) -> [ResourceKey: AccessToken] {
    grant.tokens.mapValues { schedule.token($0, at: now, jitter: jitter()) }
  }

  private static func take(
    _ grant: SignInGrant, _ tokens: [ResourceKey: AccessToken], into session: inout Session
  ) {
    for (resource, scopes) in grant.extraScopes {
      let known = session.extraScopes[resource] ?? []
      let added = scopes.filter { !known.contains($0) }
      session.extraScopes[resource] = known + added
      // A token without the new scopes would only be refused again.
      if !added.isEmpty { session.tokens[resource] = nil }
    }
    for resource in grant.renewed { session.tokens[resource] = nil }
    session.tokens.merge(tokens) { _, new in new }
    // What was agreed to anew is wanted again.
    session.withheldScopes.removeAll { scope in grant.extraScopes.values.contains { $0.contains(scope) } }
    session.profile = grant.profile
    session.authTime = grant.authTime
    session.idToken = grant.idToken
    session.refreshToken = grant.refreshToken ?? session.refreshToken
    session.grantedScopes = grant.grantedScopes
    session.loginHint = grant.loginHint
    session.state = .active
  }

  /// Uses are written when so many wait, between two calls of ``maintain()``.
  private static let touchBatch = 1024
}
