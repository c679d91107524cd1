internal import Basics
internal import Reactor
internal import Sessions

/// How often walks to the provider may begin and end: so many a minute for one client address, and for one session, as many of them
/// at once after a quiet minute (the generic cell rate algorithm: one instant a key stands for its whole past).
///
/// Owner: the control plane. Bound: `capacity` keys. When they are not enough, those that are quiet go first, then all: whoever has so many
/// addresses is not stopped by counting them.
struct AttemptRate {
  /// Who is counted.
  enum Key: Hashable {
    case client(ClientNetwork)
    case session(TicketHash)
  }

  private static let window = Duration.seconds(60)
  private let interval: Duration
  private let capacity: Int
  /// When all that was allowed will have been paid for.
  private var paidAt: [Key: MonotonicTime] = [:]

  init(perMinute: Int, capacity: Int = 20_000) {
    interval = AttemptRate.window / max(1, perMinute)
    self.capacity = capacity
  }

  var count: Int { paidAt.count }

  /// How long to wait until ``attempt(_:now:)`` would count another one; nil when it may be made now.
  func wait(_ key: Key, now: MonotonicTime) -> Duration? {
    let wait = max(paidAt[key] ?? now, now) - now - (AttemptRate.window - interval)
    return wait > .zero ? wait : nil
  }

  /// Counts an attempt, unless there were too many.
  ///
  /// - Returns: how long to wait when there were too many; nil when it may go on.
  mutating func attempt(_ key: Key, now: MonotonicTime) -> Duration? {
    if let wait = wait(key, now: now) { return wait }
    let paid = max(paidAt[key] ?? now, now)
    if paidAt[key] == nil, paidAt.count >= capacity { makeRoom(now) }
    paidAt[key] = paid + interval
    return nil
  }

  private mutating func makeRoom(_ now: MonotonicTime) {
    paidAt = paidAt.filter { $0.value > now }
    if paidAt.count > capacity / 2 { paidAt.removeAll() }
  }
}

extension ControlPlane {
  /// Whether a request may begin or end a walk to the provider: each asks the provider or leaves something in the store.
  ///
  /// - Returns: the answer when it may not.
  func tooOften(_ request: OwnRequest) async -> OwnResponse? {
    var wait = request.client.flatMap { attempts.attempt(.client($0), now: loop.now) }
    // The store is not asked for those who are stopped already.
    if wait == nil, let session = await currentSession(request).session {
      wait = attempts.attempt(.session(session.hash), now: loop.now)
    }
    guard let wait else { return nil }
    metrics.signInsRefused += 1
    let answer = DenialAnswer(.tooManyAttempts(retryAfter: Int(wait.components.seconds) + 1))
    return problem(answer.status, answer.title, answer.explanation, request, retry: nil)
      .retrying(after: answer.retryAfter)
  }
}
