/// What is handed to the token endpoint in exchange for tokens.
public enum GrantType: String, Sendable, Hashable {
  case authorizationCode = "authorization_code"
  case refreshToken = "refresh_token"
  /// A JWT as assertion (RFC 7523 §2.1): Entra's on-behalf-of flow.
  case jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
  /// RFC 8693.
  case tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
}

/// A refusal of the token endpoint (RFC 6749 §5.2) with the additions of Entra, Auth0 and Google.
///
/// Values are as sent, of bounded length and without control characters; they are for decisions and logs, never for pages.
public struct TokenEndpointError: Error, Sendable, Hashable {
  /// The HTTP status; 200 from providers that report errors so.
  public var status: Int
  /// `error`; nil when the body names none.
  public var error: String?
  /// `error_description`, at most 1,024 bytes.
  public var description: String?
  /// `suberror` (Entra) or `error_subtype` (Google).
  public var suberror: String?
  /// `error_codes` (Entra): numbers of `AADSTS` errors, at most 16.
  public var errorCodes: [Int]
  /// `claims`: JSON text to send with the next authorization request, untouched; at most 8 KiB.
  public var claims: String?
  /// `error_uri`.
  public var errorURI: String?
  /// `correlation_id`, to find the case in the provider's own logs.
  public var correlationID: String?
  /// `Retry-After`, at most an hour.
  public var retryAfter: Duration?
  /// Whether there was no body at all: some servers answer a dead refresh token so.
  public var isEmptyBody: Bool
  /// What was asked of the endpoint.
  public var grant: GrantType

  /// A refusal.
  public init(
    status: Int, error: String? = nil, description: String? = nil, suberror: String? = nil,
    errorCodes: [Int] = [], claims: String? = nil, errorURI: String? = nil, correlationID: String? = nil,
    retryAfter: Duration? = nil, isEmptyBody: Bool = false, grant: GrantType = .refreshToken
  ) {
    self.status = status
    self.error = error
    self.description = description
    self.suberror = suberror
    self.errorCodes = errorCodes
    self.claims = claims
    self.errorURI = errorURI
    self.correlationID = correlationID
    self.retryAfter = retryAfter
    self.isEmptyBody = isEmptyBody
    self.grant = grant
  }

  /// `error`, or what an answer without any means: 400 with an empty body to a refresh is `invalid_grant`.
  public var effectiveError: String? {
    error ?? (isEmptyBody && status == 400 && grant == .refreshToken ? "invalid_grant" : nil)
  }

  /// Whether the code or refresh token is dead (RFC 6749 §5.2).
  public var isInvalidGrant: Bool { effectiveError == "invalid_grant" && !isClientLoop }

  /// Whether subject or actor token of an exchange are refused: RFC 8693 §2.2.2 has `invalid_request` for that, where other grants
  /// have `invalid_grant`.
  public var isSubjectRefused: Bool {
    grant == .tokenExchange && (effectiveError == "invalid_request" || effectiveError == "invalid_grant")
  }

  /// Whether the same request came too often (Entra's `AADSTS50196`): it must not be repeated at once.
  public var isClientLoop: Bool {
    errorCodes.contains(Self.clientLoop) || description?.contains("AADSTS\(Self.clientLoop):") == true
  }

  static let clientLoop = 50196

  /// Whether the same request may well succeed later; the refresh token is worth keeping.
  public var isTransient: Bool {
    status == 429 || status >= 500 || isClientLoop
      || ["temporarily_unavailable", "server_error", "slow_down"].contains(error)
  }

  /// For the log: the codes without the provider's prose.
  public var summary: String {
    var text = "token endpoint refused \(grant.rawValue): status \(status)"
    if let effectiveError { text += ", \(effectiveError.prefix(64))" }
    if let suberror { text += "/\(suberror.prefix(64))" }
    if !errorCodes.isEmpty { text += ", codes \(errorCodes)" }
    if let correlationID { text += ", correlation \(correlationID)" }
    return text
  }
}
