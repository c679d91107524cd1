internal import Basics
internal import HTTP
internal import JSON
internal import OAuth

/// How a JSON-RPC response may say that consent is needed. Pure; every shape has its row in the tests.
struct MessageDialects {
  let providerOrigins: Set<String>

  /// JSON-RPC error of MCP 2025-11-25 for a link that has to be opened first.
  private static let urlElicitation: Int64 = -32042
  /// The error of Azure AI Foundry's MCP connections; counts only with a consent code or a bare link.
  private static let foundryConsent: Int64 = -32006

  /// The demand in a response; nil for requests, notifications, and answers of any other kind.
  func finding(in message: JSONObject) -> ConsentFinding? {
    guard message["method"] == nil, message["jsonrpc"]?.string == "2.0" else { return nil }
    let id: [UInt8]
    switch message["id"] {
    case .string?, .number?: id = message["id"]?.serializedBytes() ?? Array("null".utf8)
    case nil, .null?: id = Array("null".utf8)
    default: return nil
    }
    switch (message["error"], message["result"]) {
    case (.object(let error)?, nil): return need(inError: error).map { ConsentFinding(need: $0, id: id) }
    case (nil, .object(let result)?): return need(inResult: result).map { ConsentFinding(need: $0, id: id) }
    default: return nil
    }
  }

  // MARK: JSON-RPC errors

  func need(inError error: JSONObject) -> ConsentNeed? {
    let code = error["code"]?.int64
    if code == Self.urlElicitation {
      return elicitations(error["data"]?["elicitations"]?.array, code: "-32042")
    }
    let message = error["message"]?.string ?? ""
    if code == Self.foundryConsent, let need = foundry(message) { return need }
    var facts = ErrorFacts()
    if let data = error["data"] { facts.add(data) }
    facts.add(challengesIn: error["data"]?["_meta"])
    facts.add(text: message)
    facts.addCode(error["code"])
    return facts.need(source: .rpcError, providerOrigins: providerOrigins)
  }

  /// `message` is the link itself, or some text and then the errors of several tool sources. Those count only
  /// when each of them is a demand for consent.
  private func foundry(_ message: String) -> ConsentNeed? {
    if let link = ConsentLink.safe(message) {
      return ConsentNeed(.consent, source: .rpcError, code: "-32006", target: .downstream, link: link)
    }
    guard let errors = ErrorText.embeddedObject(message)?["errors"]?.array, !errors.isEmpty else {
      return nil
    }
    var link: String?
    for entry in errors {
      guard entry["error"]?["code"]?.string == "CONSENT_REQUIRED" else { return nil }
      if link == nil { link = entry["error"]?["message"]?.string.flatMap(ConsentLink.safe) }
    }
    return ConsentNeed(.consent, source: .rpcError, code: "CONSENT_REQUIRED", target: .downstream, link: link)
  }

  // MARK: Results

  func need(inResult result: JSONObject) -> ConsentNeed? {
    if result["resultType"]?.string == "input_required" { return inputRequired(result) }
    guard result["isError"] == .bool(true) else { return nil }
    var facts = ErrorFacts()
    facts.add(challengesIn: result["_meta"])
    if let structured = result["structuredContent"] { facts.add(structured) }
    for content in (result["content"]?.array ?? []).prefix(Self.maxContents) {
      guard content["type"]?.string == "text", let text = content["text"]?.string else { continue }
      facts.add(text: text)
    }
    return facts.need(source: .toolResult, providerOrigins: providerOrigins)
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
    var link: String?
    for entry in entries {
      guard entry["mode"]?.string == "url", let url = entry["url"]?.string else { return nil }
      if link == nil { link = ConsentLink.safe(url) }
      scopes += ConsentLink.scopes(of: url, providerOrigins: providerOrigins)
    }
    return ConsentNeed(
      .consent, source: .elicitation, code: code, scopes: scopes, target: .downstream, link: link)
  }

  /// More parts of one answer are not looked at.
  private static let maxContents = 32
}
