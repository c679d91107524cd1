internal import Basics
internal import HTTP
internal import Reactor

// The request's way to an upstream.
extension Exchange {
  /// Sends ``upstreamHead`` and the body to an upstream of `pool`. A collected body goes with its length; a body still
  /// streaming keeps its framing. May be called again after ``AnswerPlan/discard``, in
  /// ``ExchangeHandler/answerCollected(_:)`` and ``ExchangeHandler/upstreamFailed(_:_:)`` where ``canReplay`` is true.
  public func forward(to pool: UpstreamPool) {
    guard !hasBegun, case .deciding = phase, connection != nil else { return }
    if isDecidingPlan {
      forwardNext = pool
      return
    }
    sendRequest(to: pool)
  }

  /// Gives the request to `pool`.
  func sendRequest(to pool: UpstreamPool) {
    if let upstream { detach(upstream, reusable: false) }
    // A stream may wait for long, and the client's next bytes are not read while it does: what it holds has to be all.
    guard canReplay || (!hasStreamedBody && localStream == nil) else {
      return fail(UpstreamFailure(.closedEarly, "the request body is not held and cannot be sent again"))
    }
    if counted.forwardedAt == nil { counted.forwardedAt = loop.now }
    self.pool = pool
    hasRetried = false
    phase = .waiting
    pool.acquire(self, fresh: false)
  }

  /// A connection for the waiting request.
  func attach(_ connection: UpstreamConnection) {
    upstream = connection
    phase = .awaitingHead
    counted.attempts += 1
    counted.reusedConnection = connection.answered > 0
    counted.connectedAt = loop.now
    // Left by an earlier attempt.
    if answered != nil || !answerBytes.isEmpty {
      forgetAnswerHead()
      answerRest.removeAll()
      answerBody.removeAll()
      clientHead.removeAll()
    }
    interimCount = 0
    connection.out.removeAll()
    composeRequest(into: &connection.out)
    self.connection?.drive()
  }

  // Head, framing and, where it is held and small, the body, so that one write sends all.
  private func composeRequest(into out: inout Buffer) {
    out.append(from: upstreamHead)
    if let range = bodyInPlace {
      requestSource = .nothing
      if !range.isEmpty || asked.framing != .none || asked.method.hasBodyByCustom {
        AnswerHead.appendContentLength(UInt64(range.count), to: &out)
      }
      out.append("\r\n" as StaticString)
      if range.count <= Self.joinedBodyBytes {
        out.append(from: requestBytes, range)
      } else {
        requestSource = .held(sent: 0)
      }
    } else if connection?.input == .complete {
      requestSource = collected.isEmpty ? .nothing : .held(sent: 0)
      AnswerHead.appendContentLength(UInt64(collected.count), to: &out)
      out.append("\r\n" as StaticString)
    } else {
      requestSource = collected.isEmpty ? .streaming : .collectedThenStreaming
      if case .length(let count) = asked.framing {
        AnswerHead.appendContentLength(count, to: &out)
      } else {
        AnswerHead.appendChunked(to: &out)
      }
      out.append("\r\n" as StaticString)
    }
  }

  /// Makes all progress between the client and the upstream connection. Whether anything moved.
  func pumpUpstream() -> Bool {
    guard let upstream else { return false }
    let hasWritten = pumpRequest(upstream)
    guard self.upstream === upstream else { return true }
    return pumpAnswer(upstream) || hasWritten
  }

  /// A deadline of the upstream connection has passed.
  func upstreamTimedOut(_ upstream: UpstreamConnection) {
    guard self.upstream === upstream else { return }
    let what = upstream.requestIsWritten ? "no answer in time" : "request not taken in time"
    if isRelaying { truncate() } else { fail(UpstreamFailure(.timeoutHeaders, what)) }
  }

  /// The client left and the answer is read on for the upstream's sake.
  func answerIsAbandoned() {
    guard let upstream, answered != nil else { return }
    upstream.watchBody()
  }

  /// Moves request bytes towards the upstream. Whether anything moved.
  func pumpRequest(_ upstream: UpstreamConnection) -> Bool {
    var moved = false
    for _ in 0..<Self.piecesInARow {
      guard !upstream.requestIsWritten, !upstream.writeIsBroken, self.upstream === upstream else { break }
      if case .held(let sent) = requestSource, !upstream.stream.isTLS {
        // No copy on the way: the body stands there whole.
        if upstream.out.isEmpty {
          guard writeHeld(upstream, from: sent) else { return moved }
          moved = true
          continue
        }
      } else if upstream.out.count < Self.refillBelow, !isSourceDry {
        guard refill(upstream, &moved) else { return moved }
      }
      guard !upstream.out.isEmpty else {
        if case .nothing = requestSource {
          upstream.requestIsWritten = true
          upstream.armForAnswer()
        }
        return moved
      }
      guard upstream.isWritable else {
        upstream.watchWrite()
        return moved
      }
      switch upstream.write() {
      case .bytes: moved = true
      case .wouldBlock, .endOfStream: break
      case .failed: return writeFailed(upstream)
      }
    }
    return moved
  }

