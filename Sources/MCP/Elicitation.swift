public import JSON

/// The ways an MCP server asks a person to open a link, as whole messages of the proxy's own.
///
/// Every function gives one JSON text without newlines, fit for a body of `application/json` and for one line
/// of an event. An `id` is JSON text, see ``MessageEnvelope/idBytes(_:)``.
public enum Elicitation {
  /// The error that a client of 2025-11-25 understands when it declared URL elicitation (client elicitation,
  /// *URL Elicitation Required Error*). Must go to no other client.
  ///
  /// - Parameters:
  ///   - elicitationID: names this request for ``complete(elicitationID:)``.
  ///   - url: where the person has to go.
  ///   - message: one sentence for people.
  ///   - data: more members of `error.data`, for programs. Its `elicitations` would be ignored.
  public static func required(
    id: [UInt8], elicitationID: String, url: String, message: String, data: JSONObject
  ) -> [UInt8] {
    let elicitation: JSONObject = [
      "mode": "url", "elicitationId": .string(elicitationID), "url": .string(url),
      "message": .string(message),
    ]
    let members: JSONObject = ["elicitations": .array([.object(elicitation)])]
    return JSONRPC.error(
      id: id, code: JSONRPC.urlElicitationRequired, message: message, data: members.adding(data))
  }

  /// The result that asks a client of 2026-07-28 for input (patterns, *Multi Round-Trip Requests*). Allowed
  /// only for methods where ``MessageEnvelope/Method/hasName`` holds, and clients that declared URL
  /// elicitation.
  ///
  /// - Parameters:
  ///   - key: names our request; the response comes back under it.
  ///   - url: where the person has to go.
  ///   - message: one sentence for people.
  ///   - requestState: comes back exactly.
  ///   - also: the upstream's own `inputRequests`, to be answered along with ours. One under `key` is left out.
  ///   - meta: `_meta` of the result.
  public static func inputRequired(
    id: [UInt8], key: String, url: String, message: String, requestState: String, also: JSONObject?,
    meta: JSONObject?
  ) -> [UInt8] {
    let request: JSONObject = [
      "method": "elicitation/create",
      "params": .object(["mode": "url", "url": .string(url), "message": .string(message)]),
    ]
    var requests: JSONObject = [key: .object(request)]
    if let also { requests = requests.adding(also) }
    var result: JSONObject = [
      "resultType": "input_required", "requestState": .string(requestState),
      "inputRequests": .object(requests),
    ]
    if let meta, !meta.isEmpty { result["_meta"] = .object(meta) }
    return JSONRPC.result(id: id, result)
  }

  /// The result that makes a client of 2026-07-28 call again by itself: it asks for nothing.
  public static func callAgain(id: [UInt8], requestState: String) -> [UInt8] {
    JSONRPC.result(id: id, ["resultType": "input_required", "requestState": .string(requestState)])
  }

  /// A failed tool call that says in words what to do: every client shows it to its model or its user.
  ///
  /// There is no `structuredContent`, since clients hold that to the tool's output schema.
  ///
  /// - Parameters:
  ///   - text: for people and models, the link included.
  ///   - isModern: whether the request was of 2026-07-28, whose results say their type.
  ///   - meta: `_meta` of the result, for programs; left out when empty.
  public static func toolResult(id: [UInt8], text: String, isModern: Bool, meta: JSONObject) -> [UInt8] {
    var result: JSONObject = isModern ? ["resultType": "complete"] : [:]
    result["content"] = .array([.object(["type": "text", "text": .string(text)])])
    result["isError"] = true
    if !meta.isEmpty { result["_meta"] = .object(meta) }
    return JSONRPC.result(id: id, result)
  }

  /// The notification that what ``required(id:elicitationID:url:message:data:)`` asked for has been done
  /// (2025-11-25, client elicitation, *Completion Notifications*). Only for the client that was asked.
  public static func complete(elicitationID: String) -> [UInt8] {
    let message: JSONObject = [
      "jsonrpc": "2.0", "method": "notifications/elicitation/complete",
      "params": .object(["elicitationId": .string(elicitationID)]),
    ]
    return JSONValue.object(message).serializedBytes()
  }
}

extension JSONObject {
  /// Those members of `other` that are not here yet, behind the ones that are.
  fileprivate func adding(_ other: JSONObject) -> JSONObject {
    var sum = self
    for member in other.members where sum[member.key] == nil { sum[member.key] = member.value }
    return sum
  }
}
