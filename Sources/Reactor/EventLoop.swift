internal import Basics
internal import CLinux
internal import Dispatch
internal import Synchronization

/// One thread of the program: a serial Dispatch queue whose only block is an epoll loop.
///
/// It waits for sockets, fires timers, and runs what other threads send it. It is also an executor: `async` code that is isolated to
/// an actor with this loop as executor, or spawned here, runs on this thread and comes back to it after every `await`.
///
/// `@unchecked Sendable`: `mailbox` is guarded, `thread` is atomic; everything else is touched only on the loop's thread.
public final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  private enum Work {
    case job(UnownedJob)
    case call(@Sendable () -> Void)
  }

  private struct Mailbox {
    var work: [Work] = []
    /// The wake-up was written and not yet seen: one write a batch.
    var isNotified = false
  }

  private struct Slot {
    var target: (any Pollable)?
    var generation: UInt32 = 0
  }

  public let name: String
  /// The time at the start of this turn.
  public private(set) var now = MonotonicTime.read()
  /// The wall clock in whole seconds since 1970, for dates; a few nanoseconds to read.
  public var wallSecond: Int64 { Syscalls.wallSecond() }
  /// Turns and events so far, for metrics.
  public private(set) var turns: UInt64 = 0

  var timers = TimerQueue()
  private let queue: DispatchQueue
  private let mailbox = Locked(Mailbox())
  private let thread = Atomic<UInt>(0)
  private let poll: Int32
  private let wakeup: Int32
  private var slots: ContiguousArray<Slot> = []
  private var local: [Work] = []
  private var isStopping = false
  private let finished = DispatchSemaphore(value: 0)

  public init(name: String) {
    self.name = name
    queue = DispatchQueue(label: "coatcheck.loop.\(name)")
    Syscalls.ignoreBrokenPipes()
    poll = Syscalls.makePoll()
    wakeup = Syscalls.makeWakeup()
    precondition(poll >= 0 && wakeup >= 0, "no descriptors left for an event loop")
    coatcheck_epoll_add_level(poll, wakeup, EventLoop.wakeupData)
  }

  deinit {
    Syscalls.close(poll)
    Syscalls.close(wakeup)
  }

  /// Begins to run. Once.
  public func start() { queue.async { self.run() } }

  /// Ends the loop after the work that was sent before, and waits for it.
  public func stop() async {
    await withCheckedContinuation { continuation in
      execute { self.isStopping = true }
      DispatchQueue.global().async {
        self.finished.wait()
        self.finished.signal()
        continuation.resume()
      }
    }
  }

  /// Whether this is the loop's own thread.
  public var isCurrent: Bool { thread.load(ordering: .relaxed) == Syscalls.threadID() }

  public func preconditionCurrent(file: StaticString = #fileID, line: UInt = #line) {
    precondition(isCurrent, "used off its loop", file: file, line: line)
  }

  // MARK: Work from elsewhere

  /// Runs a closure on the loop, after everything sent before from the same thread.
  public func execute(_ work: @escaping @Sendable () -> Void) { send(.call(work)) }

  /// Runs async code on the loop.
  public func spawn(_ operation: @escaping @Sendable () async -> Void) {
    Task(executorPreference: self) { await operation() }
  }

  public func enqueue(_ job: consuming ExecutorJob) { send(.job(UnownedJob(job))) }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  public func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }

  public func checkIsolated() { preconditionCurrent() }

  public func isIsolatingCurrentContext() -> Bool? { isCurrent }

  /// Waits on the loop's timers.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(for duration: Duration) async throws {
    let sleeper = Sleeper(loop: self)
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        execute { sleeper.start(duration, continuation) }
      }
    } onCancel: {
      execute { sleeper.cancel() }
    }
  }

  private func send(_ work: Work) {
    if isCurrent {
      local.append(work)
      return
    }
    let mustWake = mailbox.withLock { mailbox in
      mailbox.work.append(work)
      defer { mailbox.isNotified = true }
      return !mailbox.isNotified
    }
    if mustWake { Syscalls.wake(wakeup) }
  }

  // MARK: Descriptors

  /// Watches a descriptor in both directions, by edges. The owner deregisters before it closes the descriptor.
  func register(_ descriptor: Int32, _ target: any Pollable) -> Bool {
    let index = Int(descriptor)
    while slots.count <= index { slots.append(Slot()) }
    slots[index].generation &+= 1
    slots[index].target = target
    return coatcheck_epoll_add(poll, descriptor, data(descriptor)) == 0
  }

  /// Watches a descriptor for input, by level: for listeners.
  func registerLevel(_ descriptor: Int32, _ target: any Pollable) -> Bool {
    let index = Int(descriptor)
    while slots.count <= index { slots.append(Slot()) }
    slots[index].generation &+= 1
    slots[index].target = target
    return coatcheck_epoll_add_level(poll, descriptor, data(descriptor)) == 0
  }

  /// Reports once more what the descriptor is ready for now.
  func rearm(_ descriptor: Int32) { coatcheck_epoll_modify(poll, descriptor, data(descriptor)) }

  func deregister(_ descriptor: Int32) {
    let index = Int(descriptor)
    guard slots.indices.contains(index), slots[index].target != nil else { return }
    slots[index].target = nil
    slots[index].generation &+= 1
    coatcheck_epoll_remove(poll, descriptor)
  }

  /// Descriptor and generation side by side: an event of a descriptor that was closed and opened anew meanwhile is dropped.
  private func data(_ descriptor: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: descriptor)) | UInt64(slots[Int(descriptor)].generation) << 32
  }

  private static let wakeupData = UInt64.max
  private static let eventCapacity = 256

  // MARK: The loop

  private func run() {
    thread.store(Syscalls.threadID(), ordering: .relaxed)
    var events = [coatcheck_event](repeating: coatcheck_event(), count: EventLoop.eventCapacity)
    while !isStopping {
      turns &+= 1
      now = MonotonicTime.read()
      let count = unsafe events.withUnsafeMutableBufferPointer { buffer in
        unsafe Int(coatcheck_epoll_wait(poll, buffer.baseAddress, Int32(buffer.count), timeout()))
      }
      now = MonotonicTime.read()
      if count > 0 { for index in 0..<count { dispatch(events[index]) } }
      while let timer = timers.popDue(now) { timer.handler() }
      runLocal()
    }
    runLocal()
    thread.store(0, ordering: .relaxed)
    finished.signal()
  }

  /// Milliseconds until the next timer, rounded up; -1 for none, 0 when work waits.
  private func timeout() -> Int32 {
    if !local.isEmpty { return 0 }
    guard let next = timers.next else { return -1 }
    guard next > now else { return 0 }
    return Int32(clamping: (next.nanoseconds - now.nanoseconds + 999_999) / 1_000_000)
  }

  private func dispatch(_ event: coatcheck_event) {
    if event.data == EventLoop.wakeupData { return drainMailbox() }
    let index = Int(event.data & 0xFFFF_FFFF)
    let generation = UInt32(truncatingIfNeeded: event.data >> 32)
    guard index < slots.count, slots[index].generation == generation, let target = slots[index].target else {
      return
    }
    var events = PollEvents()
    if event.events & UInt32(COATCHECK_IN) != 0 { events.insert(.readable) }
    if event.events & UInt32(COATCHECK_OUT) != 0 { events.insert(.writable) }
    if event.events & UInt32(COATCHECK_RDHUP) != 0 { events.insert(.peerClosed) }
    if event.events & UInt32(COATCHECK_HUP) != 0 { events.insert(.hangUp) }
    if event.events & UInt32(COATCHECK_ERR) != 0 { events.insert(.error) }
    target.ready(events)
  }

  private func drainMailbox() {
    Syscalls.clearWakeup(wakeup)
    let work = mailbox.withLock { mailbox in
      mailbox.isNotified = false
      defer { mailbox.work = [] }
      return mailbox.work
    }
    local.append(contentsOf: work)
  }

  /// One batch: what the batch itself sends waits for the next turn, so sockets are never starved.
  private func runLocal() {
    guard !local.isEmpty else { return }
    let batch = local
    local = []
    for work in batch {
      switch work {
      case .call(let call): call()
      case .job(let job):
        unsafe job.runSynchronously(
          isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
      }
    }
  }
}

/// One task that sleeps on a loop's timer. Owner: the loop.
private final class Sleeper: @unchecked Sendable {
  private let loop: EventLoop
  private var timer: LoopTimer?
  private var continuation: CheckedContinuation<Void, any Error>?
  private var isCancelled = false

  init(loop: EventLoop) { self.loop = loop }

  func start(_ duration: Duration, _ continuation: CheckedContinuation<Void, any Error>) {
    if isCancelled { return continuation.resume(throwing: CancellationError()) }
    self.continuation = continuation
    let timer = LoopTimer(loop: loop) { [self] in finish(.success(())) }
    self.timer = timer
    timer.arm(after: duration)
  }

  func cancel() {
    isCancelled = true
    finish(.failure(CancellationError()))
  }

  private func finish(_ result: Result<Void, any Error>) {
    timer?.disarm()
    timer = nil
    continuation?.resume(with: result)
    continuation = nil
  }
}
