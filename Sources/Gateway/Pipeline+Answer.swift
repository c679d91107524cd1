internal import Basics
internal import Consent
internal import HTTP
internal import MCP
internal import OAuth
internal import Reactor
internal import Wire

/// What happens to an upstream's answer: what is only passed on, what is looked into, what becomes something the caller can act on.
extension DataLoop {
  func answerHead(_ x: Exchange) -> AnswerPlan {
    let call = call(of: x)
    guard let route = call.route else { return .discard }
    let sight = x.withAnswer { head, bytes, _ in AnswerSight(head, bytes) }
    call.answer = sight
    switch sight.status {
    case 401, 403:
      if route.authorization == .bearer, let plan = refused(x, call, route) { return plan }
    case 300...399 where sight.status != 304:
      if let plan = redirected(x, call, route) { return plan }
    default: break
    }
    if sight.hasMCPSession, route.isMCP, call.evidence.verb == .post, noteMCPSession(x, call, route) {
      return .wait
    }
    return watch(x, call, route, sight)
  }

  /// Decides how much of an answer is looked into.
  func watch(_ x: Exchange, _ call: Call, _ route: Route, _ sight: AnswerSight) -> AnswerPlan {
    if sight.content == .eventStream, sight.status == 200 {
      return relay(x, call, route, isEventStream: true)
    }
    if isLookedInto(sight, route) { return .collect(limit: shared.limits.answerBody) }
    // A client that was held reads events: nothing else can go into its stream.
    if x.isLocalStream, sight.content != .json || !sight.hasBody {
      return after { self.deny(x, call, .upstreamBroken) }
    }
    return relay(x, call, route, isEventStream: false)
  }

  /// Messages of MCP servers, and the errors of other APIs.
  func isLookedInto(_ sight: AnswerSight, _ route: Route) -> Bool {
    guard route.authorization == .bearer, sight.content == .json, sight.hasBody,
      route.isMCP || sight.status >= 400
    else { return false }
    return sight.bodyLength.map { $0 <= UInt64(shared.limits.answerBody) } ?? true
  }

  private func relay(_ x: Exchange, _ call: Call, _ route: Route, isEventStream: Bool) -> AnswerPlan {
    guard isEventStream else {
      writeClientHead(x, call, route, isEventStream: false, dropsContentCoding: false)
      keepMessageOfHeld(x, call, route)
      return .relay
    }
    // Its session ended while the upstream was waited for: nothing may begin for it.
    if call.isOwnerGone { return after { self.deny(x, call, .loginRequired) } }
    // What was carried out is answered; a stream that is no answer can be asked for again.
    if !openStream(x, call), call.evidence.verb == .get {
      return after { self.deny(x, call, .tooManyStreams) }
    }
    x.endOfInput = .isDisconnect
    call.forgetConnection()
    noteSessionStream(x, call)
    writeClientHead(x, call, route, isEventStream: true, dropsContentCoding: true)
    keepMessage(x, call, route)
    return .relayEvents(maxEventBytes: shared.limits.event, keepAlive: shared.limits.keepAlive)
  }

  /// The body goes when a stream begins, unless it may have to be sent again.
  private func keepMessage(_ x: Exchange, _ call: Call, _ route: Route) {
    guard call.kept == nil, let message = call.message else { return }
    if call.isModern, message.knownMethod.hasName, message.capabilities.contains(.urlElicitation) {
      _ = digest(x, call)
    }
    if !shared.desk.isEmpty, mayHold(x, call, route) { x.keepsRequest = true }
    call.kept = x.withBody { body, _ in
      KeptMessage(
        id: message.idBytes(body), method: message.methodBytes(body),
        name: message.nameBytes(body, limit: KeptMessage.maxNameBytes))
    }
  }

  /// An answer that passes into a stream of ours lets the request go, as a stream of the upstream's does.
  private func keepMessageOfHeld(_ x: Exchange, _ call: Call, _ route: Route) {
    if x.isLocalStream { keepMessage(x, call, route) }
  }

