/// A deadline on a loop. Re-arming it later than it stands in the queue only stores a number: each connection re-arms its timer with
/// every request, and almost none ever fires.
///
/// Owner: its loop. The handler runs on the loop, once for each arming; a timer that is released does not fire.
public final class LoopTimer {
  private let loop: EventLoop
  let handler: () -> Void
  /// When it shall fire; nil when disarmed.
  fileprivate(set) var deadline: MonotonicTime?
  /// When its entry in the queue comes up, never later than `deadline`; nil when there is none.
  fileprivate var queued: MonotonicTime?

  /// A timer that is not armed. `handler` must not own the timer.
  public init(loop: EventLoop, handler: @escaping () -> Void) {
    self.loop = loop
    self.handler = handler
  }

  deinit {
    // Released elsewhere, its entry simply drops when it comes up.
    if queued != nil, loop.isCurrent { loop.staleTimers += 1 }
  }

  /// Whether it will fire.
  public var isArmed: Bool { deadline != nil }

  /// Fires once, that long after the start of this turn of the loop; never within this turn's round of timers.
  public func arm(after delay: Duration) { arm(at: loop.now + delay) }

  /// Fires once, at the first turn that begins at or after `time`.
  public func arm(at time: MonotonicTime) {
    deadline = time
    if let queued {
      if queued <= time { return }
      loop.staleTimers += 1
    }
    queued = time
    loop.timers.insert(self, at: time)
  }

  /// Does not fire until it is armed again.
  public func disarm() { deadline = nil }

  /// Fires if it is still due: an earlier handler of the same round may have disarmed or re-armed it.
  func fire(_ now: MonotonicTime) {
    guard queued == nil, let deadline, deadline <= now else { return }
    self.deadline = nil
    handler()
  }
}

/// The loop's queue of timers: a binary heap by time. Entries hold their timer weakly.
///
/// An entry is stale when its timer is gone or was queued anew for an earlier time. Stale entries drop when they come up, or all at
/// once when they are the greater part of the queue (``EventLoop`` counts them).
struct TimerQueue {
  private struct Entry {
    var time: MonotonicTime
    weak var timer: LoopTimer?

    var isStale: Bool { timer?.queued != time }
  }

  private var heap: [Entry] = []

  var count: Int { heap.count }

  /// When the loop has to look again.
  var next: MonotonicTime? { heap.first?.time }

  mutating func insert(_ timer: LoopTimer, at time: MonotonicTime) {
    heap.append(Entry(time: time, timer: timer))
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
  mutating func takeDue(_ now: MonotonicTime, into due: inout [LoopTimer]) -> Int {
    var dropped = 0
    while let first = heap.first, first.time <= now {
      removeFirst()
      guard let timer = first.timer, timer.queued == first.time else {
        dropped += 1
        continue
      }
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
