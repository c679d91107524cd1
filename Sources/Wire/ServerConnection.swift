internal import Basics
internal import HTTP
internal import Reactor

/// One client connection: reads requests, drives one exchange at a time, writes answers, keeps the deadlines.
///
/// Owner: the server of one loop, which holds it until it is closed and its exchange is over. All progress is made in
/// ``drive()``: everybody else, the kernel included, only changes state and calls it. It does not nest, so a handler
/// may act on an exchange inside a callback.
final class ServerConnection: Pollable, LoopTimerOwner {
  enum Link {
    /// The TLS handshake is not complete.
    case handshaking
    case open
    /// Our side is shut; what the client still sends is thrown away until it closes too.
    case lingering
    case closed
  }

  /// What is read next from the client.
  enum Input { case head, body, complete }

  let stream: Stream
  let loop: EventLoop
  let exchange: Exchange
  /// Nil when the connection is closed and its exchange is over.
  var server: HTTPServer?
  let readTimer: LoopTimer
  let writeTimer: LoopTimer

  var link: Link
  var input = Input.head
  /// Bytes behind a head whose body has not completely arrived with it.
  var rest = Buffer()
  var bodyReader = BodyReader()
  /// Answer bytes that wait for the kernel.
  var out = Buffer()
  /// The answer is the last one on this connection.
  var mustClose = false
  /// Decided when the answer's head was written.
  var keepsAlive = false
  var headHasBegun = false
  var continueIsDue = false
  var requestCount = 0
  var discarded = 0
  /// What `server` counts of this connection: see `ServerConnection+Memory.swift`.
  var heldBody = 0
  var heldAnswer = 0
  var isReadable = true
  var isWritable = true
  var clientHasEnded = false
  /// The read timer watches a body that does not come.
  var bodyIsWatched = false
  /// Idle, and its empty blocks given back.
  var isTrimmed = false
  /// The write timer watches output that is not taken.
  var writeIsWatched = false
  private var isDriving = false
  var mustDriveAgain = false
  /// Where the server keeps it.
  var slot = 0

  init(stream: Stream, server: HTTPServer, isTLS: Bool) {
    self.stream = stream
    self.server = server
    loop = server.loop
    exchange = Exchange(loop: server.loop, peer: stream.peer, isTLS: isTLS)
    link = isTLS ? .handshaking : .open
    readTimer = LoopTimer(loop: server.loop, tag: Self.readTag)
    writeTimer = LoopTimer(loop: server.loop, tag: Self.writeTag)
    exchange.connection = self
    readTimer.setOwner(self)
    writeTimer.setOwner(self)
    readTimer.arm(after: isTLS ? server.timeouts.handshake : server.timeouts.idle)
    isTrimmed = true
  }

  // MARK: Events

  func ready(_ events: PollEvents) {
    if events.contains(.readable) { isReadable = true }
    if events.contains(.writable) { isWritable = true }
    if events.contains(.peerClosed) {
      isReadable = true
      clientHasEnded = true
    }
    if events.contains(.error) || events.contains(.hangUp) {
      isReadable = true
      isWritable = true
      // A reset, or both directions shut: nobody is there to answer.
      if link == .open, isInExchange { return clientLeft() }
    }
    drive()
  }

  /// Makes all progress that can be made.
  func drive() {
    guard !isDriving else {
      mustDriveAgain = true
      return
    }
    isDriving = true
    var turns = 0
    repeat {
      mustDriveAgain = false
      if link == .handshaking { shakeHands() }
      if clientHasEnded, link == .open, isInExchange, endOfInputIsDisconnect { clientLeft() }
      if link == .open, takeInput() { mustDriveAgain = true }
      if exchange.pumpUpstream() { mustDriveAgain = true }
      if link == .open { flush() }
      if link == .lingering { linger() }
      turns += 1
      if turns == Self.turnsInARow, mustDriveAgain {
        // Others on the loop want their turn too.
        let me = LoopBound(self, on: loop)
        loop.execute { me.value.drive() }
        break
      }
    } while mustDriveAgain
    isDriving = false
  }

  var isInExchange: Bool {
    if case .idle = exchange.phase { false } else { true }
  }

  var endOfInputIsDisconnect: Bool {
    switch exchange.phase {
    case .relayingEvents, .localStream: true
    default: exchange.endOfInput == .isDisconnect || exchange.isLocalStream
    }
  }

  private func shakeHands() {
    switch stream.handshake() {
    case .done:
      link = .open
      exchange.serverName = stream.serverName
      if let server {
        readTimer.arm(after: server.isDraining ? server.timeouts.lastRequest : server.timeouts.idle)
      }
    case .wouldBlock: break
    case .failed: close()
    }
  }

  // MARK: Deadlines

  func timerFired(_ tag: UInt8) {
    if tag == Self.readTag { readDeadlinePassed() } else { writeDeadlinePassed() }
  }

  private func readDeadlinePassed() {
    switch (link, input) {
    case (.handshaking, _), (.lingering, _), (.closed, _): close()
    case (.open, .head):
      if headHasBegun {
        refuse(408, "request head not complete in time")
        drive()
      } else if !isTrimmed, let server {
        isTrimmed = true
        releaseStorage()
        readTimer.arm(after: server.timeouts.idle - min(server.timeouts.idle, Self.trimAfter))
      } else {
        close()
      }
    case (.open, .body) where !isInExchange: beginLinger()
    case (.open, .body):
      bodyIsWatched = false
      // Bytes are there, but the upstream does not take them: not the client's fault.
      guard !isReadable else { return }
      exchange.failRequest(UpstreamFailure(.requestTimeout, "no bytes of the request body in time"))
    case (.open, .complete): break
    }
  }

  /// Gives back all empty blocks.
  func releaseStorage() {
    exchange.releaseStorage()
    rest.releaseStorage()
    out.releaseStorage()
  }

  private func writeDeadlinePassed() {
    if case .discarding = exchange.phase {
      exchange.leaveUpstream()
      endDiscarding()
    } else if writeIsWatched {
      abort(.clientStalled)
    } else {
      exchange.sendKeepAlive()
    }
  }

  /// A connection that is idle for so long gives back its empty blocks.
  static let trimAfter = Duration.seconds(1)
  private static let turnsInARow = 16
  private static let readTag: UInt8 = 0
  private static let writeTag: UInt8 = 1
}
