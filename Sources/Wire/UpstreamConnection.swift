internal import Basics
internal import Reactor

/// One connection to an upstream: its stream, what waits to be written, and the one timer that watches the answer. What
/// is read and written is the exchange's business.
///
/// Owner: the pool of one loop, which outlives it: while it is busy its exchange holds the pool. Readiness is edge-triggered, so the flags hold what the kernel said until a read or
/// a write says otherwise.
final class UpstreamConnection: Pollable, LoopTimerOwner {
  enum State { case idle, busy, closed }

  let stream: Stream
  /// Nil once it is closed.
  private var pool: UpstreamPool?
  private let timer: LoopTimer

  var state = State.busy
  var exchange: Exchange?
  /// Request bytes that wait for the kernel.
  var out = Buffer()
  var isReadable = false
  var isWritable = true
  /// Everything of the request was handed to the kernel.
  var requestIsWritten = false
  /// A write failed; the answer may be readable all the same.
  var writeIsBroken = false
  /// The kernel has announced the end of the stream; bytes may wait before it.
  private(set) var peerHasEnded = false
  /// The end of the stream has been read.
  var isEnded = false
  /// The timer watches a request that is not taken.
  private var writeIsWatched = false
  /// The timer watches a body that does not come.
  var bodyIsWatched = false
  /// Answers completed on this connection.
  var answered = 0
  /// Since when it has been idle.
  var idleSince: MonotonicTime

  init(stream: Stream, pool: UpstreamPool) {
    self.stream = stream
    self.pool = pool
    idleSince = pool.loop.now
    timer = LoopTimer(loop: pool.loop)
    timer.setOwner(self)
  }

  /// A new exchange begins on it.
  func begin(_ exchange: Exchange) {
    self.exchange = exchange
    state = .busy
    requestIsWritten = false
  }

  func ready(_ events: PollEvents) {
    if events.contains(.readable) { isReadable = true }
    if events.contains(.peerClosed) || events.contains(.hangUp) || events.contains(.error) {
      isReadable = true
      peerHasEnded = true
    }
    if events.contains(.writable) { isWritable = true }
    switch state {
    case .busy: exchange?.connection?.drive()
    // The end of the stream, or bytes nobody asked for: of no use either way.
    case .idle: if isReadable { pool?.idleConnectionStirred(self) }
    case .closed: break
    }
  }

  /// Reads what is there, up to one piece.
  func read(into buffer: inout Buffer) -> IOOutcome {
    guard isReadable, let pool else { return .wouldBlock }
    let outcome = stream.read(into: &pool.readScratch, max: Self.readBytes)
    switch outcome {
    case .bytes(let count):
      buffer.absorb(&pool.readScratch)
      // A short read has emptied the socket: the next byte makes a new edge. Not so with TLS, whose reads end with a
      // record, nor once the end of the stream has been announced, which makes none.
      if count < Self.readBytes, pool.settings.tls == nil, !peerHasEnded { isReadable = false }
    case .wouldBlock: isReadable = false
    case .endOfStream, .failed: break
    }
    return outcome
  }

  /// Writes what waits.
  func write() -> IOOutcome { note(stream.write(from: &out)) }

  /// Writes bytes that stand elsewhere and stay there. Nothing waits in `out`.
  func write(_ buffer: borrowing Buffer, _ range: Range<Int>) -> IOOutcome {
    note(stream.write(buffer, range))
  }

  private func note(_ outcome: IOOutcome) -> IOOutcome {
    switch outcome {
    case .wouldBlock: isWritable = false
    case .bytes:
      if writeIsWatched {
        writeIsWatched = false
        timer.disarm()
      }
    case .endOfStream, .failed: break
    }
    return outcome
  }

  func close() {
    state = .closed
    timer.disarm()
    exchange = nil
    pool = nil
    stream.close()
  }

  // MARK: Deadlines

  func timerFired(_ tag: UInt8) { exchange?.upstreamTimedOut(self) }

  /// The upstream has to take the next bytes of the request. Called when it does not; counts from the last ones.
  func watchWrite() {
    guard !writeIsWatched, let pool else { return }
    writeIsWatched = true
    timer.arm(after: pool.settings.bodyStallTimeout)
  }

  /// The request is written: the answer's head has to come.
  func armForAnswer() {
    if case .awaitingHead = exchange?.phase, let pool {
      timer.arm(after: pool.settings.responseHeadersTimeout)
    }
  }

  /// The next bytes of the answer's body have to come. Called when none are there; counts from the last ones.
  func watchBody() {
    guard !bodyIsWatched, let pool else { return }
    bodyIsWatched = true
    if exchange?.events?.isMessage ?? true {
      timer.arm(after: pool.settings.bodyStallTimeout)
    } else if let timeout = pool.settings.eventStallTimeout {
      timer.arm(after: timeout)
    }
  }

  func disarm() {
    bodyIsWatched = false
    writeIsWatched = false
    timer.disarm()
  }

  private static let readBytes = 64 * 1024
}
