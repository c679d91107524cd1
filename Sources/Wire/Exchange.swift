public import Basics
public import HTTP
public import Reactor

/// One request and its answer.
///
/// Owner: the loop of its connection. The object lives as long as the connection and is used for each of its
/// exchanges in turn, so that nothing is allocated per request; ``sequence`` tells them apart. Methods called when
/// there is nothing left to do (the client left, the answer is complete) do nothing.
public final class Exchange {
  /// Who has to act.
  enum Phase {
    /// Nobody: between exchanges, or over.
    case idle
    /// The handler.
    case deciding
    /// The client sends the body the handler asked for, up to the limit.
    case collectingBody(limit: Int)
    /// A pool has it in its waiting line.
    case waiting
    /// The request is on its way; the answer's head is awaited.
    case awaitingHead
    /// The answer's body is collected for the handler.
    case collecting(limit: Int)
    /// The answer streams to the client.
    case relaying
    /// The answer streams to the client event by event, or as one.
    case relayingEvents
    /// The handler streams its own answer.
    case localStream
    /// The client left; the upstream's answer is read to its end.
    case discarding
    /// The whole answer stands in the connection's output.
    case answered
  }

  /// Where the rest of the request body comes from, as far as the upstream is concerned.
  enum RequestSource {
    /// There is no rest.
    case nothing
    /// Held completely; sent up to the offset.
    case held(sent: Int)
    /// First what was collected of it, then what the client still sends.
    case collectedThenStreaming
    /// What the client still sends.
    case streaming
  }

  /// How the answer is framed for the client.
  enum ClientFraming { case none, length, chunked, untilClose }

  /// The loop everything happens on.
  public let loop: EventLoop
  /// The client's address.
  public let peer: SocketAddress
  /// Whether the client speaks TLS.
  public let isTLS: Bool
  /// The host name of the client's TLS hello.
  public internal(set) var serverName: String?
  /// Grows by one with each request of the connection: what a handler compares when it comes back later.
  public var sequence: UInt64 { number }
  var number: UInt64 = 0
  /// When the request's head was complete.
  public var startedAt: MonotonicTime { beganAt }
  var beganAt: MonotonicTime
  /// The handler's own object. Stays from one exchange of the connection to the next.
  public var context: AnyObject? {
    get { held }
    set { held = newValue }
  }
  private var held: AnyObject?

  /// The request's head; offsets into ``requestBytes``.
  public internal(set) var request = RequestHead()
  /// The head's bytes at its start; bytes behind the head may follow.
  public internal(set) var requestBytes = Buffer()
  /// The collected body, unless it arrived with the head: see ``withBody(_:)``.
  @usableFromInline var collected = Buffer()
  /// Where the whole body stands in ``requestBytes`` when it arrived with the head.
  var bodyInPlace: Range<Int>?
  @usableFromInline var placeOfBody: Range<Int>? { bodyInPlace }
  /// Most bytes of a request body that may stream upstream; passing it is
  /// ``UpstreamFailure/Kind/requestTooLong``. Reset to nil (no limit) before each exchange.
  public var bodyLimit: UInt64? {
    get { rules.bodyLimit }
    set { rules.bodyLimit = newValue }
  }

  /// The request line and fields for the upstream, each line with its CRLF, without the final empty line: written by
  /// the handler before ``forward(to:)``. Never `Content-Length`, `Transfer-Encoding` or `Connection`.
  public var upstreamHead = Buffer()

  /// The upstream's answer; offsets into ``answerBytes``.
  public internal(set) var answer = ResponseHead()
  /// The answer's head as received.
  public internal(set) var answerBytes = Buffer()
  /// The collected body of the answer. The handler may change it before ``relayCollected()``.
  public var answerBody = Buffer()
  /// The status line and fields for the client, written by the handler; see ``ExchangeHandler/answerHead(_:)``.
  public var clientHead = Buffer()

  /// What a disconnect means for the upstream. Reset to ``ClientGonePolicy/abortUpstream`` before each exchange.
  public var onClientGone: ClientGonePolicy {
    get { rules.onClientGone }
    set { rules.onClientGone = newValue }
  }
  /// What the end of the client's byte stream means. Reset to ``EndOfInputPolicy/answerAnyway`` before each exchange;
  /// event streams and local streams always take it as a disconnect.
  public var endOfInput: EndOfInputPolicy {
    get { rules.endOfInput }
    set { rules.endOfInput = newValue }
  }
  /// Whether a drain of the server ends this stream at once instead of waiting for it. For streams that are not the
  /// answer to something, such as MCP's GET streams. Reset to false before each exchange.
  public var endsOnDrain: Bool {
    get { rules.endsOnDrain }
    set { rules.endsOnDrain = newValue }
  }

  /// Whether the request stays held while its answer streams, so that it can be sent again from a stream that was taken over. Reset
  /// to false before each exchange.
  public var keepsRequest: Bool {
    get { rules.keepsRequest }
    set { rules.keepsRequest = newValue }
  }

  /// Numbers about this exchange.
  public var stats: ExchangeStats { counted }

  /// What the handler decided about this exchange beyond its steps.
  struct Rules {
    var bodyLimit: UInt64?
    var onClientGone = ClientGonePolicy.abortUpstream
    var endOfInput = EndOfInputPolicy.answerAnyway
    var endsOnDrain = false
    var keepsRequest = false
  }

