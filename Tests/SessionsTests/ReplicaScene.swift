import Basics
import Sessions
import Synchronization
import Testing

/// Several authorities at one shared store, with one clock, as in several processes.
struct ReplicaScene {
  struct Replica: Sendable {
    let store: FaultyStore
    let changes = Journal<SessionChange>()
    let failures = Journal<StoreError>()
    let orphans = Journal<Secret>()
    let reachable = Journal<Bool>()
    let told = Journal<StoreNotice>()
    let authority: SessionAuthority

    init(
      _ memory: MemorySessionStore, _ clock: FakeClock, _ refresher: any TokenRefresher,
      _ policy: SessionPolicy
    ) async {
      store = FaultyStore(memory.view())
      let (changes, failures, orphans, reachable, told) = (changes, failures, orphans, reachable, told)
      authority = SessionAuthority(
        executor: QueueExecutor(), store: store, refresher: refresher, policy: policy, clock: clock.wallClock,
        sleep: clock.sleep, jitter: { 0 },
        events: SessionEvents(
          changed: { changes.note($0) }, storeFailed: { failures.note($0) },
          orphaned: { token, _ in orphans.note(token) },
          storeReachable: { reachable.note($0) }, told: { told.note($0) }))
      await authority.start()
    }

    func found(_ ticket: TicketHash) async -> Session? {
      if case .found(let session) = await authority.session(for: ticket) { return session }
      return nil
    }

    /// What a lookup gives, in a word.
    func word(_ ticket: TicketHash) async -> String {
      switch await authority.session(for: ticket) {
      case .found: "found"
      case .unknown: "unknown"
      case .unavailable: "unavailable"
      }
    }

    func token(_ ticket: TicketHash, _ resource: ResourceKey = .tools) async -> String {
      await authority.token(for: ticket, resource: resource).word
    }

    /// Tickets of sessions that are said to be over.
    var ended: [TicketHash] {
      changes.items.compactMap { if case .ended(let hash, _) = $0 { hash } else { nil } }
    }
  }

  let clock = FakeClock()
  let memory: MemorySessionStore
  let replicas: [Replica]
  private let policy: SessionPolicy

  /// - Parameter refreshers: one for each replica.
  init(_ refreshers: [any TokenRefresher], idle: Duration = .seconds(80_000)) async {
    policy = SessionPolicy(idleTimeout: idle, absoluteTimeout: .seconds(80_000))
    memory = MemorySessionStore(clock: clock.wallClock)
    var replicas: [Replica] = []
    for refresher in refreshers { replicas.append(await Replica(memory, clock, refresher, policy)) }
    self.replicas = replicas
  }

  init(_ count: Int, _ provider: any TokenRefresher, idle: Duration = .seconds(80_000)) async {
    await self.init(Array(repeating: provider, count: count), idle: idle)
  }

  /// One more, as after a start.
  func another(_ refresher: any TokenRefresher) async -> Replica {
    await Replica(memory, clock, refresher, policy)
  }

  func grant(_ refreshToken: String? = "first") -> SignInGrant {
    SignInGrant(
      user: .alice, refreshToken: refreshToken.map { Secret($0) },
      tokens: [.tools: TokenGrant(accessToken: Secret("initial"), expiresIn: .seconds(3600))])
  }

  /// Signs in at the first replica, and lets all others know the session.
  func signIn() async -> TicketHash {
    let ticket = await replicas[0].authority.signIn(grant(), replacing: nil).ticket.hash
    for replica in replicas { #expect(await replica.found(ticket) != nil) }
    return ticket
  }

  /// A token, for which time may have to go by.
  func token(of replica: Replica, _ ticket: TicketHash, _ resource: ResourceKey = .tools) async -> String {
    let asked = Pending { await replica.token(ticket, resource) }
    _ = await passes { asked.isDone }
    return await asked.value
  }

  /// The session as it is stored.
  func stored(_ ticket: TicketHash) async throws -> Session {
    try #require(try await memory.load(ticket))
  }

  /// Lets time go by until `condition` holds, for no more than `limit`.
  func passes(
    by step: Duration = .milliseconds(250), atMost limit: Duration = .seconds(60),
    until condition: () async throws -> Bool
  ) async rethrows -> Bool {
    var passed = Duration.zero
    while passed < limit {
      if try await eventually(within: 30, condition) { return true }
      clock.advance(by: step)
      passed += step
    }
    return try await eventually(condition)
  }
}

/// Whether something comes to hold, without the clock being moved.
func eventually(within tries: Int = 3000, _ condition: () async throws -> Bool) async rethrows -> Bool {
  for _ in 0..<tries {
    if try await condition() { return true }
    try? await Task.sleep(for: .milliseconds(1))
  }
  return try await condition()
}

/// A provider that rotates refresh tokens and ends the whole family when one comes a second time. The last one
/// before stands for a moment longer, as long as its successor was not used: the answer may have been lost.
actor FamilyProvider: TokenRefresher {
  private var current = Secret("first")
  private var previous: Secret?
  private(set) var isRevoked = false
  private(set) var refreshes = 0
  private var gate: Gate?
  private var loses = 0
  private let forgives: Bool
  let calls = Tally()

  init(forgives: Bool = false) { self.forgives = forgives }

  /// From now on answers wait here, after the rotation.
  func hold(_ gate: Gate?) { self.gate = gate }
  /// So many answers do not arrive.
  func lose(_ count: Int) { loses = count }

  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    let isRepeated = forgives && request.refreshToken == previous
    guard !isRevoked, request.refreshToken == current || isRepeated else {
      isRevoked = true
      calls.add()
      return .refused
    }
    if !isRepeated {
      refreshes += 1
      previous = current
      current = Secret("rotated-\(refreshes)")
    }
    let answer = RefreshAnswer.renewed("\(request.resource)-\(refreshes)", refreshToken: current.reveal())
    calls.add()
    if let gate { await gate.wait() }
    if loses > 0 {
      loses -= 1
      return .busy
    }
    for _ in 0..<20 { await Task.yield() }
    return answer
  }
}

/// Work under way, of which a test can see whether it has ended.
final class Pending: Sendable {
  private let task: Task<String, Never>

  init(_ work: @escaping @Sendable () async -> String) {
    let box = Box()
    task = Task {
      let value = await work()
      box.result.withLock { $0 = value }
      return value
    }
    self.box = box
  }

  private final class Box: Sendable {
    let result = Mutex<String?>(nil)
  }

  private let box: Box
  var isDone: Bool { box.result.withLock { $0 != nil } }
  var value: String { get async { await task.value } }
}
