internal import Glibc
internal import Reactor

/// SIGTERM and SIGINT: the first asks for an orderly end, the second for an immediate one. SIGUSR1 and SIGUSR2 have no meaning here
/// and no effect.
final class StopSignals: Sendable {
  private struct State {
    var count = 0
    var waiting: CheckedContinuation<Void, Never>?
    var exitsOnNext = false
  }

  private let state = Locked(State())
  private let sources = Locked<[SignalSource]>([])

  init() {
    for signal in [SignalSource.Signal.user1, .user2] { SignalSource.ignore(signal) }
    for signal in [SignalSource.Signal.terminate, .interrupt] {
      let source = SignalSource(signal) { [weak self] in self?.arrived() }
      sources.withLock { $0.append(source) }
    }
  }

  /// Returns at the first signal, at once if it came already.
  func first() async {
    await withCheckedContinuation { continuation in
      let isHere = state.withLock { state in
        if state.count > 0 { return true }
        state.waiting = continuation
        return false
      }
      if isHere { continuation.resume() }
    }
  }

  func exitOnNext() {
    let isLate = state.withLock { state in
      state.exitsOnNext = true
      return state.count > 1
    }
    if isLate { exit(1) }
  }

  private func arrived() {
    let (waiting, mustExit) = state.withLock { state in
      state.count += 1
      defer { state.waiting = nil }
      return (state.waiting, state.exitsOnNext)
    }
    if mustExit { exit(1) }
    waiting?.resume()
  }
}
