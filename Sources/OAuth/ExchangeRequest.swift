public import Basics
internal import JSON

/// A token asked for in exchange for another that the proxy was handed.
public struct ExchangeRequest: Sendable {
  /// In which protocol.
  public enum Form: String, Sendable, Hashable {
    /// Entra's on-behalf-of flow: a JWT bearer grant (RFC 7523 §2.1) with `requested_token_use=on_behalf_of`.
    case onBehalfOf = "on_behalf_of"
    /// OAuth 2.0 Token Exchange (RFC 8693).
    case tokenExchange = "token_exchange"

    /// The grant it is sent as.
    var grant: GrantType { self == .onBehalfOf ? .jwtBearer : .tokenExchange }
  }

  /// What a token is (RFC 8693 §3).
  public enum TokenType: String, Sendable, Hashable {
    case accessToken = "urn:ietf:params:oauth:token-type:access_token"
    case idToken = "urn:ietf:params:oauth:token-type:id_token"
    case jwt = "urn:ietf:params:oauth:token-type:jwt"
  }

  /// In which protocol.
  public var form: Form
  /// The token of the user in whose name is asked.
  public var subjectToken: Secret
  /// What ``subjectToken`` is.
  public var subjectTokenType: TokenType
  /// The token of who acts for the user; RFC 8693 only.
  public var actorToken: Secret?
  /// What ``actorToken`` is; sent only beside one.
  public var actorTokenType: TokenType
  /// What is asked for; nil leaves it to the provider. Whatever it is, only an access token or JWT is accepted.
  public var requestedTokenType: TokenType?
  /// Names of those whom the token is for; RFC 8693 only.
  public var audience: [String]
  /// URIs of what the token is for. On behalf of a user none is sent; it picks among ``scope``.
  public var resource: [String]
  /// What the token is to allow. On behalf of a user only the scopes of one resource are sent.
  public var scope: [String]
  /// The `claims` parameter that answers a challenge: JSON text.
  public var claims: String?
  /// One of these must be in `aud` of ``subjectToken`` when that is a JWT that can be read; empty: not looked at.
  public var expectedAudience: [String]

  /// A request.
  public init(
    form: Form, subjectToken: Secret, subjectTokenType: TokenType = .accessToken, actorToken: Secret? = nil,
    actorTokenType: TokenType = .accessToken, requestedTokenType: TokenType? = nil, audience: [String] = [],
    resource: [String] = [], scope: [String] = [], claims: String? = nil, expectedAudience: [String] = []
  ) {
    self.form = form
    self.subjectToken = subjectToken
    self.subjectTokenType = subjectTokenType
    self.actorToken = actorToken
    self.actorTokenType = actorTokenType
    self.requestedTokenType = requestedTokenType
    self.audience = audience
    self.resource = resource
    self.scope = scope
    self.claims = claims
    self.expectedAudience = expectedAudience
  }

  /// Why this cannot succeed; nil when it may be sent. ``Provider/exchange(_:)`` asks here first.
  ///
  /// The subject's claims are read without checking its signature: the provider does that, and nothing is granted here.
  public var fault: ExchangeFault? {
    let claims = SignedToken.unverifiedClaims(subjectToken)
    if form == .onBehalfOf {
      if subjectTokenType == .idToken { return .idTokenAsAssertion }
      if let claims, claims["scp"] == nil,
        ["nonce", "at_hash", "c_hash"].contains(where: { claims[$0] != nil })
      {
        return .idTokenAsAssertion
      }
      if actorToken != nil { return .notOnBehalfOf("actor_token") }
      if !audience.isEmpty { return .notOnBehalfOf("audience") }
      if let requestedTokenType, requestedTokenType != .accessToken {
        return .notOnBehalfOf("requested_token_type")
      }
    }
    if let claims, !expectedAudience.isEmpty {
      let found = claims["aud"]?.string.map { [$0] } ?? claims["aud"]?.strings ?? []
      guard found.contains(where: { expectedAudience.contains($0) }) else { return .subjectAudience }
    }
    return nil
  }

  /// The form without `grant_type`, in order.
  func parameters(claims: String?) -> [(String, String)] {
    var form: [(String, String)]
    switch self.form {
    case .onBehalfOf:
      form = [("assertion", subjectToken.reveal()), ("requested_token_use", "on_behalf_of")]
    case .tokenExchange:
      form = [("subject_token", subjectToken.reveal()), ("subject_token_type", subjectTokenType.rawValue)]
      if let actorToken {
        form += [("actor_token", actorToken.reveal()), ("actor_token_type", actorTokenType.rawValue)]
      }
      if let requestedTokenType { form.append(("requested_token_type", requestedTokenType.rawValue)) }
      form += audience.map { ("audience", $0) } + resource.map { ("resource", $0) }
    }
    let scope = sentScope
    if !scope.isEmpty { form.append(("scope", scope.joined(separator: " "))) }
    if let claims { form.append(("claims", claims)) }
    return form
  }

  /// The scopes that are sent.
  var sentScope: [String] {
    form == .onBehalfOf ? EntraScope.oneResource(scope, preferring: resource) : scope
  }
}

/// Why an exchange is not even tried.
public enum ExchangeFault: Error, Sendable, Hashable, CustomStringConvertible {
  /// An ID token is no assertion for the on-behalf-of flow (`AADSTS240002`).
  case idTokenAsAssertion
  /// The subject's `aud` names none of those expected: it was not made for this proxy.
  case subjectAudience
  /// The named parameter has no place in the on-behalf-of flow.
  case notOnBehalfOf(String)
  /// The provider has no RFC 8693.
  case noTokenExchange

  /// For the log: says what to do, nothing of a token.
  public var description: String {
    switch self {
    case .idTokenAsAssertion:
      "an ID token cannot be exchanged on behalf of its user; an access token made for this client can"
    case .subjectAudience: "the subject token was not made for this client: its audience is another"
    case .notOnBehalfOf(let name): "\(name) cannot be used with the on-behalf-of flow"
    case .noTokenExchange: "Entra has no token exchange (RFC 8693); it has the on-behalf-of flow"
    }
  }
}
