internal import Dispatch

/// Work that blocks (name resolution, files, databases) on a bounded number of Dispatch threads.
///
/// Owner: shared. Bounds: `width` at a time, `capacity` waiting; beyond it the caller is told at once.
public final class BlockingPool: Sendable {
  /// Too much waits already.
  public struct Full: Error, Sendable {}

  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var running = 0
  }

  private let queue = DispatchQueue(label: "coatcheck.blocking", attributes: .concurrent)
  private let state = Locked(State())
  private let width: Int
  private let capacity: Int

  public init(width: Int = 4, capacity: Int = 1024) {
    self.width = width
    self.capacity = capacity
  }

  /// Runs `work` on one of the threads. Callback style, for code that has no task.
  public func submit(_ work: @escaping @Sendable () -> Void) throws(Full) {
    enum Decision { case start, queued, full }
    let decision: Decision = state.withLock { state in
      if state.running < width {
        state.running += 1
        return .start
      }
      guard state.waiting.count < capacity else { return .full }
      state.waiting.append(work)
      return .queued
    }
    switch decision {
    case .start: queue.async { self.drain(work) }
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

  private func drain(_ first: @escaping @Sendable () -> Void) {
    var next: (@Sendable () -> Void)? = first
    while let work = next {
      work()
      next = state.withLock { state in
        guard !state.waiting.isEmpty else {
          state.running -= 1
          return nil
        }
        return state.waiting.removeFirst()
      }
    }
  }
}