  private func writeClientHead(
    _ x: Exchange, _ call: Call, _ route: Route, isEventStream: Bool, dropsContentCoding: Bool
  ) {
    let context = AnswerRewrite.Context(
      route: route, crossOrigin: shared.crossOrigin.lines(for: call.evidence.origin),
      isEventStream: isEventStream,
      dropsContentCoding: dropsContentCoding, dropsMCPSessionID: call.isModern,
      cookies: route.passResponseFields.isEmpty ? nil : shared.cookies,
      variesByOrigin: !shared.origins.allowed.isEmpty, strictTransport: shared.isSecure)
    x.withAnswer { head, bytes, out in
      out.removeAll()
      AnswerRewrite.write(to: &out, head: head, input: bytes, context: context)
    }
  }

  // MARK: Collected JSON

  func answerCollected(_ x: Exchange) {
    let call = call(of: x)
    guard let route = call.route else { return deny(x, call, .noRoute) }
    if let need = demand(inBodyOf: x, call, route)?.need, call.session != nil {
      if let body = bridged(need, x, call) { return answer(x, call, .json(200, bytes: body)) }
      if isOurs(need, x, call, route) { return consentNeeded(x, call, route, need) }
    }
    if route.authorization == .bearer, call.answer?.status == 401 { return tokenRefused(x, call, route) }
    if x.isLocalStream, !holdsMessage(x, call) { return deny(x, call, .upstreamBroken) }
    let isDecoded = decodeForClient(x, call)
    writeClientHead(x, call, route, isEventStream: false, dropsContentCoding: isDecoded)
    keepMessageOfHeld(x, call, route)
    x.relayCollected()
  }

  /// Whether an answer can go into a stream of ours: what is no message would leave the client without an answer.
  private func holdsMessage(_ x: Exchange, _ call: Call) -> Bool {
    if call.answer?.isCoded == true { return !x.answerBody.isEmpty }
    let message = MessageEnvelope.scan(x.answerBody, 0..<x.answerBody.count)
    return message.kind == .response && message.idBytes(x.answerBody) != JSONRPC.nullID
  }

  /// Undoes a coding that the client did not ask for (RFC 9110 §12.5.3). What cannot be decoded passes as it came.
  private func decodeForClient(_ x: Exchange, _ call: Call) -> Bool {
    guard call.answer?.isCoded == true, let slot = x.answer.first(.contentEncoding),
      let coding = ContentCoding(x.answerBytes, slot.value), coding != .identity,
      Negotiation.quality(ofCoding: coding.name, in: x.request, x.requestBytes) == 0,
      let decoded = try? ContentDecoder.decode(x.answerBody.array(), coding, maxBytes: 4 << 20)
    else { return false }
    x.answerBody.removeAll()
    x.answerBody.append(decoded)
    return true
  }

  /// The demand in a collected body, decoded first where it is coded. What cannot be decoded within the bound is no demand.
  private func demand(inBodyOf x: Exchange, _ call: Call, _ route: Route) -> ConsentFinding? {
    let watch = route.consent.watch
    let sight = call.answer
    let status = sight?.status ?? x.answer.status
    guard sight?.isCoded == true, let slot = x.answer.first(.contentEncoding) else {
      return watch.finding(inBody: x.answerBody, 0..<x.answerBody.count, status: status)
    }
    guard let coding = ContentCoding(x.answerBytes, slot.value),
      let decoded = try? ContentDecoder.decode(x.answerBody.array(), coding, maxBytes: watch.maxBytes)
    else { return nil }
    let body = Buffer(decoded)
    return watch.finding(inBody: body, 0..<body.count, status: status)
  }

  /// Whether a need is for us to meet: otherwise the upstream's answer says it best. A client that understands the form in which the
  /// upstream asks gets it untouched.
  private func isOurs(_ need: ConsentNeed, _ x: Exchange, _ call: Call, _ route: Route) -> Bool {
    if understands(need, x, call) { return false }
    if call.answer?.status == 401 || call.answer?.status == 403 { return true }
    if case .pass = route.consent.treatment(of: need) { return false }
    return true
  }

  func answerTooLong(_ x: Exchange) {
    let call = call(of: x)
    guard let route = call.route else { return deny(x, call, .noRoute) }
    writeClientHead(x, call, route, isEventStream: false, dropsContentCoding: false)
    keepMessageOfHeld(x, call, route)
    x.relayCollected()
  }

