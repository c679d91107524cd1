/// What one walk of a browser to the provider asks for (OpenID Connect Core 1.0 §3.1.2.1). Always `response_type=code` with PKCE S256.
public struct AuthorizationRequest: Sendable {
  /// The registered redirect URI, exactly.
  public var redirectURI: String
  /// Scopes in order.
  public var scope: [String]
  /// Unguessable, one per attempt.
  public var state: String
  /// Unguessable, one per attempt.
  public var nonce: String
  /// ``PKCE/challenge``.
  public var codeChallenge: String
  /// RFC 8707 resource indicator; byte for byte the same on redeeming and refreshing.
  public var resource: String?
  /// Who is expected to sign in.
  public var loginHint: String?
  /// Which kind of account or organisation is expected (Entra).
  public var domainHint: String?
  /// The `claims` parameter (OpenID Connect Core 1.0 §5.5): JSON text.
  public var claims: String?
  /// Acceptable authentication contexts, the preferred first.
  public var acrValues: [String]
  /// Seconds since the last proof of identity that are acceptable.
  public var maxAge: Int?
  /// `prompt`: `login`, `consent`, `select_account`, `none`, or several separated by spaces.
  public var prompt: String?

  /// A request.
  public init(
    redirectURI: String, scope: [String], state: String, nonce: String, codeChallenge: String,
    resource: String? = nil, loginHint: String? = nil, domainHint: String? = nil, claims: String? = nil,
    acrValues: [String] = [], maxAge: Int? = nil, prompt: String? = nil
  ) {
    self.redirectURI = redirectURI
    self.scope = scope
    self.state = state
    self.nonce = nonce
    self.codeChallenge = codeChallenge
    self.resource = resource
    self.loginHint = loginHint
    self.domainHint = domainHint
    self.claims = claims
    self.acrValues = acrValues
    self.maxAge = maxAge
    self.prompt = prompt
  }

  /// Names that a configuration cannot set: each is decided here.
  private static let reserved: Set<String> = [
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "request", "request_uri", "client_secret", "client_assertion",
  ]

  /// All parameters in order. `extra` cannot replace what the request itself says.
  func parameters(clientID: String, extra: [(name: String, value: String)]) -> [(String, String)] {
    var out: [(String, String)] = [
      ("response_type", "code"), ("client_id", clientID), ("redirect_uri", redirectURI),
      ("scope", scope.joined(separator: " ")), ("state", state), ("nonce", nonce),
      ("code_challenge", codeChallenge), ("code_challenge_method", "S256"),
    ]
    func add(_ name: String, _ value: String?) { if let value, !value.isEmpty { out.append((name, value)) } }
    add("resource", resource)
    add("login_hint", loginHint)
    add("domain_hint", domainHint)
    add("claims", claims)
    add("acr_values", acrValues.joined(separator: " "))
    add("max_age", maxAge.map { String(max(0, $0)) })
    add("prompt", prompt)
    let taken = Self.reserved.union(out.map(\.0))
    return out + extra.filter { !taken.contains($0.name) }.map { ($0.name, $0.value) }
  }
}
