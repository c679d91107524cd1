internal import Basics
internal import HTTP
internal import Reactor

/// One client connection: reads requests, drives one exchange at a time, writes answers, keeps the deadlines.
///
/// Owner: the server of one loop, which holds it until it is closed and its exchange is over. All progress is made in
/// ``drive()``: everybody else, the kernel included, only changes state and calls it. It does not nest, so a handler
/// may act on an exchange inside a callback.
final class ServerConnection: Pollable {
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
  private(set) var server: HTTPServer?
  private var readTimer: LoopTimer?
  private var writeTimer: LoopTimer?

  private(set) var link: Link
  private(set) var input = Input.head
  /// Bytes behind a head whose body has not completely arrived with it.
  private var rest = Buffer()
  private(set) var bodyReader = BodyReader()
  /// Answer bytes that wait for the kernel.
  var out = Buffer()
  /// The answer is the last one on this connection.
  var mustClose = false
  /// Decided when the answer's head was written.
  private var keepsAlive = false
  private var headHasBegun = false
  private var continueIsDue = false
  private var requestCount = 0
  private var discarded = 0
  private var isReadable = true
  private var isWritable = true
  private var clientHasEnded = false
  /// The read timer watches a body that does not come.
  private var bodyIsWatched = false
  /// The write timer watches output that is not taken.
  private var writeIsWatched = false
  private var isDriving = false
  private var mustDriveAgain = false
  /// Where the server keeps it.
  var slot = 0

