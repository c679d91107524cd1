public import Basics

// Tokens: which one to use, when to fetch the next, and what a failure means.
extension SessionAuthority {
  /// A token of the session for a resource. Fetches it when there is none, when it is due, or when it is
  /// `rejected`.
  ///
  /// Everyone who waits for the same token shares one refresh; refreshes of one session never overlap. A
  /// caller that is cancelled waits on, and the refresh goes on in any case: its answer may hold the only
  /// refresh token that still works.
  /// - Parameters:
  ///   - rejected: the token that an upstream refused. All callers that name the same one share one refresh.
  ///   - claims: a `claims` parameter for the token endpoint (JSON text); forces a refresh.
  public func token(
    for ticket: TicketHash, resource: ResourceKey, rejected: Secret? = nil, claims: String? = nil
  ) async -> TokenOutcome {
    let entry: SessionEntry
    switch await find(ticket) {
    case .entry(let found): entry = found
    case .unknown: return .unknownSession
    case .unavailable: return .transient(retryAfter: nil, detail: "the session store is unavailable")
    }
    let session = entry.session
    if case .needsSignIn = session.state { return .needsSignIn(session) }
    let now = clock()
    let key = SessionEntry.FlightKey(resource: resource, claims: claims)
    var fallback: AccessToken?
    if let token = session.tokens[resource], claims == nil {
      if let rejected, token.secret == rejected {
        if entry.activity.forced[resource] == rejected { return .rejectedAgain(session) }
      } else {
        switch token.phase(at: now) {
        case .fresh: return .token(token, session)
        case .refreshSoon:
          if canRefresh(session, key.resource), !isHeldBack(entry, key, now: now) {
            _ = flight(entry, key, rejected: nil)
          }
          return .token(token, session)
        case .overdue: fallback = token
        case .expired: break
        }
      }
    }
    guard canRefresh(session, resource) else {
      return fallback.map { .token($0, session) } ?? .needsSignIn(session)
    }
    let outcome: TokenOutcome
    if entry.activity.flights[key] == nil, let trouble = entry.activity.troubles[key],
      isInForce(trouble, now: now)
    {
      outcome = remembered(trouble, session, now: now)
    } else {
      outcome = await flight(entry, key, rejected: rejected).value
    }
    switch outcome {
    case .transient, .misconfigured, .interactionRequired:
      guard let fallback, entry.isAlive, clock() < fallback.expiresAt else { return outcome }
      return .token(fallback, entry.session)
    case .token(let token, let session) where token.secret == rejected: return .rejectedAgain(session)
    default: return outcome
    }
  }

  private func canRefresh(_ session: Session, _ resource: ResourceKey) -> Bool {
    session.refreshToken != nil || !refresher.needsRefreshToken(for: resource)
  }

  private func isHeldBack(_ entry: SessionEntry, _ key: SessionEntry.FlightKey, now: Timestamp) -> Bool {
    entry.activity.troubles[key].map { isInForce($0, now: now) } ?? false
  }

  /// Nothing is remembered for longer than ``maxPause``: what seems to be, was noted before the clock was set back.
  private func isInForce(_ trouble: SessionEntry.Trouble, now: Timestamp) -> Bool {
    trouble.until > now && trouble.until - now <= Self.maxPause
  }

  private func remembered(_ trouble: SessionEntry.Trouble, _ session: Session, now: Timestamp) -> TokenOutcome
  {
    switch trouble.kind {
    case .transient(let detail): .transient(retryAfter: trouble.until - now, detail: detail)
    case .interaction(let refusal): .interactionRequired(refusal, session)
    case .subjectRefused: .needsSignIn(session)
    case .misconfigured(let detail): .misconfigured(detail: detail)
    }
  }

  /// The refresh for this key: the one that runs or waits, or a new one at the end of the session's line.
  private func flight(
    _ entry: SessionEntry, _ key: SessionEntry.FlightKey, rejected: Secret?
  ) -> Task<TokenOutcome, Never> {
    if let running = entry.activity.flights[key] { return running }
    let before = entry.session.tokens[key.resource]?.secret
    let task = inLine(entry) {
      let outcome = await self.refresh(entry, key, before: before, isForced: rejected != nil)
      entry.activity.flights[key] = nil
      return outcome
    }
    entry.activity.flights[key] = task
    return task
  }

