internal import Basics
internal import HTTP
internal import JSON
internal import OAuth

/// How a JSON answer may say that consent is needed. Pure; every shape has its row in the tests.
struct MessageDialects: Sendable {
  let providerOrigins: Set<String>
  /// Codes of the upstream's own that mean the same as `consent_required`.
  let consentCodes: Set<Int>
  /// Forms of the upstream's own.
  let rules: [ConsentRule]

  /// The id of an answer that has none.
  static let noID = Array("null".utf8)

  /// JSON-RPC error of MCP 2025-11-25 for a link that has to be opened first.
  private static let urlElicitation: Int64 = -32042
  /// The error of Azure AI Foundry's MCP connections; counts only with a consent code or a bare link.
  private static let foundryConsent: Int64 = -32006

  /// The demand in an answer; nil for requests, notifications, and answers of any other kind.
  func finding(in message: JSONObject, status: AnswerStatus = AnswerStatus(200)) -> ConsentFinding? {
    guard let version = message["jsonrpc"] else {
      return need(inPlain: message, status).map { ConsentFinding(need: $0, id: Self.noID) }
    }
    guard version.string == "2.0", message["method"] == nil else { return nil }
    let id: [UInt8]
    switch message["id"] {
    case .string?, .number?: id = message["id"]?.serializedBytes() ?? Self.noID
    case nil, .null?: id = Self.noID
    default: return nil
    }
    let need: ConsentNeed?
    switch (message["error"], message["result"]) {
    case (.object(let error)?, nil): need = self.need(inError: error, of: message, status)
    case (nil, .object(let result)?): need = self.need(inResult: result, of: message)
    default: return nil
    }
    return need.map { ConsentFinding(need: $0, id: id) }
  }

  // MARK: JSON-RPC errors

  private func need(inError error: JSONObject, of message: JSONObject, _ status: AnswerStatus) -> ConsentNeed?
  {
    let code = error["code"]?.int64
    let text = error["message"]?.string ?? ""
    var facts = ErrorFacts()
    if let data = error["data"] { facts.add(data) }
    facts.add(challengesIn: error["data"]?["_meta"])
    facts.add(text: text)
    facts.addCode(error["code"])
    if let code, let code = Int(exactly: code), consentCodes.contains(code) {
      facts.addCode("consent_required")
    }
    let isTurnedAway = status.isTurnedAway || code == Self.foundryConsent
    if let match = RuleMatch(rules, in: [.object(message)]) {
      return match.need(
        facts, source: .rpcError, providerOrigins: providerOrigins, isTurnedAway: status.isTurnedAway)
    }
    if code == Self.urlElicitation {
      return elicitations(error["data"]?["elicitations"]?.array, code: "-32042")
    }
    if code == Self.foundryConsent, let need = foundry(text) { return need }
    return facts.need(source: .rpcError, providerOrigins: providerOrigins, isTurnedAway: isTurnedAway)
  }

  /// `message` is the link itself, or some text and then the errors of several tool sources. Those count only
  /// when each of them is a demand for consent.
  private func foundry(_ message: String) -> ConsentNeed? {
    if let link = ConsentLink.safe(message) {
      return ConsentNeed(
        .consent, source: .rpcError, code: "-32006", target: .downstream, link: link, isUnexecuted: true)
    }
    guard let errors = ErrorText.embeddedObject(message)?["errors"]?.array, !errors.isEmpty else {
      return nil
    }
    var links: [String] = []
    for entry in errors {
      guard entry["error"]?["code"]?.string == "CONSENT_REQUIRED" else { return nil }
      if let link = entry["error"]?["message"]?.string.flatMap(ConsentLink.safe) { links.append(link) }
    }
    return ConsentNeed(
      .consent, source: .rpcError, code: "CONSENT_REQUIRED", target: .downstream, links: links,
      isUnexecuted: true)
  }

  // MARK: Results

  private func need(inResult result: JSONObject, of message: JSONObject) -> ConsentNeed? {
    if !rules.isEmpty, let match = RuleMatch(rules, in: [.object(message)] + textObjects(result)) {
      return match.need(
        facts(of: result), source: .toolResult, providerOrigins: providerOrigins, isTurnedAway: false)
    }
    if result["resultType"]?.string == "input_required" { return inputRequired(result) }
    guard result["isError"] == .bool(true) else { return nil }
    return facts(of: result).need(source: .toolResult, providerOrigins: providerOrigins, isTurnedAway: false)
  }

  private func facts(of result: JSONObject) -> ErrorFacts {
    var facts = ErrorFacts()
    facts.add(challengesIn: result["_meta"])
    if let structured = result["structuredContent"] { facts.add(structured) }
    for text in texts(result) { facts.add(text: text) }
    return facts
  }

  private func texts(_ result: JSONObject) -> [String] {
    (result["content"]?.array ?? []).prefix(Self.maxContents).compactMap {
      $0["type"]?.string == "text" ? $0["text"]?.string : nil
    }
  }

  /// The texts that are JSON objects from their first byte to their last.
  private func textObjects(_ result: JSONObject) -> [JSONValue] {
    texts(result).compactMap { ErrorText.wholeObject($0).map(JSONValue.object) }
  }

  /// An `input_required` result (MCP 2026-07-28, multi-round requests) that asks for nothing but links.
  private func inputRequired(_ result: JSONObject) -> ConsentNeed? {
    guard let requests = result["inputRequests"]?.object, !requests.isEmpty else { return nil }
    var entries: [JSONValue] = []
    for request in requests.members {
      guard request.value["method"]?.string == "elicitation/create", let params = request.value["params"]
      else {
        return nil
      }
      entries.append(params)
    }
    return elicitations(entries, code: "input_required")
  }

  /// Links to be opened. They are the upstream's own, for a service behind it, unless they lead to our
  /// provider: then they name scopes we can ask for ourselves.
  private func elicitations(_ entries: [JSONValue]?, code: String) -> ConsentNeed? {
    guard let entries, !entries.isEmpty, entries.count <= Self.maxContents else { return nil }
    var scopes: [String] = []
    var links: [String] = []
    for entry in entries {
      guard entry["mode"]?.string == "url", let url = entry["url"]?.string else { return nil }
      if let link = ConsentLink.safe(url) { links.append(link) }
      scopes += ConsentLink.scopes(of: url, providerOrigins: providerOrigins)
    }
    return ConsentNeed(
      .consent, source: .elicitation, code: code, scopes: scopes, target: .downstream, links: links)
  }

  /// More parts of one answer are not looked at.
  private static let maxContents = 32

  // MARK: Bodies that are no JSON-RPC

  private func need(inPlain object: JSONObject, _ status: AnswerStatus) -> ConsentNeed? {
    if let need = FoundryConsent.need(inResponse: object) { return need }
    guard status.isRefusal else { return nil }
    var facts = ErrorFacts()
    facts.add(.object(object))
    if let match = RuleMatch(rules, in: [.object(object)]) {
      return match.need(
        facts, source: .body, providerOrigins: providerOrigins, isTurnedAway: status.isTurnedAway)
    }
    return facts.need(source: .body, providerOrigins: providerOrigins, isTurnedAway: status.isTurnedAway)
  }
}