  init(stream: Stream, server: HTTPServer, isTLS: Bool) {
    self.stream = stream
    self.server = server
    loop = server.loop
    exchange = Exchange(loop: server.loop, peer: stream.peer, isTLS: isTLS)
    link = isTLS ? .handshaking : .open
    exchange.connection = self
    readTimer = LoopTimer(loop: loop) { [unowned self] in readDeadlinePassed() }
    writeTimer = LoopTimer(loop: loop) { [unowned self] in writeDeadlinePassed() }
    readTimer?.arm(after: isTLS ? server.timeouts.handshake : server.timeouts.idle)
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

  private var endOfInputIsDisconnect: Bool {
    switch exchange.phase {
    case .relayingEvents, .localStream: true
    default: exchange.endOfInput == .isDisconnect
    }
  }

  private func shakeHands() {
    switch stream.handshake() {
    case .done:
      link = .open
      exchange.serverName = stream.serverName
      if let server { readTimer?.arm(after: server.timeouts.idle) }
    case .wouldBlock: break
    case .failed: close()
    }
  }

  // MARK: Reading requests

  /// Reads what is wanted now. Whether anything changed.
  private func takeInput() -> Bool {
    switch (input, exchange.phase) {
    case (.head, .idle): return takeHead()
    case (.body, .collectingBody(let limit)): return takeCollected(limit)
    case (.complete, .collectingBody(let limit)):
      exchange.phase = .deciding
      server?.handler.bodyCollected(exchange, complete: exchange.bodyCount <= limit)
      return true
    case (.body, .idle): return takeDiscarded()
    default: return false
    }
  }

  private func takeHead() -> Bool {
    guard let server else { return false }
    while true {
      if !exchange.requestBytes.isEmpty {
        do throws(HTTPError) {
          if try exchange.request.parse(exchange.requestBytes, limits: server.limits.head) {
            begin(server)
            return true
          }
        } catch {
          refuse(error.status, error.reason)
          return true
        }
      }
      guard isReadable else { return false }
      switch receive(into: &exchange.requestBytes) {
      case .bytes:
        if !headHasBegun {
          headHasBegun = true
          readTimer?.arm(after: server.timeouts.head)
        }
      case .wouldBlock: return false
      // An incomplete head has nobody to answer.
      case .endOfStream, .failed:
        close()
        return true
      }
    }
  }

  private func begin(_ server: HTTPServer) {
    let x = exchange
    let headCount = x.request.byteCount
    requestCount += 1
    readTimer?.disarm()
    x.sequence &+= 1
    x.startedAt = loop.now
    x.stats = ExchangeStats()
    x.stats.requestBytes = UInt64(headCount)
    continueIsDue = false
    mustClose = false
    discarded = 0
    if case .length(let count) = x.request.framing, count <= UInt64(x.requestBytes.count - headCount) {
      x.bodyInPlace = headCount..<headCount + Int(count)
      x.stats.requestBytes += count
      input = .complete
    } else if x.request.framing == .none {
      x.bodyInPlace = headCount..<headCount
      input = .complete
    } else {
      if x.requestBytes.count > headCount {
        rest.append(from: x.requestBytes, headCount..<x.requestBytes.count)
        x.requestBytes.truncate(to: headCount)
      } else {
        continueIsDue = x.request.expectsContinue
      }
      bodyReader.begin(x.request.framing, errorStatus: 400)
      input = .body
    }
    x.phase = .deciding
    server.handler.received(x)
  }

  /// What came of asking for body bytes.
  enum BodyOutcome {
    case progressed
    case finished
    case wouldBlock
    case malformed(HTTPError)
    /// The client ended its stream inside the body, or failed.
    case ended
  }

  /// Moves body bytes to `output`, reading as needed.
  func pullBody(into output: inout Buffer, atMost: Int) -> BodyOutcome {
    while true {
      if bodyReader.isFinished {
        readTimer?.disarm()
        bodyIsWatched = false
        input = .complete
        return .finished
      }
      let before = bodyReader.delivered
      do throws(HTTPError) {
        if try bodyReader.pull(from: &rest, into: &output, atMost: atMost) {
          let moved = bodyReader.delivered - before
          exchange.stats.requestBytes += moved
          bodyIsWatched = false
          if moved > 0 { return .progressed }
          continue
        }
      } catch {
        return .malformed(error)
      }
      sayContinue()
      guard isReadable else {
        if !bodyIsWatched, let server {
          bodyIsWatched = true
          readTimer?.arm(after: server.timeouts.bodyStall)
        }
        return .wouldBlock
      }
      switch receive(into: &rest) {
      case .bytes: continue
      case .wouldBlock: continue
      case .endOfStream, .failed: return .ended
      }
    }
  }

  /// Moves body bytes to `output` as one chunk.
  func pullChunk(into output: inout Buffer) -> BodyOutcome {
    guard let server else { return .ended }
    let outcome = pullBody(into: &server.scratch, atMost: Exchange.pieceBytes)
    output.appendChunk(from: server.scratch, 0..<server.scratch.count)
    server.scratch.removeAll()
    return outcome
  }

  /// The body is wanted: a client that waits for it hears so (RFC 9110 §10.1.1).
  private func sayContinue() {
    guard continueIsDue else { return }
    continueIsDue = false
    if !exchange.hasBegun { out.append("HTTP/1.1 100 Continue\r\n\r\n" as StaticString) }
    mustDriveAgain = true
  }

  private func takeCollected(_ limit: Int) -> Bool {
    // A length that says it in advance needs no reading.
    if case .length(let count) = exchange.request.framing, count > UInt64(max(0, limit)) {
      exchange.phase = .deciding
      server?.handler.bodyCollected(exchange, complete: false)
      return true
    }
    while true {
      guard exchange.collected.count <= limit else {
        readTimer?.disarm()
        exchange.phase = .deciding
        server?.handler.bodyCollected(exchange, complete: false)
        return true
      }
      switch pullBody(into: &exchange.collected, atMost: limit - exchange.collected.count + 1) {
      case .progressed: continue
      // Handed over by the next turn.
      case .finished: return true
      case .wouldBlock: return false
      case .malformed(let error): exchange.failRequest(UpstreamFailure(.requestMalformed, error.description))
      case .ended: clientLeft()
      }
      return true
    }
  }

  /// The rest of a body whose answer is complete.
  private func takeDiscarded() -> Bool {
    guard let server else { return false }
    let outcome = pullBody(into: &server.scratch, atMost: Exchange.pieceBytes)
    discarded += server.scratch.count
    server.scratch.removeAll()
    switch outcome {
    case .progressed where discarded <= server.limits.discardBytes: return true
    case .finished:
      next()
      return true
    case .wouldBlock: return false
    case .progressed, .malformed, .ended:
      beginLinger()
      return true
    }
  }

  private func receive(into buffer: inout Buffer) -> IOOutcome {
    guard let server else { return .wouldBlock }
    let outcome = stream.read(into: &server.readScratch, max: Self.readBytes)
    switch outcome {
    case .bytes: buffer.absorb(&server.readScratch)
    case .wouldBlock: isReadable = false
    case .endOfStream, .failed: clientHasEnded = true
    }
    return outcome
  }

  // MARK: Writing answers

  /// Decides whether the connection stays open after the answer that begins now.
  func decideKeepAlive() {
    guard let server else { return }
    keepsAlive =
      !mustClose && exchange.request.isKeepAlive && !server.isDraining
      && requestCount < server.limits.maxRequestsPerConnection ?? .max && restIsBounded(server.limits)
  }

  /// Whether what is still to come of the request body is little enough to be thrown away.
  private func restIsBounded(_ limits: ServerLimits) -> Bool {
    guard input == .body else { return true }
    // A client that waits for 100 may or may not send the body: nobody can tell where the next request begins.
    guard !continueIsDue, let remaining = bodyReader.remaining else { return false }
    return remaining <= UInt64(limits.discardBytes)
  }

  /// Ends the answer's head: `Date`, `Connection`, empty line.
  func finishHead() { finishHead(&out) }

  /// Ends the answer's head that stands in `out`, the connection's output.
  func finishHead(_ out: inout Buffer) {
    if let server { server.dateLine.append(to: &out, unixSecond: loop.wallSecond) }
    if !keepsAlive {
      out.append("Connection: close\r\n\r\n" as StaticString)
    } else if exchange.request.minorVersion == 0 {
      out.append("Connection: keep-alive\r\n\r\n" as StaticString)
    } else {
      out.append("\r\n" as StaticString)
    }
  }

  private func flush() {
    var hasWritten = false
    while isWritable, !out.isEmpty {
      switch stream.write(from: &out) {
      case .bytes(let count):
        hasWritten = true
        exchange.stats.answerBytes += UInt64(count)
      case .wouldBlock: isWritable = false
      case .endOfStream, .failed: return clientLeft()
      }
    }
    if !out.isEmpty {
      if hasWritten || !writeIsWatched, let server {
        writeIsWatched = true
        writeTimer?.arm(after: server.timeouts.writeStall)
      }
    } else {
      if writeIsWatched {
        writeIsWatched = false
        writeTimer?.disarm()
        armKeepAlive()
      }
      if case .answered = exchange.phase { finish(.complete) }
    }
    // Room for more of the answer.
    if hasWritten, exchange.upstream != nil { mustDriveAgain = true }
  }

  /// Restarts the time after which an event stream shows that it is alive.
  func armKeepAlive() {
    guard !writeIsWatched, let interval = exchange.events?.keepAlive, link == .open else { return }
    writeTimer?.arm(after: interval)
  }

  // MARK: Ends

  /// The exchange is over and its answer, if any, with the kernel.
  private func finish(_ end: ExchangeEnd) {
    exchange.phase = .idle
    exchange.stats.end = end
    exchange.stats.endedAt = loop.now
    server?.handler.finished(exchange)
    guard link == .open else { return release() }
    if !keepsAlive {
      beginLinger()
    } else if input == .complete {
      next()
    } else {
      if let server { readTimer?.arm(after: server.timeouts.bodyStall) }
      mustDriveAgain = true
    }
  }

  /// On to the next request.
  private func next() {
    guard let server else { return }
    let x = exchange
    if let inPlace = x.bodyInPlace {
      x.requestBytes.consume(inPlace.upperBound)
    } else {
      x.requestBytes.removeAll()
      swap(&x.requestBytes, &rest)
    }
    x.reset()
    input = .head
    mustDriveAgain = true
    headHasBegun = !x.requestBytes.isEmpty
    if headHasBegun {
      readTimer?.arm(after: server.timeouts.head)
    } else if server.isDraining {
      close()
    } else {
      readTimer?.arm(after: server.timeouts.idle)
    }
  }

  /// The client is no longer there.
  func clientLeft() {
    guard link == .open else { return }
    guard isInExchange else { return close() }
    let x = exchange
    closeStream()
    if x.onClientGone == .drainUpstream, x.upstream != nil, input == .complete, !x.isOver {
      x.phase = .discarding
      x.answerIsAbandoned()
      if let timeout = x.pool?.settings.drainTimeout { writeTimer?.arm(after: timeout) }
      server?.handler.clientGone(x)
      mustDriveAgain = true
      return
    }
    x.leaveUpstream()
    x.phase = .answered
    server?.handler.clientGone(x)
    finish(.clientGone)
  }

  /// An abandoned upstream answer has ended.
  func endDiscarding() {
    guard case .discarding = exchange.phase else { return }
    finish(.clientGone)
  }

  /// Closes in the middle of an answer, so that the client can tell that it is not complete.
  func abort(_ end: ExchangeEnd) {
    guard link == .open, isInExchange else { return }
    let x = exchange
    // What has come is the client's; the missing end tells it that more was to come.
    if isWritable, !out.isEmpty, x.clientFraming != .untilClose { _ = stream.write(from: &out) }
    let mustReset = x.clientFraming == .untilClose
    closeStream(reset: mustReset)
    x.leaveUpstream()
    x.phase = .answered
    finish(end)
  }

  /// Answers a request that never became an exchange, and closes.
  private func refuse(_ status: Int, _ reason: StaticString) {
    guard let server else { return }
    var refusal = Refusal(status: status, reason: reason)
    server.handler.refused(&refusal)
    keepsAlive = false
    out.appendStatusLine(status)
    out.append(from: refusal.fields)
    AnswerHead.appendContentLength(UInt64(refusal.body.count), to: &out)
    finishHead()
    out.append(refusal.body)
    _ = stream.write(from: &out)
    beginLinger()
  }

  /// Shuts our side and waits a little for the client's: closing at once could destroy the answer on its way (RFC 9112
  /// §9.6).
  private func beginLinger() {
    guard link == .open, let server else { return }
    writeTimer?.disarm()
    link = .lingering
    discarded = 0
    stream.shutdownWrite()
    readTimer?.arm(after: server.timeouts.linger)
    mustDriveAgain = true
  }

  private func linger() {
    guard let server else { return }
    while link == .lingering, isReadable {
      switch receive(into: &server.scratch) {
      case .bytes(let count):
        server.scratch.removeAll()
        discarded += count
        if discarded > Self.maxLingerBytes { close() }
      case .wouldBlock: return
      case .endOfStream, .failed: close()
      }
    }
  }

  /// The server drains: an idle connection closes now, a stream that waits for nothing ends.
  func drain() {
    guard link == .open || link == .handshaking else { return }
    if !isInExchange, input == .head, !headHasBegun { return close() }
    if exchange.endsOnDrain { endStreams() }
  }

  /// Streams end properly, everything else is cut off.
  func stop() {
    guard isInExchange, link == .open else {
      if case .discarding = exchange.phase {
        exchange.leaveUpstream()
        endDiscarding()
      }
      return close()
    }
    endStreams()
    // What does not fit into the socket now is lost: the time is over.
    if link == .open, isInExchange { abort(.serverStopped) } else if link == .open { close() }
  }

  /// Ends a stream that the exchange is in the middle of; anything else goes on.
  func endStreams() {
    mustClose = true
    keepsAlive = false
    switch exchange.phase {
    case .relayingEvents:
      exchange.endEvents(self)
      drive()
    case .localStream: exchange.endStream()
    default: break
    }
  }

  /// Closes a connection without an exchange, or whose exchange is over.
  func close() {
    guard link != .closed else { return }
    closeStream()
    release()
  }

  private func closeStream(reset: Bool = false) {
    guard link != .closed else { return }
    link = .closed
    out.removeAll()
    readTimer?.disarm()
    writeTimer?.disarm()
    if reset { stream.abort() } else { stream.close() }
    server?.streamClosed(self)
  }

  /// Closed, and the exchange over: nobody needs it any more.
  private func release() {
    guard link == .closed, let server else { return }
    self.server = nil
    readTimer = nil
    writeTimer = nil
    exchange.connection = nil
    server.remove(self)
  }

  // MARK: Deadlines

  private func readDeadlinePassed() {
    switch (link, input) {
    case (.handshaking, _), (.lingering, _), (.closed, _): close()
    case (.open, .head):
      if headHasBegun { refuse(408, "request head not complete in time") } else { close() }
      drive()
    case (.open, .body) where !isInExchange: beginLinger()
    case (.open, .body):
      bodyIsWatched = false
      exchange.failRequest(UpstreamFailure(.requestTimeout, "no bytes of the request body in time"))
    case (.open, .complete): break
    }
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

  private static let readBytes = 64 * 1024
  private static let turnsInARow = 32
  /// More than a client has in flight when it is told to stop; beyond it, it does not listen.
  private static let maxLingerBytes = 1024 * 1024
}
