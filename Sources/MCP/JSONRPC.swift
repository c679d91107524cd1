public import JSON

/// JSON-RPC 2.0 as MCP uses it: codes, and error answers made by the proxy itself.
public enum JSONRPC {
  /// The text is not JSON.
  public static let parseError = -32700
  /// The JSON is not a message.
  public static let invalidRequest = -32600
  /// The method does not exist.
  public static let methodNotFound = -32601
  /// The parameters are wrong.
  public static let invalidParams = -32602
  /// Headers and body disagree (MCP 2026-07-28, base protocol, *Error Codes*).
  public static let headerMismatch = -32020
  /// A client capability is missing (2026-07-28).
  public static let missingCapability = -32021
  /// The protocol version is not supported (2026-07-28).
  public static let unsupportedVersion = -32022
  /// A URL has to be visited first (2025-11-25 only; must not be sent since 2026-07-28).
  public static let urlElicitationRequired = -32042

  /// The id of an answer to something that had none.
  public static let nullID: [UInt8] = Array("null".utf8)

  /// An error answer.
  ///
  /// - Parameters:
  ///   - id: the request's id as JSON text, so that its type is kept; see ``MessageEnvelope/idBytes(_:)``.
  ///   - code: codes of our own are positive: JSON-RPC and MCP reserve the negative ones they use.
  ///   - message: one sentence for people.
  ///   - data: for programs.
  public static func error(id: [UInt8], code: Int, message: String, data: JSONObject? = nil) -> [UInt8] {
    var error = JSONObject([("code", .number(JSONNumber(code))), ("message", .string(message))])
    if let data { error["data"] = .object(data) }
    return answer(id: id, "error", error)
  }

  /// A result.
  ///
  /// - Parameter id: the request's id as JSON text, see ``MessageEnvelope/idBytes(_:)``.
  public static func result(id: [UInt8], _ result: JSONObject) -> [UInt8] { answer(id: id, "result", result) }

  /// JSON without newlines, so that it fits one line of an event.
  private static func answer(id: [UInt8], _ member: String, _ value: JSONObject) -> [UInt8] {
    var bytes = Array(#"{"jsonrpc":"2.0","id":"#.utf8)
    bytes += id.isEmpty ? nullID : id
    bytes += Array(#","\#(member)":"#.utf8)
    bytes += JSONValue.object(value).serializedBytes()
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }
}
