internal import Basics
internal import JSON

// What the challenges of token schemes say: RFC 6750 §3, RFC 9470, RFC 9728, Entra and Microsoft.Identity.Web.
extension Challenge {
  /// Whether the scheme is `Bearer`, in any case.
  public var isBearer: Bool { ASCII.equalsIgnoringCase(scheme, "Bearer") }

  /// The value of a parameter; names compare without case.
  public subscript(name: String) -> String? {
    parameters.first { ASCII.equalsIgnoringCase($0.name, name) }?.value
  }

  /// `error`.
  public var error: String? { nonEmpty("error") }
  /// `error_description`, for logs.
  public var errorDescription: String? { nonEmpty("error_description").flatMap { ErrorText.clean($0) } }
  /// `realm`.
  public var realm: String? { self["realm"] }
  /// `resource_metadata` (RFC 9728 §5.1).
  public var resourceMetadata: String? { nonEmpty("resource_metadata") }
  /// `authorization_uri` (Entra).
  public var authorizationURI: String? { nonEmpty("authorization_uri") }
  /// `consentUri` (Microsoft.Identity.Web): not to be followed before it was checked.
  public var consentURI: String? { nonEmpty("consenturi") }
  /// `proposedAction` (Microsoft.Identity.Web).
  public var proposedAction: String? { nonEmpty("proposedaction") }

  /// `scope`, separated by spaces, or `scopes` of Microsoft.Identity.Web, separated by commas. Only what can be a scope (RFC 6749
  /// §3.3), each once, at most 64.
  public var scope: [String] {
    let words =
      nonEmpty("scope").map { $0.split(separator: " ") }
      ?? nonEmpty("scopes").map { $0.split { $0 == "," || $0 == " " } } ?? []
    var out: [String] = []
    for word in words where out.count < Self.maxScopes {
      let text = String(word)
      if Self.isScope(text), !out.contains(text) { out.append(text) }
    }
    return out
  }

  /// `claims` decoded: JSON text to send with an authorization request, as it was written. It comes as base64 in either alphabet,
  /// padded or not, or raw. Nil unless it is a JSON object of at most 8 KiB.
  public var claims: String? {
    guard let value = nonEmpty("claims"), value.utf8.count <= Self.maxClaimsBytes * 2 else { return nil }
    let text: String
    if value.hasPrefix("{") {
      text = value
    } else {
      guard let bytes = Base64.decodeLenient(value), let decoded = String(validating: bytes, as: UTF8.self)
      else { return nil }
      text = decoded
    }
    guard text.utf8.count <= Self.maxClaimsBytes,
      let value = try? JSONValue.parse(text, limits: JSONLimits(depth: 16, bytes: Self.maxClaimsBytes)),
      value.object?.isEmpty == false
    else { return nil }
    return text
  }

  /// `acr_values` (RFC 9470 §3): the preferred first, any one suffices; at most 16.
  public var acrValues: [String] {
    (nonEmpty("acr_values")?.split(separator: " ") ?? []).prefix(16).map(String.init)
  }

  /// `max_age` (RFC 9470 §3) in seconds.
  public var maxAge: Int? {
    guard let text = nonEmpty("max_age"), text.utf8.count <= 9, text.utf8.allSatisfy(ASCII.isDigit) else {
      return nil
    }
    return Int(text)
  }

  private static let maxScopes = 64
  private static let maxClaimsBytes = 8 << 10

  private func nonEmpty(_ name: String) -> String? { self[name].flatMap { $0.isEmpty ? nil : $0 } }

  /// RFC 6749 §3.3: visible ASCII without quote and backslash.
  private static func isScope(_ text: String) -> Bool {
    text.utf8.count <= 512 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
  }
}
