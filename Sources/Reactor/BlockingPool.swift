internal import Dispatch

/// Work that blocks (name resolution, files, databases) on a bounded number of Dispatch threads.
///
/// Owner: shared. Bounds: `width` at a time, `capacity` waiting; beyond it the caller is told at once.
public final class BlockingPool: Sendable {
  /// Too much waits already.
  public struct Full: Error, Sendable {}

  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var idle: [DispatchQueue]
  }

  private let state: Locked<State>
  private let capacity: Int

  /// - Parameters:
  ///   - width: how much work may block at a time.
  ///   - capacity: how much work may wait for that.
  public init(width: Int = 4, capacity: Int = 1024) {
    // Serial queues, because Dispatch gives each a thread at once; a concurrent queue gets as many as there are cores, and more only
    // after a second of standstill.
    let queues = (0..<width).map { DispatchQueue(label: "coatcheck.blocking.\($0)") }
    state = Locked(State(idle: queues))
    self.capacity = capacity
  }

  /// Runs `work` on one of the threads. Callback style, for code that has no task.
  public func submit(_ work: @escaping @Sendable () -> Void) throws(Full) {
    enum Decision { case start(DispatchQueue), queued, full }
    let decision: Decision = state.withLock { state in
      if let queue = state.idle.popLast() { return .start(queue) }
      guard state.waiting.count < capacity else { return .full }
      state.waiting.append(work)
      return .queued
    }
    switch decision {
    case .start(let queue): queue.async { self.drain(work, queue) }
    case .queued: break
    case .full: throw Full()
    }
  }

  /// Runs `work` and comes back to the caller's executor with its result.
  public func run<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      do {
        try submit { continuation.resume(with: Result { try work() }) }
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }

  private func drain(_ first: @escaping @Sendable () -> Void, _ queue: DispatchQueue) {
    var next: (@Sendable () -> Void)? = first
    while let work = next {
      work()
      next = state.withLock { state in
        guard !state.waiting.isEmpty else {
          state.idle.append(queue)
          return nil
        }
        return state.waiting.removeFirst()
      }
    }
  }
}
