public import Basics

/// A successful answer of the token endpoint (RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3).
public struct TokenResponse: Sendable {
  /// The access token: visible ASCII only, so it can stand in a header line.
  public let accessToken: Secret
  /// Always `Bearer`, in whatever case it was sent.
  public let tokenType: String
  /// How long the access token lives, from now; nil when the provider does not say.
  public let expiresIn: Duration?
  /// When to refresh it ahead of time, where the provider says so (`refresh_in`, Entra).
  public let refreshIn: Duration?
  /// The refresh token; nil after a refresh means that the old one stays (RFC 6749 §6).
  public let refreshToken: Secret?
  /// The ID token, not yet validated.
  public let idToken: Secret?
  /// What was granted; nil means: what was asked (RFC 6749 §5.1).
  public let scope: [String]?
  /// What an exchanged token is (RFC 8693 §2.2.1): an access token or JWT; nil for other grants.
  public internal(set) var issuedTokenType: ExchangeRequest.TokenType? = nil
}
