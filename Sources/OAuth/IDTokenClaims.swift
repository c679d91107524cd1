public import Basics
public import JSON

/// What a verified ID token says (OpenID Connect Core 1.0 §2). Made by ``Provider/validate(idToken:expecting:)`` only.
///
/// The user is `issuer` and `subject` together, or `tid` and `oid` with Entra; never e-mail or user name, which can change hands.
public struct IDTokenClaims: Sendable, Hashable {
  /// `iss`, compared exactly.
  public let issuer: String
  /// `sub`, 1…255 bytes.
  public let subject: String
  /// `aud`; contains this client.
  public let audience: [String]
  /// `exp`.
  public let expiresAt: Timestamp
  /// `iat`.
  public let issuedAt: Timestamp
  /// `auth_time`: when the user proved who they are.
  public let authTime: Timestamp?
  /// All claims as they came, for allow-listed use.
  public let raw: JSONObject

  /// `acr`: how strongly the user signed in.
  public var acr: String? { raw["acr"]?.string }
  /// `nonce`.
  public var nonce: String? { raw["nonce"]?.string }
  /// `sid`: the provider's session, as logout notices name it.
  public var sid: String? { raw["sid"]?.string }
  /// `name`, for display.
  public var name: String? { raw["name"]?.string }
  /// `preferred_username`, for display.
  public var preferredUsername: String? { raw["preferred_username"]?.string }
  /// `email`, for display.
  public var email: String? { raw["email"]?.string }
  /// `tid`: Entra's tenant.
  public var tid: String? { raw["tid"]?.string }
  /// `oid`: Entra's object of the user, the same in all applications of a tenant.
  public var oid: String? { raw["oid"]?.string }
  /// `login_hint`: Entra's opaque hint for sign-in and sign-out.
  public var loginHint: String? { raw["login_hint"]?.string }

  /// The claims named in `names`, those that exist, as one object in that order.
  public func selected(_ names: [String]) -> JSONValue {
    .object(JSONObject(names.compactMap { name in raw[name].map { (name, $0) } }))
  }
}

/// What an ID token must fit besides the rules for every ID token.
public struct IDTokenExpectation: Sendable {
  /// The `nonce` that was sent. Nil only for a token that came by a refresh (OpenID Connect Core 1.0 §12.2); then `iat` may be old,
  /// too.
  public var nonce: String?
  /// The access token that came with it: `at_hash`, when there, must fit.
  public var accessToken: Secret?
  /// The code it came for: `c_hash`, when there, must fit.
  public var code: Secret?
  /// The `max_age` that was asked: `auth_time` must be there and fit.
  public var maxAge: Duration?
  /// `acr` must be one of these; empty: any.
  public var requiredACRValues: [String]
  /// The `sub` it must have; nil: any.
  public var subject: String?

  /// An expectation.
  public init(
    nonce: String?, accessToken: Secret? = nil, code: Secret? = nil, maxAge: Duration? = nil,
    requiredACRValues: [String] = [], subject: String? = nil
  ) {
    self.nonce = nonce
    self.accessToken = accessToken
    self.code = code
    self.maxAge = maxAge
    self.requiredACRValues = requiredACRValues
    self.subject = subject
  }
}
