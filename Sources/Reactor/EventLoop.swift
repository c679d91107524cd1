internal import Basics
internal import CLinux
internal import Dispatch
internal import Synchronization

/// One thread of the program: a serial Dispatch queue whose only block is an epoll loop.
///
/// It waits for sockets, fires timers, and runs what other threads send it. It is also an executor: `async` code that is isolated to
/// an actor with this loop as executor, or spawned here, runs on this thread and comes back to it after every `await`.
///
/// `@unchecked Sendable`: `mailbox` and `end` are guarded, `thread` is atomic, `stop()` touches only those; everything else is touched only on
/// the loop's thread.
public final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  /// What another thread, or the loop itself, wants to be run.
  enum Work {
    case job(UnownedJob)
    case call(@Sendable () -> Void)
  }

  private struct Mailbox {
    var work: [Work] = []
    /// The wake-up was written and not yet seen: one write a batch.
    var isNotified = false
  }

  private struct End {
    var hasCome = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private struct Slot {
    var target: (any Pollable)?
    var generation: UInt32 = 0
  }

  /// For thread names and logs.
  public let name: String
  /// The time at the start of this turn. Only on the loop.
  public var now: MonotonicTime { turnStart }
  /// Turns so far, for metrics. Only on the loop.
  public private(set) var turns: UInt64 = 0
  /// Events of descriptors so far, for metrics. Only on the loop.
  public private(set) var events: UInt64 = 0
  /// Batches taken from the mailbox so far, for metrics. Only on the loop.
  public private(set) var wakeups: UInt64 = 0

  /// Stored apart from what is public: what other modules can reach directly is checked for exclusive access each time.
  private var turnStart = MonotonicTime.read()
  var timers = TimerQueue()
  /// Places in `timers` known to be stale. Apart from it, because a timer may be released while `timers` changes.
  var staleTimers = 0
  private var due: [TimerEntry] = []
  private let queue: DispatchQueue
  private let mailbox = Locked(Mailbox())
  private let thread = Atomic<UInt>(0)
  private let poll: Int32
  private let wakeup: Int32
  private var slots: ContiguousArray<Slot> = []
  private var local: [Work] = []
  private var isStopping = false
  private let end = Locked(End())

  /// A loop that does not run yet. Traps when the process has no descriptors left for it.
  public init(name: String) {
    self.name = name
    queue = DispatchQueue(label: "coatcheck.loop.\(name)")
    Syscalls.ignoreWriteSignals()
    poll = Syscalls.makePoll()
    wakeup = Syscalls.makeWakeup()
    precondition(poll >= 0 && wakeup >= 0, "no descriptors left for an event loop")
    let isWatched = Syscalls.watch(poll, wakeup, .input, data: EventLoop.wakeupData)
    precondition(isWatched, "an event loop cannot watch its own mailbox")
  }

  deinit {
    Syscalls.close(poll)
    Syscalls.close(wakeup)
  }

  /// Begins to run. Once.
  public func start() { queue.async { self.run() } }

  /// Ends the loop after the work that was sent before, and waits for its end. Not from the loop itself, which could not wait for its
  /// own end. What is sent later is never run: whoever stops a loop first ends what uses it.
  public func stop() async {
    execute { self.isStopping = true }
    await withCheckedContinuation { continuation in
      let hasCome = end.withLock { end in
        if !end.hasCome { end.waiters.append(continuation) }
        return end.hasCome
      }
      if hasCome { continuation.resume() }
    }
  }

  /// Whether this is the loop's own thread.
  public var isCurrent: Bool { thread.load(ordering: .relaxed) == Syscalls.threadID() }

  /// Traps on any other thread.
  public func preconditionCurrent(file: StaticString = #fileID, line: UInt = #line) {
    precondition(isCurrent, "used off its loop", file: file, line: line)
  }

  /// The wall clock in whole seconds since 1970, for dates; a few nanoseconds to read.
  public var wallSecond: Int64 { Syscalls.wallSecond() }

  /// Runs a closure on the loop, after everything sent before from the same thread. On the loop itself: in the next turn.
  public func execute(_ work: @escaping @Sendable () -> Void) { send(.call(work)) }

  func send(_ work: Work) {
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

  /// Watches a descriptor. The loop keeps `target` until `deregister`, which comes before the descriptor is closed.
  ///
  /// - Returns: false when the kernel refuses; then nothing is watched.
  func register(_ descriptor: Int32, _ target: any Pollable, _ mode: Syscalls.WatchMode = .edges) -> Bool {
    let index = Int(descriptor)
    while slots.count <= index { slots.append(Slot()) }
    slots[index].generation &+= 1
    guard Syscalls.watch(poll, descriptor, mode, data: data(descriptor)) else { return false }
    slots[index].target = target
    return true
  }

  /// Reports once more, as an edge, what the descriptor is ready for now.
  func rearm(_ descriptor: Int32) { Syscalls.watchAgain(poll, descriptor, data: data(descriptor)) }

  func deregister(_ descriptor: Int32) {
    let index = Int(descriptor)
    guard slots.indices.contains(index), slots[index].target != nil else { return }
    slots[index].target = nil
    slots[index].generation &+= 1
    Syscalls.unwatch(poll, descriptor)
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
    var found = [coatcheck_event](repeating: coatcheck_event(), count: EventLoop.eventCapacity)
    while !isStopping {
      turns &+= 1
      turnStart = MonotonicTime.read()
      let count = Syscalls.wait(poll, into: &found, milliseconds: timeout())
      turnStart = MonotonicTime.read()
      for index in 0..<count { dispatch(found[index]) }
      fireTimers()
      runLocal()
    }
    runLast()
    thread.store(0, ordering: .relaxed)
    let waiters = end.withLock { end in
      end.hasCome = true
      return end.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Milliseconds until the next timer, rounded up; -1 for none, 0 when work waits.
  private func timeout() -> Int32 {
    if !local.isEmpty { return 0 }
    guard let next = timers.next else { return -1 }
    guard next > now else { return 0 }
    let rest = next.nanoseconds - now.nanoseconds
    return Int32(clamping: rest / 1_000_000 + (rest % 1_000_000 == 0 ? 0 : 1))
  }

  private func dispatch(_ event: coatcheck_event) {
    if event.data == EventLoop.wakeupData { return drainMailbox() }
    let index = Int(event.data & 0xFFFF_FFFF)
    let generation = UInt32(truncatingIfNeeded: event.data >> 32)
    guard index < slots.count, slots[index].generation == generation, let target = slots[index].target else {
      return
    }
    events &+= 1
    target.ready(PollEvents(kernel: event.events))
  }

  private func drainMailbox() {
    wakeups &+= 1
    Syscalls.clearWakeup(wakeup)
    let work = mailbox.withLock { mailbox in
      mailbox.isNotified = false
      defer { mailbox.work = [] }
      return mailbox.work
    }
    local.append(contentsOf: work)
  }

  /// One round: what a handler arms anew waits for the next turn, so that sockets are never starved.
  private func fireTimers() {
    if staleTimers > 64, staleTimers > timers.count / 2 {
      timers.compact()
      staleTimers = 0
    }
    guard let next = timers.next, next <= now else { return }
    staleTimers = max(0, staleTimers - timers.takeDue(now, into: &due))
    for timer in due { timer.fire(now) }
    due.removeAll(keepingCapacity: true)
  }

  /// One round: what the work itself sends waits for the next turn.
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

  /// Tasks that are about to end get there: a bounded number of rounds, since some may never.
  private func runLast() {
    for _ in 0..<1_000 {
      drainMailbox()
      if local.isEmpty { return }
      runLocal()
    }
  }
}
