internal import Basics
internal import Consent
internal import MCP
internal import Sessions
internal import Wire

/// The parts of a message that outlive its body.
struct KeptMessage {
  /// Longer names are cut, in bytes: one more than scopes are learned for, so that one that was cut is told from one that was not.
  static let maxNameBytes = ToolScopes.maxLearnedBytes + 1

  /// One after the other: three arrays would take three times as much room beside their bytes.
  private let bytes: [UInt8]
  private let idCount: UInt32
  private let methodCount: UInt32

  init(id: [UInt8], method: [UInt8], name: [UInt8]) {
    bytes = id + method + name
    idCount = UInt32(clamping: id.count)
    methodCount = UInt32(clamping: method.count)
  }

  var id: [UInt8] { Array(bytes.prefix(Int(idCount))) }
  var method: [UInt8] { Array(bytes.dropFirst(Int(idCount)).prefix(Int(methodCount))) }
  var name: [UInt8] { Array(bytes.dropFirst(Int(idCount) + Int(methodCount))) }
}

/// What the pipeline knows about the exchange at hand. One object a connection, reset for each request.
///
/// Owner: the loop of the connection.
final class Call {
  /// Where a request stands. Each case names what it waits for.
  enum Phase: Equatable {
    case idle
    /// The body of a JSON-RPC message, to look into it.
    case awaitingBody
    /// The control loop: session, token, or an own endpoint's answer.
    case awaitingControl
    /// The person's consent; the client's stream is open.
    case held
    /// The upstream.
    case forwarded
    /// A complete answer was handed over.
    case answered
  }

  /// `Exchange.sequence` this state belongs to.
  var sequence: UInt64 = 0
  var requestID: UInt64 = 0
  var phase = Phase.idle
  var evidence = CallerEvidence()
  /// nil for own endpoints and for addresses without a route.
  var route: Route?
  /// What follows the route's prefix in the path.
  var pathRest = 0..<0
  /// The JSON-RPC message in the body, where the route speaks it and the body was short enough to look into.
  var message: MessageEnvelope?
  var isModern = false
  /// Where the fields stand that repeat the message.
  var headers = RoutingHeaders()
  var mcpSession = RoutingHeaders.Field.absent
  /// The cookie read last: a connection mostly brings the same one again. Nil where none is remembered.
  private var lastCookie: [UInt8]?
  /// The hash of its ticket, nil where it is none.
  private var lastHash: TicketHash?
  /// The request came with that cookie.
  private var hasLastCookie = false
  /// What is needed of the message after its body was let go: an event stream may run for hours.
  var kept: KeptMessage?
  var session: SessionCache.Entry?
  /// The session that the request runs under: another one than at its beginning after a step-up.
  var owner: TicketHash?
  /// That session ended while the request was under way.
  var isOwnerGone = false
  /// The token the upstream request went out with.
  var credential: SessionSnapshot.Credential?
  /// The request was sent again with a refreshed token already.
  var hasReplayed = false
  /// A redirect on the upstream's own origin was followed already.
  var hasFollowed = false
  /// The MCP session that the request belongs to, as it is kept in `MCPSessionBindings`.
  var mcpSessionKey: Bytes32?
  /// Whose open event stream this is, where it is counted.
  var streamOwner: Bytes32?
  /// The client was asked for input by us, and came back for it.
  var isBack = false
  /// The upstream's answer at hand.
  var answer: AnswerSight?
  /// `X-Forwarded-For` and `Forwarded` lines of this connection, made at its first request.
  var forwarding: [UInt8]?
  var outcome: StaticString = "answered"
  /// What most requests never need: apart, so that those that wait for long do not keep room for it.
  private var rare: Rare?

  private final class Rare {
    var demand: ConsentNeed?
    var upstreamInput: RetryInput?
    var digest: Bytes32?
    var ticket: TicketHash?
  }

  /// The hash of the ticket that came with the request.
  var ticket: TicketHash? {
    get { rare?.ticket ?? (hasLastCookie ? lastHash : nil) }
    set { set(\.ticket, newValue) }
  }

  /// What the upstream demanded, while another token is fetched for it without the person.
  var demand: ConsentNeed? {
    get { rare?.demand }
    set { set(\.demand, newValue) }
  }

  /// What the client sent along for the upstream after an `input_required` result: kept to be given back in a later round.
  var upstreamInput: RetryInput? {
    get { rare?.upstreamInput }
    set { set(\.upstreamInput, newValue) }
  }

  /// The digest of the call, once it was needed.
  var digest: Bytes32? {
    get { rare?.digest }
    set { set(\.digest, newValue) }
  }

  private func set<Value>(_ part: ReferenceWritableKeyPath<Rare, Value?>, _ value: Value?) {
    if rare == nil, value == nil { return }
    let rare = rare ?? Rare()
    rare[keyPath: part] = value
    self.rare = rare
  }

  /// Takes over what was read off the head.
  func see(_ sight: borrowing RequestSight, _ bytes: borrowing Buffer) {
    evidence = sight.evidence
    route = sight.route
    pathRest = sight.pathRest
    headers = sight.headers
    mcpSession = sight.mcpSession
    hasLastCookie = false
    guard let value = sight.ticket else { return }
    if !(lastCookie.map { bytes.equals(value, $0) } ?? false) {
      lastCookie = bytes.array(value)
      lastHash = Base64URL.decode32(bytes, value).map { TicketHash(ticket: $0) }
    }
    hasLastCookie = true
  }

  /// A stream begins, which may be silent for hours: what only spares the next request some work goes.
  func forgetConnection() {
    forwarding = nil
    lastCookie = nil
  }

  func reset(sequence: UInt64, requestID: UInt64) {
    self.sequence = sequence
    self.requestID = requestID
    phase = .idle
    route = nil
    message = nil
    kept = nil
    isModern = false
    session = nil
    owner = nil
    isOwnerGone = false
    credential = nil
    hasReplayed = false
    hasFollowed = false
    mcpSessionKey = nil
    isBack = false
    rare = nil
    answer = nil
    outcome = "answered"
  }
}
