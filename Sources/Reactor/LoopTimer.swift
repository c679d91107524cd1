/// A deadline on a loop. Re-arming it later than it stands in the queue only stores a number: each connection re-arms its timer with
/// every request, and almost none ever fires.
///
/// Owner: its loop. The handler runs on the loop; a timer that is released does not fire.
public final class LoopTimer {
  private unowned let loop: EventLoop
  let handler: () -> Void
  /// When it shall fire; nil when disarmed.
  var deadline: MonotonicTime?
  /// When its entry in the queue comes up; nil when there is none.
  var queued: MonotonicTime?

  public init(loop: EventLoop, handler: @escaping () -> Void) {
    self.loop = loop
    self.handler = handler
  }

  /// Whether it will fire.
  public var isArmed: Bool { deadline != nil }

  /// Fires once, that long after the start of this turn of the loop.
  public func arm(after delay: Duration) { arm(at: loop.now + delay) }

  public func arm(at time: MonotonicTime) {
    deadline = time
    if let queued, queued <= time { return }
    queued = time
    loop.timers.insert(self, at: time)
  }

  public func disarm() { deadline = nil }
}

/// The loop's queue of timers: a binary heap by time. Entries hold their timer weakly; stale ones drop when they come up.
struct TimerQueue {
  private struct Entry {
    var time: MonotonicTime
    weak var timer: LoopTimer?
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

  /// The next timer that is due. Entries whose timer was re-armed for later are put back by the way.
  mutating func popDue(_ now: MonotonicTime) -> LoopTimer? {
    while let first = heap.first, first.time <= now {
      removeFirst()
      guard let timer = first.timer, timer.queued == first.time else { continue }
      timer.queued = nil
      guard let deadline = timer.deadline else { continue }
      if deadline <= now {
        timer.deadline = nil
        return timer
      }
      timer.queued = deadline
      insert(timer, at: deadline)
    }
    return nil
  }

  private mutating func removeFirst() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    heap[0] = last
    var parent = 0
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
