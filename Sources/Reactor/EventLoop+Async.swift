internal import Basics

// The loop as an executor: the cold path is `async` code that runs here and nowhere else.
extension EventLoop {
  /// Runs async code on the loop: it starts there and comes back there after every `await`.
  public func spawn(_ operation: @escaping @Sendable () async -> Void) {
    Task(executorPreference: self) { await operation() }
  }

  /// For the Swift runtime.
  public func enqueue(_ job: consuming ExecutorJob) { send(.job(UnownedJob(job))) }

  /// What an actor returns as its `unownedExecutor` to live on this loop.
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  /// For the Swift runtime.
  public func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }

  /// For `assumeIsolated`: traps off the loop.
  public func checkIsolated() { preconditionCurrent() }

  /// For `assumeIsolated`.
  public func isIsolatingCurrentContext() -> Bool? { isCurrent }

  /// Waits on the loop's timers.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(for duration: Duration) async throws(CancellationError) {
    let sleeper = LoopBound(Sleeper(loop: self), on: self)
    let isOver = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        execute { sleeper.value.start(duration, continuation) }
      }
    } onCancel: {
      execute { sleeper.value.cancel() }
    }
    if !isOver { throw CancellationError() }
  }
}

/// One task that sleeps on a loop's timer. Owner: the loop.
private final class Sleeper {
  private let loop: EventLoop
  private var timer: LoopTimer?
  private var continuation: CheckedContinuation<Bool, Never>?
  private var isCancelled = false

  init(loop: EventLoop) { self.loop = loop }

  func start(_ duration: Duration, _ continuation: CheckedContinuation<Bool, Never>) {
    if isCancelled { return continuation.resume(returning: false) }
    self.continuation = continuation
    timer = LoopTimer(loop: loop) { [self] in finish(true) }
    timer?.arm(after: duration)
  }

  func cancel() {
    isCancelled = true
    finish(false)
  }

  private func finish(_ isOver: Bool) {
    timer?.disarm()
    timer = nil
    continuation?.resume(returning: isOver)
    continuation = nil
  }
}
