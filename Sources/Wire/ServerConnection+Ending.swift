internal import Basics
internal import HTTP
internal import Reactor

// How exchanges and connections end.
extension ServerConnection {
  /// The exchange is over and its answer, if any, with the kernel.
  func finish(_ end: ExchangeEnd) {
    releaseHeldBody()
    exchange.phase = .idle
    exchange.counted.end = end
    exchange.counted.endedAt = loop.now
    server?.handler.finished(exchange)
    guard link == .open else { return release() }
    if !keepsAlive {
      beginLinger()
    } else if input == .complete {
      next()
    } else {
      if let server { readTimer.arm(after: server.timeouts.bodyStall) }
      mustDriveAgain = true
    }
  }

  /// On to the next request.
  func next() {
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
      readTimer.arm(after: server.timeouts.head)
    } else if server.isDraining {
      awaitLastRequest(server)
    } else {
      if x.requestBytes.allocatedBytes > Exchange.keptBytes { x.requestBytes.releaseStorage() }
      if out.allocatedBytes > Exchange.largeOutBytes { out.releaseStorage() }
      isTrimmed = false
      readTimer.arm(after: min(server.timeouts.idle, Self.trimAfter))
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
      if let timeout = x.pool?.settings.drainTimeout { writeTimer.arm(after: timeout) }
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
  func refuse(_ status: Int, _ reason: StaticString) {
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
  func beginLinger() {
    guard link == .open, let server else { return }
    writeTimer.disarm()
    link = .lingering
    discarded = 0
    stream.shutdownWrite()
    readTimer.arm(after: server.timeouts.linger)
    mustDriveAgain = true
  }

  func linger() {
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

  /// The server drains: an idle connection closes unless a request is on its way, a stream that waits for nothing ends.
  func drain() {
    guard link == .open, let server else { return }
    if !isInExchange, input == .head, !headHasBegun { return awaitLastRequest(server) }
    if exchange.endsOnDrain { endStreams() }
  }

  /// A client that was not told of the end may have sent its next request already.
  private func awaitLastRequest(_ server: HTTPServer) {
    releaseStorage()
    isTrimmed = true
    readTimer.arm(after: min(server.timeouts.idle, server.timeouts.lastRequest))
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

  func endStreams() {
    mustClose = true
    keepsAlive = false
    guard case .relayingEvents = exchange.phase else { return exchange.endStream() }
    // One event that is a whole answer is of no use in part.
    guard exchange.events?.isMessage != true else { return }
    exchange.endEvents(self)
    drive()
  }

  /// Closes a connection without an exchange, or whose exchange is over.
  func close() {
    guard link != .closed else { return }
    closeStream()
    release()
  }

  func closeStream(reset: Bool = false) {
    guard link != .closed else { return }
    link = .closed
    out.removeAll()
    releaseHeldAnswer()
    readTimer.disarm()
    writeTimer.disarm()
    if reset { stream.abort() } else { stream.close() }
    server?.streamClosed(self)
  }

  /// Closed, and the exchange over: nobody needs it any more.
  func release() {
    guard link == .closed, let server else { return }
    self.server = nil
    exchange.connection = nil
    server.remove(self)
  }

  /// More than a client has in flight when it is told to stop; beyond it, it does not listen.
  private static let maxLingerBytes = 1024 * 1024
}