  /// One refresh, at the head of the session's line.
  private func refresh(
    _ entry: SessionEntry, _ key: SessionEntry.FlightKey, before: Secret?, isForced: Bool
  ) async -> TokenOutcome {
    var mayAdopt = true
    var hasAdopted = false
    while true {
      guard entry.isAlive else { return .unknownSession }
      let session = entry.session
      guard case .active = session.state, canRefresh(session, key.resource) else {
        return .needsSignIn(session)
      }
      // Whoever stood before in the line may have fetched it.
      if key.claims == nil, let token = session.tokens[key.resource], token.secret != before,
        token.phase(at: clock()) == .fresh
      {
        if hasAdopted { counts.refreshesAdopted += 1 }
        return .token(token, session)
      }
      switch await takeTurn(entry) {
      case .ours:
        // What had to be saved first may have met what another process stored: its refresh token is the one to use.
        guard entry.session.generation == session.generation else { continue }
      case .adopted:
        hasAdopted = true
        continue
      case .over: return .unknownSession
      case .unavailable(let detail):
        entry.remember(.transient(detail: detail), of: key, for: Self.storePause, now: clock())
        return .transient(retryAfter: Self.storePause, detail: detail)
      }
      // While it waited for its turn.
      guard entry.isAlive else { return .unknownSession }
      var answer = await refresher.refresh(
        RefreshRequest(session: session, resource: key.resource, claims: key.claims))
      if case .invalidGrant(let refusal) = answer.outcome, answer.gains != nil || session.refreshToken == nil
      {
        // Gains came from the refresh token, so it is good; and where there is none, none was refused.
        answer.outcome = .subjectRefused(refusal)
      }
      if answer.isFinal, answer.gains == nil, mayAdopt, let used = session.refreshToken,
        await adoptNewer(entry, than: used)
      {
        mayAdopt = false
        hasAdopted = true
        continue
      }
      return await take(answer, entry, key, used: session.refreshToken, isForced: isForced)
    }
  }

  private func take(
    _ answer: RefreshAnswer, _ entry: SessionEntry, _ key: SessionEntry.FlightKey, used: Secret?,
    isForced: Bool
  ) async -> TokenOutcome {
    guard entry.isAlive else {
      discard(answer, of: entry)
      return .unknownSession
    }
    // Before anything else: the refresh token that the session holds may be spent.
    if let gains = answer.gains, await keep(gains, entry, used: used) == nil {
      discard(answer, of: entry)
      return .unknownSession
    }
    let now = clock()
    switch answer.outcome {
    case .success(let grant):
      return await accept(
        grant, of: answer, entry, key, used: answer.gains?.refreshToken ?? used, isForced: isForced)
    case .invalidGrant(let refusal):
      let session = await commit(entry) { session in
        // Another one that came meanwhile was not refused.
        guard session.refreshToken == used else { return }
        session.refreshToken = nil
        session.tokens = [:]
        session.state = .needsSignIn(refusal.description ?? refusal.error)
      }
      guard let session else { return .unknownSession }
      if session.state != .active { return .needsSignIn(session) }
      return session.tokens[key.resource].map { .token($0, session) }
        ?? .transient(retryAfter: Self.storePause, detail: "another process signed in or refreshed meanwhile")
    case .subjectRefused:
      entry.remember(.subjectRefused, of: key, for: Self.refusalMemory, now: now)
      guard entry.session.tokens[key.resource] != nil else { return .needsSignIn(entry.session) }
      let session = await commit(entry) { $0.tokens[key.resource] = nil }
      return session.map { .needsSignIn($0) } ?? .unknownSession
    case .interactionRequired(let refusal):
      entry.remember(.interaction(refusal), of: key, for: Self.refusalMemory, now: now)
      return .interactionRequired(refusal, entry.session)
    case .transient(let retryAfter, let detail):
      let attempts = entry.activity.troubles[key]?.attempts ?? 0
      let pause =
        retryAfter.map { min(max($0, .seconds(1)), Self.maxPause) } ?? .seconds(1 << min(attempts, 6))
      entry.remember(.transient(detail: detail), of: key, for: min(pause, Self.maxPause), now: now)
      return .transient(retryAfter: pause, detail: detail)
    case .misconfigured(let detail):
      entry.remember(.misconfigured(detail: detail), of: key, for: Self.misconfigurationMemory, now: now)
      return .misconfigured(detail: detail)
    }
  }

