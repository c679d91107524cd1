internal import JSON
internal import MCP

/// The fixed answers to a caller that has to do something first, as JSON-RPC error bodies.
///
/// Programs go by `error.data.reason`. The codes are positive, outside the range JSON-RPC and MCP reserve.
public enum ConsentAnswer {
  /// `error.code` of ``loginRequired(id:loginURL:)``.
  public static let loginRequiredCode = 1001
  /// `error.code` of ``consentRequired(id:scopes:interactionURL:message:)``.
  public static let consentRequiredCode = 1002
  /// `error.code` of ``consentFailed(id:scopes:)``.
  public static let consentFailedCode = 1003

  /// Nobody is signed in:
  /// `{"jsonrpc":"2.0","id":…,"error":{"code":1001,…,"data":{"reason":"login_required",…}}}`.
  ///
  /// - Parameter id: the request's id as JSON text, see ``MessageEnvelope/idBytes(_:)``.
  public static func loginRequired(id: [UInt8], loginURL: String) -> [UInt8] {
    JSONRPC.error(
      id: id, code: loginRequiredCode, message: "Sign in to go on.",
      data: ["reason": "login_required", "login_url": .string(loginURL)])
  }

  /// The user has to agree to something: the scopes, where they are known, and where that happens.
  public static func consentRequired(
    id: [UInt8], scopes: [String], interactionURL: String, message: String? = nil
  ) -> [UInt8] {
    JSONRPC.error(
      id: id, code: consentRequiredCode, message: message ?? consentMessage(scopes),
      data: [
        "reason": "consent_required", "scopes": .array(scopes.map(JSONValue.string)),
        "interaction_url": .string(interactionURL),
      ])
  }

  /// The user did all that was asked, and the server refuses all the same.
  public static func consentFailed(id: [UInt8], scopes: [String]) -> [UInt8] {
    let wanted = scopes.isEmpty ? "" : " It still asks for: \(scopes.joined(separator: " "))."
    return JSONRPC.error(
      id: id, code: consentFailedCode, message: "Consent was given, and the server still refuses.\(wanted)",
      data: ["reason": "consent_failed", "scopes": .array(scopes.map(JSONValue.string))])
  }

  /// The sentence of ``consentRequired(id:scopes:interactionURL:message:)``.
  public static func consentMessage(_ scopes: [String]) -> String {
    scopes.isEmpty
      ? "The server needs your consent."
      : "The server needs your consent to: \(scopes.joined(separator: " "))."
  }

  /// `body` (JSON without newlines) as one server-sent event.
  public static func event(_ body: [UInt8]) -> [UInt8] {
    Array("event: message\ndata: ".utf8) + body + Array("\n\n".utf8)
  }
}
