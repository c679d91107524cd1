public import Basics

/// Why an authorization response is not believed. Nothing of it may be redeemed or shown then.
public enum CallbackRejection: String, Error, Sendable, Hashable, CaseIterable {
  /// A parameter occurs twice, is too long, or both `code` and `error` are there.
  case malformed
  /// No `state`.
  case stateMissing = "state_missing"
  /// `state` is not the attempt's.
  case state
  /// The provider promises `iss` and it is not there (RFC 9207 §2.4).
  case issuerMissing = "issuer_missing"
  /// `iss` is not the issuer that was asked: a mix-up (RFC 9207 §2.4).
  case issuer
  /// Neither `code` nor `error`.
  case empty
}

/// An authorization response as a browser brings it to the redirect URI (RFC 6749 §4.1.2, RFC 9207). Tokens in it are ignored:
/// they come from the token endpoint only.
public struct AuthorizationCallback: Sendable {
  /// `code`.
  public let code: Secret?
  /// `state`.
  public let state: String?
  /// `iss` (RFC 9207).
  public let issuer: String?
  /// `error`, when it is one word of the standard's alphabet.
  public let error: String?
  /// `error_description`: for the log, at most 1,024 bytes; never for a page.
  public let errorDescription: String?
  /// `suberror` or `error_subcode` (Entra sends `cancel` when the user went back).
  public let suberror: String?
  /// Whether a parameter occurs twice, is too long, or both code and error are there; everything else is nil then.
  public let isMalformed: Bool

  /// What a believable response says.
  public enum Outcome: Sendable, Equatable {
    /// To be redeemed.
    case code(Secret)
    /// The user or the provider said no.
    case refused(error: String)
  }

  private static let limits = [
    "code": 8192, "state": 1024, "iss": 2048, "error": 128, "error_description": 8192, "suberror": 128,
    "error_subcode": 128,
  ]

  /// From the decoded parameters of the query.
  public init(parameters: [(name: String, value: String)]) {
    var values: [String: String] = [:]
    var isMalformed = false
    for (name, value) in parameters {
      guard let limit = Self.limits[name] else { continue }
      if values.updateValue(value, forKey: name) != nil || value.utf8.count > limit { isMalformed = true }
    }
    if values["code"] != nil, values["error"] != nil { isMalformed = true }
    if isMalformed { values = [:] }
    func value(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }
    self.isMalformed = isMalformed
    code = value("code").map { Secret($0) }
    state = value("state")
    issuer = value("iss")
    // An error in an alphabet of its own must not get into logs, but it is still an error.
    error = values["error"].map { ErrorText.isCode($0) ? $0 : "invalid_error" }
    errorDescription = value("error_description").flatMap { ErrorText.clean($0) }
    suberror = (value("suberror") ?? value("error_subcode")).flatMap { ErrorText.isCode($0) ? $0 : nil }
  }

  /// From the query of the request.
  public init(query: String) {
    self.init(parameters: PercentEncoding.parseQuery(query).map { (name: $0.0, value: $0.1) })
  }

  /// Whether the response comes from the issuer that was asked (RFC 9207 §2.4): `iss` equals `recorded`, or it is absent and the
  /// provider does not promise it. For a template issuer `iss` may name any tenant that fits the template.
  public func issuerFits(_ recorded: String, metadata: ProviderMetadata) -> Bool {
    guard let issuer else { return !metadata.promisesIssuerInResponse }
    return issuer == recorded || metadata.issuerTemplate?.tenant(in: issuer) != nil
  }

  /// The whole check before anything is redeemed or shown: state first, then issuer, then error or code.
  public func validate(
    state expected: Secret, issuer recorded: String, metadata: ProviderMetadata
  ) throws(CallbackRejection) -> Outcome {
    guard !isMalformed else { throw .malformed }
    guard let state else { throw .stateMissing }
    guard Secret(state) == expected else { throw .state }
    guard issuerFits(recorded, metadata: metadata) else { throw issuer == nil ? .issuerMissing : .issuer }
    if let error { return .refused(error: error) }
    guard let code else { throw .empty }
    return .code(code)
  }
}
