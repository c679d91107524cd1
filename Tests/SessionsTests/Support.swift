import Basics
import Dispatch
import Sessions
import Synchronization
import Testing

/// A wall clock that stands still until it is moved. Whoever sleeps by it wakes then.
final class FakeClock: Sendable {
  private struct State {
    var now = Timestamp(milliseconds: 1_800_000_000_000)
    var sleepers: [UInt64: (until: Timestamp, continuation: CheckedContinuation<Bool, Never>)] = [:]
    var lastID: UInt64 = 0
  }

  private let state = Mutex(State())

  var now: Timestamp { state.withLock { $0.now } }
  var wallClock: WallClock { { self.now } }
  /// How many sleep.
  var sleepers: Int { state.withLock { $0.sleepers.count } }

  func advance(by duration: Duration) {
    let woken = state.withLock { state in
      state.now = state.now + duration
      let due = state.sleepers.filter { $0.value.until <= state.now }
      for id in due.keys { state.sleepers[id] = nil }
      return due.values.sorted { $0.until < $1.until }.map(\.continuation)
    }
    for continuation in woken { continuation.resume(returning: true) }
  }

  func sleep(for duration: Duration) async throws {
    let id = state.withLock { state in
      state.lastID += 1
      return state.lastID
    }
    let isOver = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isCancelled = state.withLock { state in
          if Task.isCancelled { return true }
          state.sleepers[id] = (state.now + duration, continuation)
          return false
        }
        if isCancelled { continuation.resume(returning: false) }
      }
    } onCancel: {
      state.withLock { $0.sleepers.removeValue(forKey: id) }?.continuation.resume(returning: false)
    }
    if !isOver { throw CancellationError() }
  }
}

/// A serial executor on a Dispatch queue, as an event loop is.
final class QueueExecutor: SerialExecutor {
  private let queue = DispatchQueue(label: "tests.sessions")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { unsafe job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor { unsafe UnownedSerialExecutor(ordinary: self) }
}

/// Closed until opened; whoever waits goes on then.
actor Gate {
  private var isOpen = false
  private var waiters: [CheckedContinuation<Void, Never>] = []

  func wait() async {
    if !isOpen { await withCheckedContinuation { waiters.append($0) } }
  }

  func open() {
    isOpen = true
    for waiter in waiters { waiter.resume() }
    waiters = []
  }
}

/// Lets one wait until something happened often enough.
final class Tally: Sendable {
  private struct State {
    var count = 0
    var waiters: [(at: Int, continuation: CheckedContinuation<Void, Never>)] = []
  }

  private let state = Mutex(State())

  var count: Int { state.withLock { $0.count } }

  func add() {
    let ready = state.withLock { state in
      state.count += 1
      let ready = state.waiters.filter { $0.at <= state.count }
      state.waiters.removeAll { $0.at <= state.count }
      return ready
    }
    for waiter in ready { waiter.continuation.resume() }
  }

  func reaches(_ count: Int) async {
    await withCheckedContinuation { continuation in
      let isThere = state.withLock { state in
        if state.count < count { state.waiters.append((count, continuation)) }
        return state.count >= count
      }
      if isThere { continuation.resume() }
    }
  }
}

/// A list that several threads add to.
final class Journal<Item: Sendable>: Sendable {
  private let list = Mutex<[Item]>([])

  var items: [Item] { list.withLock { $0 } }
  func note(_ item: Item) { list.withLock { $0.append(item) } }
}

/// Answers refreshes by a script, and counts them.
final class ScriptedRefresher: TokenRefresher {
  typealias Script = @Sendable (_ request: RefreshRequest, _ call: Int) async -> RefreshAnswer

  let calls = Tally()
  let requests = Journal<RefreshRequest>()
  private let script: Mutex<Script>
  private let running = Mutex((now: 0, most: 0))
  private let exchanged: Set<ResourceKey>

  /// - Parameter exchanged: resources whose tokens need no refresh token.
  init(exchanged: Set<ResourceKey> = [], _ script: @escaping Script) {
    self.exchanged = exchanged
    self.script = Mutex(script)
  }

  func needsRefreshToken(for resource: ResourceKey) -> Bool { !exchanged.contains(resource) }

  /// How many refreshes ever ran at once.
  var mostAtOnce: Int { running.withLock { $0.most } }

  func answer(_ newScript: @escaping Script) { script.withLock { $0 = newScript } }

  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    running.withLock { running in
      running.now += 1
      running.most = max(running.most, running.now)
    }
    defer { running.withLock { $0.now -= 1 } }
    requests.note(request)
    calls.add()
    let script = script.withLock { $0 }
    let call = calls.count
    await Task.yield()
    return await script(request, call)
  }

