internal import Basics
internal import Synchronization

/// What other processes did, on its way from the store's thread to the authority.
///
/// Bound: ``limit`` notices. What comes beyond counts as lost, and so does what waits.
final class NoticeQueue: Sendable {
  private struct State {
    var waiting: [StoreNotice] = []
    var isDraining = false
  }

  private static let limit = 8192

  private let state = Mutex(State())

  /// True when the caller has to see to it that the queue is drained.
  func push(_ notice: StoreNotice) -> Bool {
    state.withLock { state in
      if state.waiting.count >= Self.limit { state.waiting = [.interrupted, .resumed] }
      state.waiting.append(notice)
      defer { state.isDraining = true }
      return !state.isDraining
    }
  }

  /// All that wait; nil when there are none, and then the draining is over.
  func takeAll() -> [StoreNotice]? {
    state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.isDraining = false
        return nil
      }
      defer { state.waiting = [] }
      return state.waiting
    }
  }
}
