internal import Basics
internal import Consent
internal import HTTP
internal import JSON
internal import MCP
internal import Sessions
internal import Wire

/// Telling a caller about consent in the way that suits it: the ladder from a redirect down to a plain status.
extension DataLoop {
  /// What kind of program sent the request. A browser declares where its scripts' requests come from; programs that imitate its
  /// other fields (Node's fetch sends `Sec-Fetch-Mode`) do not send that one.
  func callerKind(_ call: Call) -> CallerFacts.Kind {
    if navigates(call) { return .navigation }
    return call.evidence.site == .absent && call.evidence.origin == .absent ? .program : .pageScript
  }

  /// The way of telling that suits the caller.
  func rung(_ x: Exchange, _ call: Call) -> ConsentRung {
    ConsentRung.choose(for: callerFacts(x, call), scriptAnswer: shared.scriptAnswer)
  }

  private func callerFacts(_ x: Exchange, _ call: Call) -> CallerFacts {
    let kind = callerKind(call)
    guard call.route?.isMCP == true, let message = call.message else { return CallerFacts(kind) }
    return CallerFacts(
      kind: kind, era: call.isModern ? .modern : .legacy, version: legacyVersion(x, call),
      capabilities: capabilities(call, message), method: message.knownMethod,
      isRequest: message.kind == .request)
  }

  private func legacyVersion(_ x: Exchange, _ call: Call) -> CallerFacts.LegacyVersion {
    guard case .once(let range) = call.headers.version,
      x.requestBytes.equals(range, ProtocolVersion.lastLegacy)
    else { return .other }
    return .withURLElicitation
  }

  /// What the client declared: with the request, or when its session was opened.
  private func capabilities(_ call: Call, _ message: MessageEnvelope) -> ClientCapabilities {
    if call.isModern { return message.capabilities }
    return call.mcpSessionKey.map { shared.mcpSessions.capabilities(of: $0) } ?? []
  }

  /// Whether the client understands the very form in which the upstream asks: then that passes untouched.
  func understands(_ need: ConsentNeed, _ x: Exchange, _ call: Call) -> Bool {
    guard need.isElicitation else { return false }
    switch rung(x, call) {
    case .urlElicitation: return need.code == "-32042"
    case .inputRequired: return need.code == "input_required"
    default: return false
    }
  }

  /// An upstream's own elicitation in the form of the revision that the client speaks; nil where none is needed. Its links stay as
  /// they are: they are between the upstream and the person.
  func bridged(_ need: ConsentNeed, _ x: Exchange, _ call: Call) -> [UInt8]? {
    guard need.isElicitation, need.code == "-32042", call.isModern, rung(x, call) == .inputRequired,
      let first = need.links.first, let state = makeRequestState(x, call), let route = call.route
    else { return nil }
    let message = ConsentMessage.text(
      server: route.consent.server, tool: toolName(x, call), scopes: need.scopes)
    var others = JSONObject([])
    for (index, link) in need.links.dropFirst().enumerated() {
      others["\(RequestState.inputKey).\(index + 2)"] = .object([
        "method": "elicitation/create",
        "params": .object(["mode": "url", "url": .string(link), "message": .string(message)]),
      ])
    }
    metrics.consentRequired &+= 1
    return Elicitation.inputRequired(
      id: messageID(x, call), key: RequestState.inputKey, url: first, message: message, requestState: state,
      also: others, meta: nil)
  }

  // MARK: Bodies

  /// Status and body for a denial that has to do with consent.
  func consentAnswer(_ denial: Denial, id: [UInt8], _ x: Exchange, _ call: Call) -> (
    status: Int, body: [UInt8]
  ) {
    let plain = DenialAnswer(denial)
    let rung = rung(x, call)
    let data = consentData(denial, call)
    if case .consentRequired(let question) = denial, let body = elicitation(question, rung, id, data, x, call)
    {
      return (200, body)
    }
    if case .consentGiven = denial, rung == .inputRequired, let state = makeRequestState(x, call) {
      // It was told that its call would be repeated when it was asked: now is the time.
      return (200, Elicitation.callAgain(id: id, requestState: state))
    }
    switch rung {
    case .toolResult, .inputRequired, .urlElicitation:
      guard call.message?.knownMethod == .toolsCall else { break }
      var text = plain.explanation
      if case .consentRequired(let question) = denial { text = question.messageWithLink }
      return (
        200,
        Elicitation.toolResult(
          id: id, text: text, isModern: call.isModern, meta: [Self.metaKey: .object(data)])
      )
    case .redirect, .script, .rpcError, .plainStatus: break
    }
    let body = JSONRPC.error(id: id, code: plain.code, message: plain.explanation, data: data)
    switch rung {
    case .toolResult, .inputRequired, .urlElicitation, .rpcError: return (200, body)
    case .script: return (shared.scriptAnswer.rawValue, body)
    case .redirect, .plainStatus: return (plain.status, body)
    }
  }

  /// Under this key of `_meta` programs find what the text says in words. A prefix of our own, as MCP demands (base protocol, `_meta`).
  private static let metaKey = "coatcheck/consent"

  private func elicitation(
    _ question: ConsentQuestion, _ rung: ConsentRung, _ id: [UInt8], _ data: JSONObject, _ x: Exchange,
    _ call: Call
  ) -> [UInt8]? {
    switch rung {
    case .urlElicitation:
      guard let ask = question.consent.ask else { return nil }
      return Elicitation.required(
        id: id, elicitationID: ConsentQuestion.elicitationID(ask), url: question.url,
        message: question.message, data: data)
    case .inputRequired:
      guard let state = makeRequestState(x, call) else { return nil }
      return Elicitation.inputRequired(
        id: id, key: RequestState.inputKey, url: question.url, message: question.message,
        requestState: state, also: nil, meta: [Self.metaKey: .object(data)])
    default: return nil
    }
  }

  private func consentData(_ denial: Denial, _ call: Call) -> JSONObject {
    switch denial {
    case .consentRequired(let question): return question.data(requestID: hex(call.requestID))
    case .consentExhausted(let scopes):
      return [
        "reason": .string(DenialAnswer(denial).reason), "scopes": .array(scopes.map { .string($0) }),
        "request_id": .string(hex(call.requestID)),
      ]
    default:
      return [
        "reason": .string(DenialAnswer(denial).reason), "request_id": .string(hex(call.requestID)),
      ]
    }
  }
}

extension Denial {
  /// Whether it is told in the caller's own way: MCP clients get a result or an error with status 200, since some end the whole
  /// connection at any other.
  var isAboutConsent: Bool {
    switch self {
    case .consentRequired, .consentExhausted, .consentBlocked, .consentDeclined, .consentGiven,
      .downstreamConsent, .upstreamForbids:
      true
    default: false
    }
  }
}