  /// Always a new access token of an hour, and a new refresh token.
  static func rotating() -> ScriptedRefresher {
    ScriptedRefresher { request, call in
      .renewed("\(request.resource)-\(call)", refreshToken: "refresh-\(call)")
    }
  }
}

extension RefreshAnswer {
  static func renewed(_ token: String, refreshToken: String? = nil, expiresIn: Duration = .seconds(3600))
    -> RefreshAnswer
  {
    RefreshAnswer(
      .success(
        RefreshGrant(
          token: TokenGrant(accessToken: Secret(token), expiresIn: expiresIn),
          refreshToken: refreshToken.map { Secret($0) })))
  }

  static let refused = RefreshAnswer(.invalidGrant(ProviderRefusal(error: "invalid_grant")))
  static let busy = RefreshAnswer(.transient(retryAfter: nil, detail: "503"))
}

/// A provider that rotates and, when a refresh token is used twice, ends the whole family.
actor ReuseDetectingProvider: TokenRefresher {
  private var current: Secret
  private var isRevoked = false
  private(set) var refreshes = 0

  init(first: String) { current = Secret(first) }

  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    guard !isRevoked, request.refreshToken == current else {
      isRevoked = true
      return .refused
    }
    refreshes += 1
    current = Secret("rotated-\(refreshes)")
    let answer = RefreshAnswer.renewed("\(request.resource)-\(refreshes)", refreshToken: current.reveal())
    // The answer takes its time, so that another request could get in between.
    for _ in 0..<20 { await Task.yield() }
    return answer
  }
}

extension UserKey {
  static let alice = UserKey(issuer: "https://id.example", subject: "alice")
  static let bob = UserKey(issuer: "https://id.example", subject: "bob")
}

extension ResourceKey {
  static let tools = ResourceKey("tools")
  static let files = ResourceKey("files")
}

extension Session {
  /// A session with every part set, for stores.
  static func sample(
    _ user: UserKey = .alice, ticket: TicketHash = Ticket.make().hash, now: Timestamp, sid: String? = "sid-1"
  ) -> Session {
    let token = TokenSchedule().token(
      TokenGrant(accessToken: Secret("access-token-canary"), expiresIn: .seconds(3600), scopes: ["a", "b"]),
      at: now,
      jitter: 0)
    return Session(
      hash: ticket, user: user, provider: "staff",
      profile: UserProfile(
        name: "Alice Ätherisch", username: "alice-canary", email: "alice@mail-canary.example",
        claims: #"{"dept":"7"}"#), createdAt: now, lastSeenAt: now, authTime: now,
      idToken: Secret("id-token-canary"),
      refreshToken: Secret("refresh-token-canary"), grantedScopes: ["openid", "profile"],
      tokens: [.tools: token, .files: token], extraScopes: [.files: ["write"]], withheldScopes: ["erase"],
      sid: sid, loginHint: "hint-canary",
      state: .active, generation: 1)
  }
}

/// Compares everything but the order of dictionaries.
func expectSame(_ a: Session?, _ b: Session, sourceLocation: SourceLocation = #_sourceLocation) {
  guard let a else {
    Issue.record("no session", sourceLocation: sourceLocation)
    return
  }
  #expect(
    a.hash == b.hash && a.user == b.user && a.user.issuer == b.user.issuer, sourceLocation: sourceLocation)
  #expect(a.user.subject == b.user.subject && a.user.tenant == b.user.tenant, sourceLocation: sourceLocation)
  #expect(a.profile == b.profile && a.createdAt == b.createdAt, sourceLocation: sourceLocation)
  #expect(a.lastSeenAt == b.lastSeenAt && a.authTime == b.authTime, sourceLocation: sourceLocation)
  #expect(a.idToken == b.idToken && a.refreshToken == b.refreshToken, sourceLocation: sourceLocation)
  #expect(a.grantedScopes == b.grantedScopes && a.tokens == b.tokens, sourceLocation: sourceLocation)
  #expect(
    a.extraScopes == b.extraScopes && a.withheldScopes == b.withheldScopes, sourceLocation: sourceLocation)
  #expect(a.sid == b.sid && a.provider == b.provider, sourceLocation: sourceLocation)
  #expect(a.loginHint == b.loginHint && a.state == b.state, sourceLocation: sourceLocation)
  #expect(a.generation == b.generation, sourceLocation: sourceLocation)
}

extension SessionStore {
  /// Without an alias.
  func insert(_ session: Session, removing old: TicketHash?) async throws(StoreError) {
    try await insert(session, removing: old, aliasUntil: nil)
  }

  /// Without a lease.
  func save(_ session: Session, replacing generation: UInt64) async throws(StoreError) {
    try await save(session, replacing: generation, under: nil)
  }
}