  private func accept(
    _ grant: RefreshGrant, of answer: RefreshAnswer, _ entry: SessionEntry, _ key: SessionEntry.FlightKey,
    used: Secret?, isForced: Bool
  ) async -> TokenOutcome {
    if let user = grant.user, user != entry.session.user {
      finish(entry, .userChanged)
      discard(answer, of: entry)
      await remove(.session(entry.hash))
      return .unknownSession
    }
    let token = schedule.token(grant.token, at: clock(), jitter: jitter())
    let others = scheduled(grant.also)
    let session = await commit(entry) { session in
      session.tokens.merge(others) { $1 }
      session.tokens[key.resource] = token
      session.rotate(from: used, to: grant.refreshToken, grant.idToken)
    }
    guard let session else {
      discard(answer, of: entry)
      return .unknownSession
    }
    entry.activity.troubles[key] = nil
    entry.forgetTroubles(of: others.keys)
    entry.forgetTroubles(of: CollectionOfOne(key.resource))
    entry.activity.forced[key.resource] = isForced ? token.secret : nil
    return .token(token, session)
  }

  /// Saves what was won on the way to an outcome.
  private func keep(_ gains: RefreshGains, _ entry: SessionEntry, used: Secret?) async -> Session? {
    let others = scheduled(gains.also)
    let session = await commit(entry) { session in
      session.tokens.merge(others) { $1 }
      session.rotate(from: used, to: gains.refreshToken, gains.idToken)
    }
    entry.forgetTroubles(of: others.keys)
    return session
  }

  private func scheduled(_ grants: [ResourceKey: TokenGrant]) -> [ResourceKey: AccessToken] {
    let now = clock()
    return grants.mapValues { schedule.token($0, at: now, jitter: jitter()) }
  }

  /// The refresh token of an answer that came too late. Where a new sign-in took the session's place, it is
  /// not reported: revoking it would, at some providers, end what the new one holds.
  private func discard(_ answer: RefreshAnswer, of entry: SessionEntry) {
    if entry.ending == .over, let token = answer.refreshToken { events.orphaned(token, entry.session) }
  }

  /// After a refusal for good: another process may have used and replaced the token. If so, goes on with
  /// what it stored.
  private func adoptNewer(_ entry: SessionEntry, than used: Secret) async -> Bool {
    // Whoever took the lease from this process may be between the provider and the store.
    if entry.activity.lease?.isLost == true {
      guard (try? await obtainLease(entry, adopting: false)) != nil else { return false }
    } else {
      try? await adoptStored(entry)
    }
    guard entry.isAlive, let token = entry.session.refreshToken else { return false }
    return token != used
  }

  /// How long a refusal that only the user can lift is remembered; a new sign-in clears it.
  private static let refusalMemory = Duration.seconds(60)
  /// How long the operator's fault is remembered: short, so that a repaired secret counts soon.
  private static let misconfigurationMemory = Duration.seconds(10)
  /// The longest pause between two attempts, whatever the provider asks for. Entra's loop detection wants two minutes.
  private static let maxPause = Duration.seconds(120)
  /// The pause before the next attempt when another process, or the store, was in the way.
  private static let storePause = Duration.seconds(1)
}

extension Session {
  /// Takes what a refresh brought, unless its refresh token was another's already: that one is the newer.
  fileprivate mutating func rotate(from used: Secret?, to token: Secret?, _ idToken: Secret?) {
    guard refreshToken == used || state != .active else { return }
    if let token { refreshToken = token } else if state != .active { refreshToken = used }
    if let idToken { self.idToken = idToken }
    state = .active
  }
}
