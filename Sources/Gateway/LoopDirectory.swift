internal import Basics
internal import Reactor
internal import Sessions

/// The data loops, for messages to all of them.
///
/// Owner: shared; filled at start, read by the control loop.
final class LoopDirectory: Sendable {
  private let loops = Locked<[LoopBound<DataLoop>]>([])

  func add(_ loop: LoopBound<DataLoop>) { loops.withLock { $0.append(loop) } }

  /// Tells every loop of a session's new version.
  func changed(_ snapshot: SessionSnapshot) {
    for home in loops.withLock({ $0 }) {
      home.loop.execute { home.value.sessionChanged(snapshot) }
    }
  }

  /// Tells every loop what became of a question to a person.
  func settled(_ outcome: ConsentOutcome) {
    for home in loops.withLock({ $0 }) {
      home.loop.execute { home.value.settled(outcome) }
    }
  }

  /// Tells every loop that a session goes on under another id.
  func replaced(_ old: TicketHash, by new: TicketHash) {
    for home in loops.withLock({ $0 }) {
      home.loop.execute { home.value.sessionReplaced(old, by: new) }
    }
  }

  /// Tells every loop that a session is over, without waiting.
  func ended(_ hash: TicketHash) {
    for home in loops.withLock({ $0 }) {
      home.loop.execute { home.value.sessionEnded(hash) }
    }
  }

  /// Tells every loop to ask for a session anew.
  func stale(_ hash: TicketHash) { tellAll { $0.sessionStale(hash) } }

  /// Tells every loop to ask for every session anew.
  func allStale() { tellAll { $0.allSessionsStale() } }

  /// Tells every loop that every session is over.
  func allEnded() { tellAll { $0.everySessionEnded() } }

  /// Tells every loop whether it may use the sessions that it knows.
  func storeReachable(_ isReachable: Bool) { tellAll { $0.storeReachable(isReachable) } }

  private func tellAll(_ message: @escaping @Sendable (DataLoop) -> Void) {
    for home in loops.withLock({ $0 }) {
      home.loop.execute { message(home.value) }
    }
  }

  /// The same as ``ended(_:)`` for several, and returns when no loop knows them any more: after a sign-out was answered, its cookie is worth nothing.
  func forget(_ hashes: [TicketHash]) async {
    await onEach { data in for hash in hashes { data.sessionEnded(hash) } }
  }

  /// Every session is over; returns when no loop knows any.
  func forgetAll() async { await onEach { $0.everySessionEnded() } }

  private func onEach(_ work: @escaping @Sendable (DataLoop) -> Void) async {
    for home in loops.withLock({ $0 }) {
      await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
        home.loop.execute {
          work(home.value)
          done.resume()
        }
      }
    }
  }

  /// The sum of all loops' counters.
  func metrics(routeCount: Int) async -> LoopMetrics {
    var sum = LoopMetrics(routeCount: routeCount)
    for home in loops.withLock({ $0 }) {
      sum.add(
        await withCheckedContinuation { (done: CheckedContinuation<LoopMetrics, Never>) in
          home.loop.execute { done.resume(returning: home.value.metricsSnapshot()) }
        })
    }
    return sum
  }
}
