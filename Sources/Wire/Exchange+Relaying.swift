internal import Basics
internal import HTTP
internal import Reactor

// The answer's way back.
extension Exchange {
  /// Takes in what the upstream sends. Whether anything moved.
  func pumpAnswer(_ upstream: UpstreamConnection) -> Bool {
    var moved = false
    // Bounded, so that an upstream that never pauses leaves turns to others.
    for _ in 0..<Self.piecesInARow {
      guard self.upstream === upstream else { break }
      let progressed: Bool
      switch phase {
      case .awaitingHead: progressed = pumpHead(upstream)
      case .collecting(let limit): progressed = pumpCollected(upstream, limit)
      case .relaying: progressed = pumpRelay(upstream)
      case .relayingEvents: progressed = pumpEvents(upstream)
      case .discarding:
        progressed = answered != nil ? pumpDiscarded(upstream) : pumpHead(upstream)
      case .idle, .deciding, .collectingBody, .waiting, .localStream, .answered: return moved
      }
      guard progressed else { return moved }
      moved = true
    }
    return moved
  }

  // MARK: The head

  private func pumpHead(_ upstream: UpstreamConnection) -> Bool {
    guard let pool else { return false }
    if !answerBytes.isEmpty {
      do throws(HTTPError) {
        if try answer.parse(answerBytes, limits: pool.settings.headLimits, requestMethod: asked.method) {
          let facts = AnswerFacts(answer)
          answered = facts
          return headArrived(upstream, facts)
        }
      } catch {
        fail(UpstreamFailure(.badResponse, error.description))
        return true
      }
    }
    switch upstream.read(into: &answerBytes) {
    case .bytes: return true
    case .wouldBlock: return false
    case .endOfStream: answerEnded(upstream, isClean: true, "connection closed before the answer's head")
    case .failed(let code):
      answerEnded(upstream, isClean: false, "connection failed: \(upstream.stream.reason(code))")
    }
    return true
  }

  private func headArrived(_ upstream: UpstreamConnection, _ facts: AnswerFacts) -> Bool {
    if facts.isInterim {
      // 100 is swallowed, since the body goes without waiting for it; 103 and the like are dropped.
      interimCount += 1
      guard interimCount <= Self.maxInterim else {
        fail(UpstreamFailure(.badResponse, "more than \(Self.maxInterim) interim responses"))
        return true
      }
      answerBytes.consume(facts.byteCount)
      answer.reset()
      answered = nil
      return true
    }
    guard facts.status != 101 else {
      fail(UpstreamFailure(.badResponse, "protocol switch that nobody asked for"))
      return true
    }
    counted.upstreamStatus = facts.status
    counted.answeredAt = loop.now
    if answerBytes.count > facts.byteCount {
      answerRest.append(from: answerBytes, facts.byteCount..<answerBytes.count)
      answerBytes.truncate(to: facts.byteCount)
    }
    answerReader.begin(facts.framing, errorStatus: 502)
    if case .discarding = phase { return true }
    let isInStream = localStream != nil
    phase = handlersTurn
    upstream.disarm()
    guard let connection, let handler = connection.server?.handler else { return false }
    isDecidingPlan = true
    let plan = handler.answerHead(self)
    isDecidingPlan = false
    follow(plan, upstream, connection, inStream: isInStream)
    return true
  }

  private func follow(
    _ plan: AnswerPlan, _ upstream: UpstreamConnection, _ connection: ServerConnection,
    inStream: Bool
  ) {
    guard self.upstream === upstream else { return }
    guard isUndecided(inStream: inStream) else {
      // The handler has answered by itself, or begun a stream.
      settle(upstream)
      return forwardAgain()
    }
    switch plan {
    case .relay where inStream:
      guard let coding = ContentCoding(of: answer, answerBytes) else { return failForCoding() }
      relayAsMessage(coding)
    case .relay:
      beginRelay(connection)
      phase = .relaying
    case .relayEvents(let maxEventBytes, let keepAlive):
      guard let coding = ContentCoding(of: answer, answerBytes) else {
        return fail(UpstreamFailure(.badResponse, "event stream with an unknown content coding"))
      }
      if !inStream { beginRelay(connection, asEvents: true) }
      guard answered?.framing != BodyFraming.none else {
        phase = .relaying
        return
      }
      events = EventRelay(
        maxEventBytes: maxEventBytes, keepAlive: keepAlive, coding: coding, followsOwnBytes: inStream)
      phase = .relayingEvents
      if upstream.requestIsWritten { releaseRequest() }
      releaseHeads()
      connection.armKeepAlive()
    case .collect(let limit):
      answerBody.removeAll()
      phase = .collecting(limit: limit)
    case .discard:
      settle(upstream)
      forwardAgain()
    case .wait: break
    }
  }

  /// Goes on with an answer that waits since ``AnswerPlan/wait``. The handler writes ``clientHead`` now, where the plan needs one.
  public func proceed(with plan: AnswerPlan) {
    let isInStream = localStream != nil
    guard !isDecidingPlan, answered != nil, isUndecided(inStream: isInStream), let upstream, let connection
    else { return }
    follow(plan, upstream, connection, inStream: isInStream)
    connection.drive()
  }

