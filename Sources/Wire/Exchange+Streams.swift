public import Basics
internal import HTTP
internal import Reactor

// Streaming answers of our own, and an upstream's answer inside one.
extension Exchange {
  /// Begins a streaming answer; ``sendStream(_:)`` and ``endStream()`` or ``forwardIntoStream(to:)`` follow.
  /// The head is sent at once, and the request stays held as far as it was.
  ///
  /// `keepAlive`: when nothing was sent for so long, the comment `: keep-alive` is, which only an event
  /// stream may have; ``sendStream(_:)`` is then given whole events only. Nil: none.
  public func startStream(status: Int, keepAlive: Duration? = nil, fields: (inout Buffer) -> Void = { _ in })
  {
    guard canBeginAnswer, let connection else { return }
    leaveUpstream()
    beginUnknownLength(connection)
    connection.decideKeepAlive()
    counted.status = status
    hasBegun = true
    localStream = LocalStream(keepAlive: keepAlive)
    phase = .localStream
    connection.out.appendStatusLine(status)
    fields(&connection.out)
    if !AnswerHead.allowsBody(status) || asked.method == .head { clientFraming = .none }
    if clientFraming == .chunked { AnswerHead.appendChunked(to: &connection.out) }
    connection.finishHead()
    connection.armKeepAlive()
    connection.drive()
  }

  /// Sends bytes of a streaming answer. They wait in memory while the client is slow: see ``pendingBytes``.
  /// Nothing happens while an upstream's answer passes into the stream.
  public func sendStream(_ bytes: [UInt8]) {
    guard streamIsOurs, let connection else { return }
    connection.appendToStream(bytes.span)
    connection.drive()
  }

  /// Ends a streaming answer, unless an upstream's answer passes into it: then that ends it. A request that
  /// waits for its upstream's answer is abandoned.
  public func endStream() {
    guard streamIsOurs, let connection else { return }
    leaveUpstream()
    phase = .answered
    if clientFraming == .chunked { connection.out.appendLastChunk() }
    connection.drive()
  }

  /// Sends ``upstreamHead`` and the body to an upstream of `pool` although a streaming answer, 200
  /// `text/event-stream`, has begun: the upstream's answer comes into the stream. In a stream of ours only,
  /// and only where ``canReplay`` is true: otherwise ``ExchangeHandler/upstreamFailed(_:_:)`` follows, as for
  /// every failure before the answer passes.
  ///
  /// Until then the stream stays the handler's: its comments go on. ``ExchangeHandler/answerHead(_:)`` is
  /// asked as after ``forward(to:)``; ``clientHead`` is not needed.
  /// - ``AnswerPlan/relayEvents(maxEventBytes:keepAlive:)``: the events pass, and the stream ends with them.
  /// - ``AnswerPlan/relay``: the body, decoded, passes as the data of one event of the type `message`, and
  ///   the stream ends. An empty body makes no event.
  /// - ``AnswerPlan/collect(limit:)``: the handler gets the body and calls ``relayCollected()``, or goes on
  ///   with the stream, then or later.
  /// - ``AnswerPlan/discard``: the handler goes on with the stream, then or later; it may call this method
  ///   again.
  ///
  /// An answer that breaks off while it passes cuts off the client's connection, so that the client can tell.
  public func forwardIntoStream(to pool: UpstreamPool) {
    guard case .localStream = phase, let localStream, connection != nil else { return }
    if isDecidingPlan {
      forwardNext = pool
      return
    }
    localStream.holdsAnswer = false
    sendRequest(to: pool)
  }

  /// Puts a whole event of ours, which ends with its empty line, between the events of a relayed stream: at
  /// once, or right behind the event that is being passed or, inside ``ExchangeHandler/event(_:_:_:)``,
  /// looked at. An event that has not completely arrived is held back, so ours goes before it, unless it is
  /// longer than may be held. In a stream of ours, while it waits for an upstream too, the same as
  /// ``sendStream(_:)``. The bytes of ``EventVerdict/end(_:)`` stay the last.
  ///
  /// - Returns: whether it was taken. False where no event stream runs. What waits for the end of an event
  ///   that never ends is lost with it.
  @discardableResult public func inject(_ event: [UInt8]) -> Bool {
    if streamIsOurs {
      sendStream(event)
      return true
    }
    guard case .relayingEvents = phase, let events, let connection else { return false }
    guard events.isOpen else {
      events.hold(event)
      return true
    }
    events.noteOwnBytes()
    connection.appendToStream(event.span)
    connection.drive()
    return true
  }

  /// Whether the answer is a stream of ours, an upstream's answer that passes into it included, and not over.
  public var isLocalStream: Bool { localStream != nil && !isOver }

  /// Whether the handler may write into a stream of ours: nothing of an upstream's answer passes.
  var streamIsOurs: Bool {
    guard localStream != nil else { return false }
    switch phase {
    case .localStream, .waiting, .awaitingHead, .collecting: return true
    default: return false
    }
  }

  /// Who acts next when the handler has to: inside a stream of ours it need not at once.
  var handlersTurn: Phase { localStream == nil ? .deciding : .localStream }

  /// When the client gets a comment.
  var keepAliveInterval: Duration? { events?.keepAlive ?? localStream?.keepAlive }

  /// ``relayCollected()`` for a stream of ours.
  func relayCollectedIntoStream(_ stream: LocalStream) {
    guard case .localStream = phase, stream.holdsAnswer, let connection else { return }
    var coding = ContentCoding.identity
    if upstream != nil {
      guard let named = ContentCoding(of: answer, answerBytes) else { return failForCoding() }
      coding = named
    }
    stream.holdsAnswer = false
    relayAsMessage(coding)
    do throws(RelayError) {
      try events?.take(&answerBody)
      if upstream == nil {
        try endMessage(connection)
      } else {
        passEvents()
      }
    } catch {
      truncate()
    }
    connection.drive()
  }

  /// From here on the answer's body goes as one event.
  func relayAsMessage(_ coding: ContentCoding) {
    events = EventRelay(ofMessage: coding)
    phase = .relayingEvents
    if upstream?.requestIsWritten != false { releaseRequest() }
  }

  /// The answer is in a coding that cannot be undone, and a stream has no other way to pass it.
  func failForCoding() {
    fail(UpstreamFailure(.badResponse, "unknown content coding"))
  }
}