  // MARK: Events

  func event(_ x: Exchange, _ event: borrowing Buffer, _ range: Range<Int>) -> EventVerdict {
    let call = call(of: x)
    guard let route = call.route, route.isMCP, route.authorization == .bearer, call.session != nil,
      let found = route.consent.watch.finding(inEvent: event, range)
    else { return .pass }
    let resumption = EventLines.resumption(of: event, range)
    if let body = bridged(found.need, x, call) { return .replace(resumption + EventLines.message(body)) }
    guard isOurs(found.need, x, call, route) else { return .pass }
    let denial: Denial
    do throws(Denial) {
      let question = try question(x, call, route, found.need)
      // A refusal of something else than this request is told, and the stream goes on.
      if found.id == messageID(x, call), mayHold(x, call, route) {
        hold(x, call, route, found.need)
        return .takeOver(resumption.isEmpty ? [] : resumption + [0x0A])
      }
      denial = .consentRequired(ask(question, x, call, route, found.need))
    } catch {
      denial = error
    }
    // The status line is long gone: the answer to this request inside the stream becomes ours, the stream stays the upstream's.
    let body =
      denial.isAboutConsent
      ? consentAnswer(denial, id: found.id, x, call).body : denialBody(denial, id: found.id, call: call, x)
    return .replace(resumption + EventLines.message(body))
  }

  // MARK: Ends

  func upstreamFailed(_ x: Exchange, _ failure: UpstreamFailure) {
    let call = call(of: x)
    guard failure.isUpstreams else { return deny(x, call, Denial(failure)) }
    metrics.upstreamFailures &+= 1
    shared.control.log.upstreamFailed(
      route: call.route?.path ?? "-", kind: "\(failure.kind)", detail: failure.detail,
      requestID: hex(call.requestID))
    deny(x, call, Denial(failure))
  }

  func refused(_ refusal: inout Refusal) { metrics.refusals.countHead(status: refusal.status) }

  func clientGone(_ x: Exchange) {
    let call = call(of: x)
    metrics.clientsGone &+= 1
    forgetWaiting(call)
    call.outcome = "client_gone"
  }

  func finished(_ x: Exchange) {
    let call = call(of: x)
    forgetWaiting(call)
    if let user = call.streamOwner { closeStream(call, of: user) }
    let stats = x.stats
    if stats.end == .clientStalled { metrics.refusals.count(.slowReader) }
    let ended = stats.endedAt ?? loop.now
    let micros = (ended.nanoseconds &- x.startedAt.nanoseconds) / 1000
    var upstream: UInt64 = 0
    if let from = stats.forwardedAt, let to = stats.answeredAt {
      upstream = (to.nanoseconds &- from.nanoseconds) / 1000
    }
    metrics.record(
      route: call.route?.index, status: stats.status, microseconds: micros, bytesIn: stats.requestBytes,
      bytesOut: stats.answerBytes)
    if accessLog.isEnabled { logAccess(x, call, micros: micros, upstream: upstream) }
    call.phase = .idle
  }

  private func logAccess(_ x: Exchange, _ call: Call, micros: UInt64, upstream: UInt64) {
    let record = AccessLog.Record(
      requestID: call.requestID, status: x.stats.status, route: call.route?.path ?? "-", microseconds: micros,
      upstreamMicroseconds: upstream, bytesIn: x.stats.requestBytes, bytesOut: x.stats.answerBytes,
      outcome: x.stats.end == .complete ? call.outcome : "cut")
    if let kept = call.kept {
      let body = Buffer(kept.method + kept.name)
      let end = kept.method.count
      return accessLog.append(
        record, method: x.request.methodRange, in: x.requestBytes, mcpMethod: 0..<end,
        mcpName: kept.name.isEmpty ? nil : end..<body.count, in: body)
    }
    let message = call.message
    x.withBody { body, _ in
      accessLog.append(
        record, method: x.request.methodRange, in: x.requestBytes, mcpMethod: message?.method,
        mcpName: message?.name, in: body)
    }
  }
}