  /// Hands the kernel the next bytes of a body that is held, from where it stands. Whether anything changed.
  private func writeHeld(_ upstream: UpstreamConnection, from sent: Int) -> Bool {
    guard upstream.isWritable else {
      upstream.watchWrite()
      return false
    }
    let outcome: IOOutcome
    if let range = bodyInPlace {
      outcome = upstream.write(requestBytes, range.lowerBound + sent..<range.upperBound)
    } else {
      outcome = upstream.write(collected, sent..<collected.count)
    }
    switch outcome {
    case .bytes(let count): requestSource = sent + count == bodyCount ? .nothing : .held(sent: sent + count)
    case .wouldBlock, .endOfStream: break
    case .failed: return writeFailed(upstream)
    }
    return true
  }

  /// The answer may be here all the same; reading decides.
  private func writeFailed(_ upstream: UpstreamConnection) -> Bool {
    upstream.writeIsBroken = true
    upstream.isReadable = true
    return true
  }

  private var isSourceDry: Bool {
    if case .nothing = requestSource { true } else { false }
  }

  /// Takes the next part of the body. False when the exchange has failed over it.
  private func refill(_ upstream: UpstreamConnection, _ moved: inout Bool) -> Bool {
    switch requestSource {
    case .nothing: return true
    case .held(let sent):
      let next = min(bodyCount, sent + Self.refillBytes)
      if let range = bodyInPlace {
        upstream.out.append(from: requestBytes, range.lowerBound + sent..<range.lowerBound + next)
      } else {
        upstream.out.append(from: collected, sent..<next)
      }
      requestSource = next == bodyCount ? .nothing : .held(sent: next)
      return true
    case .collectedThenStreaming:
      if asked.framing == .chunked {
        upstream.out.appendChunk(from: collected, 0..<collected.count)
      } else {
        upstream.out.append(from: collected)
      }
      hasStreamedBody = true
      collected.removeAll()
      self.connection?.releaseHeldBody()
      requestSource = .streaming
      return true
    case .streaming: return refillFromClient(upstream, &moved)
    }
  }

  private func refillFromClient(_ upstream: UpstreamConnection, _ moved: inout Bool) -> Bool {
    guard let connection else { return false }
    let outcome: ServerConnection.BodyOutcome
    if asked.framing == .chunked {
      outcome = connection.pullChunk(into: &upstream.out)
    } else {
      outcome = connection.pullBody(into: &upstream.out, atMost: Self.refillBytes)
    }
    switch outcome {
    case .progressed:
      hasStreamedBody = true
      moved = true
      if let bodyLimit, connection.bodyReader.delivered > bodyLimit {
        failRequest(UpstreamFailure(.requestTooLong, "request body longer than \(bodyLimit) bytes"))
        return false
      }
    case .finished:
      if asked.framing == .chunked {
        Trailers.appendLastChunk(connection.bodyReader.trailer, to: &upstream.out) { buffer, name in
          request.connectionNames(buffer, name, requestBytes)
        }
      }
      requestSource = .nothing
      moved = true
    case .wouldBlock: break
    case .malformed(let error):
      failRequest(UpstreamFailure(.requestMalformed, error.description))
      return false
    case .ended:
      connection.clientLeft()
      return false
    }
    return true
  }

  /// The request itself turned out bad while it was streaming.
  func failRequest(_ failure: UpstreamFailure) {
    connection?.mustClose = true
    if hasBegun { truncate() } else { fail(failure) }
  }

  /// Nothing of an upstream's answer was sent to the client: the handler answers, or goes on with its stream.
  func fail(_ failure: UpstreamFailure) {
    if let upstream { detach(upstream, reusable: false) }
    guard let connection else { return }
    if case .discarding = phase { return connection.endDiscarding() }
    guard canBeginAnswer || isLocalStream else { return }
    phase = handlersTurn
    connection.server?.handler.upstreamFailed(self, failure)
    connection.drive()
  }

  /// Whether the client has the beginning of the upstream's answer: what fails now can only be cut off.
  var isRelaying: Bool {
    switch phase {
    case .relaying, .relayingEvents: true
    default: false
    }
  }

  /// Part of the answer was sent: the client must not take it for the whole.
  func truncate() {
    if let upstream { detach(upstream, reusable: false) }
    if case .discarding = phase { connection?.endDiscarding() }
    connection?.abort(.answerTruncated)
  }

  /// Lets go of an upstream connection; `reusable` when request and answer are complete on it.
  func detach(_ upstream: UpstreamConnection, reusable: Bool) {
    self.upstream = nil
    upstream.exchange = nil
    if reusable {
      pool?.release(upstream)
    } else {
      pool?.close(upstream)
    }
  }

  /// Bodies up to this size are copied behind the head: one write beats one copy.
  private static let joinedBodyBytes = 64 * 1024
  private static let refillBelow = 16 * 1024
  private static let refillBytes = 64 * 1024
}

extension Method {
  /// Whether a request without a body says so by `Content-Length: 0` (RFC 9110 §8.6).
  var hasBodyByCustom: Bool { self == .post || self == .put || self == .patch }
}