  /// Whether the handler has left everything to its plan.
  private func isUndecided(inStream: Bool) -> Bool {
    switch phase {
    case .deciding: true
    case .localStream: inStream
    default: false
    }
  }

  /// Sends the request where the handler said while it decided about an earlier answer.
  private func forwardAgain() {
    guard let next = forwardNext else { return }
    forwardNext = nil
    if localStream == nil { forward(to: next) } else { forwardIntoStream(to: next) }
  }

  // MARK: Streaming

  /// Sends the head. An event stream may change on its way, so it never keeps its length.
  func beginRelay(_ connection: ServerConnection, asEvents: Bool = false) {
    guard let facts = answered else { return }
    var length: UInt64?
    switch facts.framing {
    case .none:
      clientFraming = .none
      length = lengthOfNoBody
    case .length(let count) where !asEvents:
      clientFraming = .length
      length = count
    case .length, .chunked, .untilClose: beginUnknownLength(connection)
    }
    connection.decideKeepAlive()
    counted.status = facts.status
    hasBegun = true
    writeHead(length, connection, &connection.out)
  }

  /// The handler's lines, then ours. One access to the output for all of them.
  func writeHead(_ length: UInt64?, _ connection: ServerConnection, _ out: inout Buffer) {
    out.append(from: clientHead)
    if let length { AnswerHead.appendContentLength(length, to: &out) }
    if clientFraming == .chunked { AnswerHead.appendChunked(to: &out) }
    connection.finishHead(&out)
  }

  /// HEAD and 304 may say the length of the body they leave out (RFC 9110 §8.6).
  var lengthOfNoBody: UInt64? {
    asked.method == .head || answered?.status == 304 ? answered?.contentLength : nil
  }

  private func pumpRelay(_ upstream: UpstreamConnection) -> Bool {
    guard let connection, let server = connection.server else { return false }
    if answerReader.isFinished {
      finishRelay(upstream, connection)
      return true
    }
    guard connection.out.count < server.highWaterBytes else {
      upstream.disarm()
      return false
    }
    do throws(HTTPError) {
      let pulled: Bool
      if clientFraming == .chunked {
        pulled = try answerReader.pull(from: &answerRest, into: &server.scratch, atMost: Self.pieceBytes)
        connection.out.appendChunk(from: server.scratch, 0..<server.scratch.count)
        server.scratch.removeAll()
      } else {
        pulled = try answerReader.pull(from: &answerRest, into: &connection.out, atMost: Self.pieceBytes)
      }
      if pulled { return true }
    } catch {
      server.scratch.removeAll()
      return truncated(error.description)
    }
    return readMore(upstream)
  }

  func finishRelay(_ upstream: UpstreamConnection, _ connection: ServerConnection) {
    if clientFraming == .chunked {
      Trailers.appendLastChunk(answerReader.trailer, to: &connection.out) { buffer, name in
        answer.connectionNames(buffer, name, answerBytes)
      }
    }
    phase = .answered
    detach(upstream, reusable: canKeep(upstream))
  }

  func truncated(_ detail: String) -> Bool {
    if isRelaying { truncate() } else { fail(UpstreamFailure(.badResponse, detail)) }
    return true
  }

  /// Reads the next bytes of the body. Whether anything changed.
  func readMore(_ upstream: UpstreamConnection) -> Bool {
    switch upstream.read(into: &answerRest) {
    case .bytes:
      upstream.bodyIsWatched = false
      return true
    case .wouldBlock:
      upstream.watchBody()
      return false
    case .endOfStream: answerEnded(upstream, isClean: true, "connection closed inside the answer's body")
    case .failed(let code):
      answerEnded(upstream, isClean: false, "connection failed: \(upstream.stream.reason(code))")
    }
    return true
  }

  /// The upstream's byte stream is over.
  func answerEnded(_ upstream: UpstreamConnection, isClean: Bool, _ detail: String) {
    upstream.isEnded = true
    if answered != nil {
      if isClean, answerReader.endOfInput() { return }
      if isRelaying { return truncate() }
      return fail(UpstreamFailure(.closedEarly, detail))
    }
    if answerBytes.isEmpty, interimCount == 0, maySendAgain(upstream), let pool {
      hasRetried = true
      detach(upstream, reusable: false)
      phase = .waiting
      return pool.acquire(self, fresh: true)
    }
    fail(UpstreamFailure(.closedEarly, detail))
  }

  /// The one safe retry: the connection was a kept-alive one that died before any byte of the answer, and either the
  /// method is idempotent or the upstream cannot have had the whole request (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
  private func maySendAgain(_ upstream: UpstreamConnection) -> Bool {
    guard case .awaitingHead = phase, !hasRetried, upstream.answered > 0, canReplay else { return false }
    return asked.method.isIdempotent || !upstream.requestIsWritten
  }

  /// Whether another request may follow on the connection: everything of this one is done, and nothing is left over.
  func canKeep(_ upstream: UpstreamConnection) -> Bool {
    answered?.isKeepAlive == true && answerReader.isFinished && answerRest.isEmpty
      && upstream.requestIsWritten
      && !upstream.writeIsBroken && !upstream.isEnded
  }

  /// One piece of a body on its way through.
  static let pieceBytes = 64 * 1024
  /// So many of them before the others on the loop get their turn.
  static let piecesInARow = 16
  private static let maxInterim = 16
}