  // Behind accessors, since each direct access to what other modules can reach is checked for exclusiveness at run time.
  private var rules = Rules()
  var counted = ExchangeStats()
  var asked = RequestFacts()
  /// Nil until the head of an answer is complete.
  var answered: AnswerFacts?

  var connection: ServerConnection?
  var phase = Phase.idle
  var requestSource = RequestSource.nothing
  var pool: UpstreamPool?
  var upstream: UpstreamConnection?
  var hasRetried = false
  var isDecidingPlan = false
  var forwardNext: UpstreamPool?
  var interimCount = 0
  var answerReader = BodyReader()
  var answerRest = Buffer()
  var clientFraming = ClientFraming.none
  var hasBegun = false
  var events: EventRelay?
  /// The answer is a stream of ours, whatever goes on inside it.
  var localStream: LocalStream?

  init(loop: EventLoop, peer: SocketAddress, isTLS: Bool) {
    self.loop = loop
    self.peer = peer
    self.isTLS = isTLS
    beganAt = loop.now
  }

  /// Shows the request's head and its bytes together with ``upstreamHead``. Entering once is cheaper than one access to
  /// this object per line written.
  @inlinable public func withRequest<R>(
    _ body: (borrowing RequestHead, borrowing Buffer, inout Buffer) -> R
  ) -> R {
    body(request, requestBytes, &upstreamHead)
  }

  /// Shows the answer's head and its bytes together with ``clientHead``.
  @inlinable public func withAnswer<R>(
    _ body: (borrowing ResponseHead, borrowing Buffer, inout Buffer) -> R
  ) -> R {
    body(answer, answerBytes, &clientHead)
  }

  /// The request body, complete or as far as it was collected.
  @inlinable public func withBody<R>(_ body: (borrowing Buffer, Range<Int>) -> R) -> R {
    if let range = placeOfBody { return body(requestBytes, range) }
    return body(collected, 0..<collected.count)
  }

  /// Bytes of the body ``withBody(_:)`` shows.
  public var bodyCount: Int { bodyInPlace?.count ?? collected.count }

  /// Whether the whole request body is held, so that the request can be sent again.
  public var canReplay: Bool { bodyInPlace != nil || (connection?.input == .complete && !hasStreamedBody) }

  /// Whether body bytes went upstream without being kept, or are not kept any more.
  var hasStreamedBody = false

  /// Answer bytes the client has not taken yet. A handler that streams keeps this small.
  public var pendingBytes: Int { connection?.out.count ?? 0 }

  /// Whether the exchange is over: acting on it does nothing.
  public var isOver: Bool {
    switch phase {
    case .idle, .discarding, .answered: true
    default: false
    }
  }

  /// Ready for the next request of the connection.
  func reset() {
    request.reset()
    if collected.allocatedBytes > 0 { Self.empty(&collected) }
    bodyInPlace = nil
    rules = Rules()
    Self.empty(&upstreamHead)
    if answered != nil || !answerBytes.isEmpty { forgetAnswerHead() }
    if !clientHead.isEmpty { Self.empty(&clientHead) }
    if answerBody.allocatedBytes > 0 { Self.empty(&answerBody) }
    if answerRest.allocatedBytes > Self.keptBytes || !answerRest.isEmpty { Self.empty(&answerRest) }
    phase = .idle
    requestSource = .nothing
    pool = nil
    hasRetried = false
    forwardNext = nil
    interimCount = 0
    hasBegun = false
    hasStreamedBody = false
    events = nil
    localStream = nil
  }

  func forgetAnswerHead() {
    answered = nil
    answer.reset()
    Self.empty(&answerBytes)
  }

  /// Empties a buffer, and gives back a block that was made for something large.
  private static func empty(_ buffer: inout Buffer) {
    buffer.removeAll(keepingCapacity: buffer.allocatedBytes <= keptBytes)
  }

  /// Blocks up to this size stay with a connection from one exchange to the next.
  static let keptBytes = 4096
  /// The output's block is kept up to the size that streaming needs again and again.
  static let largeOutBytes = 128 * 1024

  /// The answer streams: what would be needed to send the request again is not needed any more.
  func releaseRequest() {
    if keepsRequest { return }
    // Gone for good: it cannot be sent again.
    if !collected.isEmpty { hasStreamedBody = true }
    collected.removeAll(keepingCapacity: false)
    connection?.releaseHeldBody()
    upstreamHead.removeAll(keepingCapacity: false)
    clientHead.removeAll(keepingCapacity: false)
  }

  /// An event stream may be silent for hours: what of the answer's head has been passed on goes, and the request's bytes take the
  /// room they need.
  func releaseHeads() {
    answer.forgetFields()
    answerBytes.removeAll(keepingCapacity: false)
    requestBytes.trimStorage()
    request.trimFields()
  }

  /// Gives back the empty blocks of a connection that is quiet for a while.
  func releaseStorage() {
    collected.releaseStorage()
    upstreamHead.releaseStorage()
    answerBytes.releaseStorage()
    answerBody.releaseStorage()
    answerRest.releaseStorage()
    clientHead.releaseStorage()
    requestBytes.releaseStorage()
    events?.releaseStorage()
    upstream?.out.releaseStorage()
  }
}
