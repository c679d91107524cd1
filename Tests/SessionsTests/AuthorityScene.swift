import Basics
import Sessions
import Testing

/// An authority with everything around it that a test turns.
struct AuthorityScene {
  let clock = FakeClock()
  let store = FaultyStore()
  let changes = Journal<SessionChange>()
  let failures = Journal<StoreError>()
  let orphans = Journal<Secret>()
  let updates = Tally()
  let refresher: ScriptedRefresher
  let authority: SessionAuthority

  init(
    refresher: ScriptedRefresher = .rotating(), policy: SessionPolicy = SessionPolicy()
  ) {
    self.init(refresher: refresher, tokens: refresher, policy: policy)
  }

  init(tokens: any TokenRefresher) {
    self.init(refresher: .rotating(), tokens: tokens, policy: SessionPolicy())
  }

  private init(refresher: ScriptedRefresher, tokens: any TokenRefresher, policy: SessionPolicy) {
    self.refresher = refresher
    let (changes, failures, orphans, updates) = (changes, failures, orphans, updates)
    authority = SessionAuthority(
      executor: QueueExecutor(), store: store, refresher: tokens, policy: policy, clock: clock.wallClock,
      sleep: clock.sleep, jitter: { 0 },
      events: SessionEvents(
        changed: { change in
          changes.note(change)
          if case .updated = change { updates.add() }
        }, storeFailed: { failures.note($0) }, orphaned: { token, _ in orphans.note(token) }))
  }

  /// A second authority on the same store, as after a restart or in another process.
  func another(refresher: any TokenRefresher = ScriptedRefresher.rotating()) -> SessionAuthority {
    SessionAuthority(
      executor: QueueExecutor(), store: store, refresher: refresher, clock: clock.wallClock,
      sleep: clock.sleep, jitter: { 0 })
  }

  /// Signs in with a token for `tools` that lives an hour: soft expiry after 3300 s, hard after 3540 s.
  func signIn(
    _ user: UserKey = .alice, replacing old: TicketHash? = nil, refreshToken: String? = "first",
    sid: String? = nil
  ) async -> TicketHash {
    await authority.signIn(grant(user, refreshToken: refreshToken, sid: sid), replacing: old).ticket.hash
  }

  func grant(_ user: UserKey = .alice, refreshToken: String? = "first", sid: String? = nil) -> SignInGrant {
    SignInGrant(
      user: user, profile: UserProfile(name: "Alice"), refreshToken: refreshToken.map { Secret($0) },
      tokens: [.tools: TokenGrant(accessToken: Secret("initial"), expiresIn: .seconds(3600))], sid: sid)
  }

  func found(_ ticket: TicketHash) async -> Session? {
    if case .found(let session) = await authority.session(for: ticket) { return session }
    return nil
  }
}

extension TokenOutcome {
  /// The token, or what there is instead, in a word.
  var word: String {
    switch self {
    case .token(let token, _): token.secret.reveal()
    case .unknownSession: "unknown session"
    case .needsSignIn: "needs sign-in"
    case .interactionRequired(let refusal, _): refusal.error
    case .rejectedAgain: "rejected again"
    case .transient(_, let detail): "transient: \(detail)"
    case .misconfigured(let detail): "misconfigured: \(detail)"
    }
  }
}
