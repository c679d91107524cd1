internal import Basics
internal import Consent
internal import HTTP
internal import JSON
internal import MCP
internal import Reactor
internal import Sessions
internal import Wire

/// A call that came again before the person has consented, held open.
///
/// Why: clients repeat a call at once when their user agrees to open a link, long before the consent is given, and give up after a few
/// rounds. The call goes upstream first each time; it is held only when it is refused again.
struct HeldCall {
  let exchange: Exchange
  let route: Int
  let user: Bytes32
  let subject: ConsentDesk.Subject
  let need: ConsentNeed
  let until: MonotonicTime
}

/// What became of a question, told to every loop.
struct ConsentOutcome: Sendable {
  var user: Bytes32
  /// nil: the route is gone from the configuration.
  var route: Int?
  var state: ConsentDesk.State
  /// What was asked about; nil for a page that was sent to the provider at once.
  var subject: ConsentDesk.Subject?
  /// The question, and the MCP session that is told when it was answered with yes. Others that a consent may serve as well have links
  /// of their own, which their users have not opened.
  var ask: TicketHash?
  var mcpSession: Bytes32?
}

extension DataLoop {
  /// Held calls of one loop, and of one person.
  private static let maxHeld = 4096
  private static let maxHeldPerUser = 8
  /// How often a held client hears that its call is alive.
  private static let heartbeat = Duration.seconds(5)

  /// Whether to hold the call instead of telling its client again: it was asked about, nobody has answered, and its client can read
  /// an event stream. A page's script has its own way of waiting.
  func mayHold(_ x: Exchange, _ call: Call, _ route: Route) -> Bool {
    guard shared.hold > .zero, route.isMCP, call.message?.kind == .request,
      callerKind(call) == .program, held.count < Self.maxHeld, let session = call.session?.snapshot,
      let accept = x.request.first(.accept)?.value,
      x.requestBytes.find("text/event-stream", in: accept) != nil,
      shared.desk.isOpen(subject(x, call, route, session), now: Timestamp.now())
    else { return false }
    // A client that was given a state brings it back. Without, the call is a new one: its user has no link at hand.
    if rung(x, call) == .inputRequired, !call.isBack { return false }
    var count = 0
    for entry in held.values where entry.user == session.userDigest { count += 1 }
    return count < Self.maxHeldPerUser
  }

  func hold(_ x: Exchange, _ call: Call, _ route: Route, _ need: ConsentNeed) {
    guard let session = call.session?.snapshot else { return deny(x, call, .loginRequired) }
    metrics.callsHeld &+= 1
    call.phase = .held
    held[call.requestID] = HeldCall(
      exchange: x, route: route.index, user: session.userDigest, subject: subject(x, call, route, session),
      need: need, until: loop.now + shared.hold)
    guard !x.isLocalStream else { return }
    _ = openStream(x, call)
    let crossOrigin = shared.crossOrigin.lines(for: call.evidence.origin)
    let requestID = call.requestID
    let isSecure = shared.isSecure
    x.startStream(status: 200, keepAlive: Self.heartbeat) { out in
      out.append("Content-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\n")
      out.append("Vary: Cookie, Origin\r\nX-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\n")
      out.append("X-Request-ID: ")
      out.append(hex: requestID)
      out.append("\r\n")
      if isSecure { out.append("Strict-Transport-Security: max-age=31536000\r\n") }
      out.append(crossOrigin)
    }
  }

  /// A question was answered. With yes, all held calls of that person to that server go on, since one consent may serve several,
  /// and the MCP session that waits hears of it. With no, only what was asked about ends.
  func settled(_ outcome: ConsentOutcome) {
    if outcome.state == .granted, let ask = outcome.ask, let key = outcome.mcpSession {
      announce(ask, to: key)
    }
    for (id, entry) in held where entry.user == outcome.user && entry.route == outcome.route {
      guard outcome.state == .granted || entry.subject == outcome.subject else { continue }
      held[id] = nil
      if let call = heldCall(id, entry) { goOn(entry, call, outcome) }
    }
  }

  private func goOn(_ entry: HeldCall, _ call: Call, _ outcome: ConsentOutcome) {
    let x = entry.exchange
    guard outcome.state == .granted else { return deny(x, call, .consentDeclined) }
    // What may have run is not run again by us: its caller decides.
    guard entry.need.isUnexecuted, x.canReplay, let ticket = call.ticket else {
      return deny(x, call, .consentGiven)
    }
    metrics.callsReplayed &+= 1
    call.hasReplayed = false
    call.demand = nil
    call.credential = nil
    call.session = nil
    askForSession(x, call, ticket)
  }

  /// Those that waited long enough get a fresh link.
  func endHolds() {
    guard !held.isEmpty else { return }
    for (id, entry) in held where loop.now >= entry.until {
      held[id] = nil
      guard let call = heldCall(id, entry), let route = call.route else { continue }
      do throws(Denial) {
        let question = try question(entry.exchange, call, route, entry.need)
        giveLink(question, entry.exchange, call, route, entry.need) { .deny(.consentRequired($0)) }
      } catch {
        deny(entry.exchange, call, error)
      }
    }
  }

  /// Held calls that have nothing to wait for any more are told why.
  func endHolds(with denial: Denial, where isOver: (Call) -> Bool = { _ in true }) {
    for (id, entry) in held {
      guard let call = heldCall(id, entry), isOver(call) else { continue }
      held[id] = nil
      deny(entry.exchange, call, denial)
    }
  }

  /// The state of a held call; nil when its exchange went on to something else.
  private func heldCall(_ id: UInt64, _ entry: HeldCall) -> Call? {
    guard let call = entry.exchange.context as? Call, call.requestID == id, call.phase == .held else {
      return nil
    }
    return call
  }

  // MARK: Announcing

  /// `notifications/elicitation/complete` (MCP 2025-11-25) on the session's own stream, if it is on this loop.
  private func announce(_ ask: TicketHash, to key: Bytes32) {
    guard let id = shared.mcpSessions.stream(of: key),
      let x = sessionStreams[id], let call = x.context as? Call, call.requestID == id
    else { return }
    let message = Elicitation.complete(elicitationID: ConsentQuestion.elicitationID(ask))
    if x.inject(EventLines.message(message)) { metrics.completionsAnnounced &+= 1 }
  }

  /// Remembers an MCP session's own stream, to be told of completed consents.
  func noteSessionStream(_ x: Exchange, _ call: Call) {
    guard call.evidence.verb == .get, let key = call.mcpSessionKey else { return }
    sessionStreams[call.requestID] = x
    shared.mcpSessions.opened(stream: call.requestID, of: key)
  }

  /// The exchange is over: nothing of it may stay behind.
  func forgetWaiting(_ call: Call) {
    waiting[call.requestID] = nil
    if !held.isEmpty { held[call.requestID] = nil }
    guard !sessionStreams.isEmpty, sessionStreams.removeValue(forKey: call.requestID) != nil,
      let key = call.mcpSessionKey
    else { return }
    shared.mcpSessions.closed(stream: call.requestID, of: key)
  }
}
