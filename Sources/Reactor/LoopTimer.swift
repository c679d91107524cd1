internal import Synchronization

/// A deadline on a loop. Re-arming it later than it stands in the queue only stores a number: each connection re-arms its timer with
/// every request, and almost none ever fires.
///
/// Owner: its loop. It fires on the loop, once for each arming; a timer that is released does not fire. There is one of them for
/// every wait of every connection, so it is small: it has no closure where its owner is told by name, and the queue needs no weak
/// reference, because nobody but its one owner can hold it.
public struct LoopTimer: ~Copyable {
  private let loop: EventLoop
  private let entry: TimerEntry

  /// A timer that is not armed. `handler` must not own the timer.
  public init(loop: EventLoop, handler: @escaping () -> Void) {
    self.loop = loop
    entry = CallingTimerEntry(handler)
  }

  /// A timer that is not armed, and tells nobody until it has an owner: see ``setOwner(_:)``.
  ///
  /// - Parameter tag: tells one of the owner's timers from another.
  public init(loop: EventLoop, tag: UInt8 = 0) {
    self.loop = loop
    entry = TimerEntry(tag: tag)
  }

  deinit {
    entry.deadline = nil
    // Released elsewhere, its entry simply drops when it comes up.
    if loop.isCurrent { loop.forget(entry) }
  }

  /// Who is told when it fires. Not owned: the owner holds the timer, for as long as it lives itself.
  public func setOwner(_ owner: any LoopTimerOwner) { entry.owner = owner }

  /// Whether it will fire.
  public var isArmed: Bool { entry.deadline != nil }

  /// Fires once, that long after the start of this turn of the loop; never within this turn's round of timers.
  public func arm(after delay: Duration) { arm(at: loop.now + delay) }

  /// Fires once, at the first turn that begins at or after `time`.
  public func arm(at time: MonotonicTime) {
    entry.deadline = time
    if let queued = entry.queued {
      if queued <= time { return }
      loop.staleTimers += 1
    }
    entry.queued = time
    loop.timers.insert(entry, at: time)
  }

  /// Does not fire until it is armed again.
  public func disarm() { entry.deadline = nil }
}

/// Whoever holds timers and is told by a method when they fire.
public protocol LoopTimerOwner: AnyObject {
  /// The timer with this tag has fired.
  func timerFired(_ tag: UInt8)
}

/// What the queue knows of a timer. It may be there longer than the timer itself.
class TimerEntry {
  fileprivate unowned var owner: (any LoopTimerOwner)?
  /// When its place in the queue comes up, never later than `deadline`; nil when it has none.
  @OptionalTime fileprivate(set) var queued: MonotonicTime? = nil
  /// When it shall fire. Atomic because a timer may be released on any thread.
  private let deadlineTime = Atomic(MonotonicTime.never.nanoseconds)
  private let tag: UInt8

  init(tag: UInt8) { self.tag = tag }

  fileprivate(set) var deadline: MonotonicTime? {
    get {
      let time = MonotonicTime(nanoseconds: deadlineTime.load(ordering: .relaxed))
      return time == .never ? nil : time
    }
    set { deadlineTime.store((newValue ?? .never).nanoseconds, ordering: .relaxed) }
  }

  /// Fires if it is still due: an earlier handler of the same round may have disarmed or re-armed it.
  final func fire(_ now: MonotonicTime) {
    guard queued == nil, let deadline, deadline <= now else { return }
    self.deadline = nil
    tell()
  }

  fileprivate func tell() { owner?.timerFired(tag) }

  /// The timer is gone: nothing that it refers to need be kept for it. A reference that is not counted keeps the memory, too.
  fileprivate func release() { owner = nil }
}

/// The entry of a timer that calls a closure.
private final class CallingTimerEntry: TimerEntry {
  private var handler: (() -> Void)?

  init(_ handler: @escaping () -> Void) {
    self.handler = handler
    super.init(tag: 0)
  }

  override func tell() { handler?() }
  override func release() { handler = nil }
}

extension MonotonicTime {
  /// Later than any deadline.
  fileprivate static let never = MonotonicTime(nanoseconds: .max)
}

extension EventLoop {
  /// The place of a timer that was released is worth nothing.
  fileprivate func forget(_ entry: TimerEntry) {
    entry.release()
    guard entry.queued != nil else { return }
    entry.queued = nil
    staleTimers += 1
  }
}

/// The loop's queue of timers: a binary heap by time.
///
/// A place is stale when its timer is gone or was queued anew for an earlier time. Stale ones drop when they come up, or all at
/// once when they are the greater part of the queue (``EventLoop`` counts them).
struct TimerQueue {
  private struct Place {
    var time: MonotonicTime
    var timer: TimerEntry

    var isStale: Bool { timer.queued != time }
  }

  private var heap: [Place] = []

  var count: Int { heap.count }

  /// When the loop has to look again.
  var next: MonotonicTime? { heap.first?.time }

  mutating func insert(_ timer: TimerEntry, at time: MonotonicTime) {
    heap.append(Place(time: time, timer: timer))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].time < heap[parent].time else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes out the timers that are due, in order of time. Those re-armed for later are put back by the way.
  ///
  /// - Returns: how many stale entries dropped.
  mutating func takeDue(_ now: MonotonicTime, into due: inout [TimerEntry]) -> Int {
    var dropped = 0
    while let first = heap.first, first.time <= now {
      removeFirst()
      guard !first.isStale else {
        dropped += 1
        continue
      }
      let timer = first.timer
      timer.queued = nil
      guard let deadline = timer.deadline else { continue }
      if deadline <= now {
        due.append(timer)
      } else {
        timer.queued = deadline
        insert(timer, at: deadline)
      }
    }
    return dropped
  }

  /// Drops every stale entry.
  mutating func compact() {
    heap.removeAll { $0.isStale }
    var parent = heap.count / 2
    while parent > 0 {
      parent -= 1
      sink(parent)
    }
  }

  private mutating func removeFirst() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    heap[0] = last
    sink(0)
  }

  private mutating func sink(_ start: Int) {
    var parent = start
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].time < heap[least].time {
        least = child
      }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
