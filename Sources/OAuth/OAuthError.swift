public import HTTP

/// Why a conversation with the provider did not give what was asked.
public enum OAuthError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The provider's endpoints, by their names in metadata.
  public enum Endpoint: String, Sendable, Hashable {
    case discovery, token, revocation
    case keys = "jwks"
    case pushedAuthorization = "pushed_authorization_request"
  }

  /// How a response fails to be one of the standard.
  public enum ResponseFault: Sendable, Hashable {
    /// Neither a success nor an error of the standard: a redirect, an interim status.
    case status
    /// The body is longer than allowed.
    case tooLong(limit: Int)
    /// The body is not the JSON it should be.
    case notJSON
    /// The named member is missing or has no usable value.
    case member(String)
    /// The token is not of type `Bearer` (RFC 6749 §7.1: then it must not be used).
    case tokenType
  }

  /// The endpoint could not be reached or spoke no HTTP.
  case transport(TransportError, Endpoint)
  /// The discovery document cannot be used.
  case metadata(MetadataFault)
  /// The key set cannot be used.
  case keys(KeySetFault)
  /// The provider refused in the standard's form (RFC 6749 §5.2) or nearly so.
  case tokenEndpoint(TokenEndpointError)
  /// The endpoint answered with something that is no answer.
  case response(Endpoint, status: Int, ResponseFault)
  /// The ID token is not acceptable.
  case idToken(IDTokenRejection)
  /// The proxy's own credential cannot be used: a broken key, an unreadable assertion file. The text is for the log.
  case credential(String)

  /// Whether the same request may well succeed later, so that sessions and tokens are worth keeping.
  public var isTransient: Bool {
    switch self {
    case .transport(let error, _): error.isTransient
    case .metadata(.status(let status)), .keys(.status(let status)), .response(_, let status, _):
      status == 429 || status >= 500
    case .tokenEndpoint(let error): error.isTransient
    case .metadata, .keys, .idToken, .credential: false
    }
  }

  /// Whether an ID token was refused for its times alone, which a wrong clock, here or there, causes.
  public var isOfClocks: Bool {
    switch self {
    case .idToken(.expired), .idToken(.notYetValid), .idToken(.issuedInFuture): true
    default: false
    }
  }

  /// How long the provider asked to wait.
  public var retryAfter: Duration? {
    if case .tokenEndpoint(let error) = self { error.retryAfter } else { nil }
  }

  /// For the log: says what and where, never a token, code or secret.
  public var description: String {
    switch self {
    case .transport(let error, let endpoint): "\(endpoint.rawValue) endpoint: \(error)"
    case .metadata(let fault): "provider metadata: \(fault)"
    case .keys(let fault): "provider keys: \(fault)"
    case .tokenEndpoint(let error): error.summary
    case .response(let endpoint, let status, let fault):
      "\(endpoint.rawValue) endpoint: status \(status), \(fault.text)"
    case .idToken(let rejection): "ID token refused: \(rejection.rawValue)"
    case .credential(let detail): "client credential: \(detail)"
    }
  }
}

extension OAuthError.ResponseFault {
  var text: String {
    switch self {
    case .status: "unexpected status"
    case .tooLong(let limit): "body longer than \(limit) bytes"
    case .notJSON: "body is not a JSON object"
    case .member(let name): "\(name) is missing or unusable"
    case .tokenType: "token_type is not Bearer"
    }
  }
}

/// Why a discovery document cannot be used.
public enum MetadataFault: Error, Sendable, Hashable, CustomStringConvertible {
  /// Not 200.
  case status(Int)
  /// Longer than the limit in bytes.
  case tooLong(limit: Int)
  /// Not a JSON object; the text says where.
  case notJSON(String)
  /// The configured issuer is not a URL that can be used: not https (but for loopback), or with a query.
  case issuerURL
  /// The document belongs to another issuer (OpenID Connect Discovery 1.0 §4.3).
  case issuerMismatch(configured: String, document: String)
  /// A required member is missing or not text.
  case missing(String)
  /// A member that should be a URL is none.
  case invalidURL(String)
  /// A member is a URL without TLS.
  case insecure(String)
  /// A member names a host outside the allow-list.
  case foreignHost(String, host: String)

  public var description: String {
    switch self {
    case .status(let status): "status \(status)"
    case .tooLong(let limit): "longer than \(limit) bytes"
    case .notJSON(let detail): "not a JSON object: \(detail)"
    case .issuerURL: "the configured issuer is not an https URL without query"
    case .issuerMismatch(let configured, let document):
      "the document's issuer \"\(document)\" is not the configured \"\(configured)\""
    case .missing(let member): "\(member) is missing"
    case .invalidURL(let member): "\(member) is not a URL"
    case .insecure(let member): "\(member) does not use https"
    case .foreignHost(let member, let host): "\(member) names the host \(host), which is not allowed"
    }
  }
}

/// Why a key set cannot be used.
public enum KeySetFault: Error, Sendable, Hashable, CustomStringConvertible {
  /// Not 200.
  case status(Int)
  /// Longer than the limit in bytes.
  case tooLong(limit: Int)
  /// Not an object with a list `keys`; the text says where.
  case malformed(String)
  /// No key in it can verify a signature.
  case noUsableKey

  public var description: String {
    switch self {
    case .status(let status): "status \(status)"
    case .tooLong(let limit): "longer than \(limit) bytes"
    case .malformed(let detail): "malformed: \(detail)"
    case .noUsableKey: "no usable key"
    }
  }
}
