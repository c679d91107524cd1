internal import Basics
internal import Reactor

/// A connection that is ready for commands: batches go out one after another, answers come back in the same order.
///
/// Owner: the node. The one that waits longest has a deadline; when it passes, the connection is closed, since later answers would be
/// taken for those of other commands.
final class RedisPipeline: LoopTimerOwner {
  private struct Waiting {
    var batch: RedisBatch
    /// Where its bytes begin in all that was sent.
    var start: UInt64
    var deadline: MonotonicTime
    var answers: [RedisValue] = []
  }

  /// Batches that the loss of the connection left without all their answers.
  struct Loss {
    var error: RedisError
    /// The server was silent for too long.
    var isTimeout: Bool
    var unsent: [RedisBatch]
    var unknown: [RedisBatch]
  }

  private let loop: EventLoop
  private let link: RedisLink
  private let timeout: Duration
  private let timer: LoopTimer
  private let answered: (RedisBatch, [RedisValue]) -> Void
  private let lost: (RedisPipeline, Loss) -> Void
  /// Those from `first` on wait.
  private var queue: [Waiting] = []
  private var first = 0
  /// Answers that are awaited.
  private(set) var load = 0
  private var hasTimedOut = false

  init(
    _ link: RedisLink, _ loop: EventLoop, timeout: Duration,
    answered: @escaping (RedisBatch, [RedisValue]) -> Void,
    lost: @escaping (RedisPipeline, Loss) -> Void
  ) {
    self.link = link
    self.loop = loop
    self.timeout = timeout
    self.answered = answered
    self.lost = lost
    timer = LoopTimer(loop: loop)
    timer.setOwner(self)
    link.received = { [weak self] in self?.received($0) }
    link.ended = { [weak self] in self?.ended($0) }
  }

  func submit(_ batch: RedisBatch) {
    let deadline = loop.now + timeout
    queue.append(Waiting(batch: batch, start: link.queuedBytes, deadline: deadline))
    load += batch.count
    link.send(batch.bytes)
    if !timer.isArmed { timer.arm(at: deadline) }
  }

  /// What still waits is lost.
  func close(_ error: RedisError) { link.end(error) }

  private func received(_ value: RedisValue) {
    guard first < queue.count else {
      return link.end(.protocolViolation("\(link.endpoint) answers what was not asked"))
    }
    load -= 1
    queue[first].answers.append(value)
    guard queue[first].answers.count == queue[first].batch.count else { return }
    let done = queue[first]
    first += 1
    if first == queue.count || first >= 1024 {
      queue.removeFirst(first)
      first = 0
    }
    if first < queue.count { timer.arm(at: queue[first].deadline) } else { timer.disarm() }
    answered(done.batch, done.answers)
  }

  func timerFired(_ tag: UInt8) {
    hasTimedOut = true
    link.end(.unavailable("\(link.endpoint) did not answer in time"))
  }

  private func ended(_ error: RedisError) {
    timer.disarm()
    var loss = Loss(error: error, isTimeout: hasTimedOut, unsent: [], unknown: [])
    for waiting in queue[first...] {
      if waiting.start >= link.writtenBytes {
        loss.unsent.append(waiting.batch)
      } else {
        loss.unknown.append(waiting.batch)
      }
    }
    queue = []
    first = 0
    load = 0
    lost(self, loss)
  }
}
