public import Basics
internal import JSON

/// What a verified logout token says (OpenID Connect Back-Channel Logout 1.0 §2.4). Made by ``Provider/validate(logoutToken:)`` only.
public struct LogoutTokenClaims: Sendable, Hashable {
  /// `iss`, compared exactly.
  public let issuer: String
  /// `sub`, 1…255 bytes; nil: ``sid`` is there.
  public let subject: String?
  /// `sid`, 1…255 bytes; nil: ``subject`` is there.
  public let sid: String?
  /// `tid`: Entra's tenant.
  public let tid: String?
  /// `oid`: Entra's object of the user.
  public let oid: String?
  /// `jti`, 1…255 bytes.
  public let id: String
  /// From here on the token is refused for its age.
  public let usableUntil: Timestamp
}

extension Provider {
  /// Which issuer a token says it is from, before anything of it is believed: tells whose rules to check it by.
  public static func unverifiedIssuer(of token: Secret) -> String? {
    SignedToken.unverifiedClaims(token)?["iss"]?.string
  }
}

/// The rules for logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.6): those for ID tokens as far as they are the same, and their
/// own. Pure, like ``IDTokenValidator``.
struct LogoutTokenValidator {
  /// What holds for every token of the provider.
  let rules: IDTokenValidator

  /// `typ` of what is taken for a logout token; older providers say `JWT`.
  static let types: Set<String> = ["jwt", "logout+jwt"]
  private static let event = "http://schemas.openid.net/event/backchannel-logout"
  private static let maxNameBytes = 255

  /// What the claims say, when every rule holds.
  func check(
    _ claims: JSONObject, signedBy keys: [VerificationKey]
  ) throws(IDTokenRejection) -> LogoutTokenClaims {
    let issuer = try rules.checkIssuer(claims, keys)
    _ = try rules.checkAudience(claims)
    let (expiresAt, issuedAt) = try rules.checkTimes(claims, isFresh: true)
    guard claims["events"]?.object?[Self.event]?.object != nil else { throw .logoutEvent }
    guard claims["nonce"] == nil else { throw .logoutNonce }
    guard let id = claims["jti"]?.string, (1...Self.maxNameBytes).contains(id.utf8.count) else {
      throw .logoutID
    }
    let subject = try claims["sub"].map { (_) throws(IDTokenRejection) in try rules.checkSubject(claims, nil)
    }
    var sid: String?
    if let value = claims["sid"] {
      guard let text = value.string, (1...Self.maxNameBytes).contains(text.utf8.count) else {
        throw .logoutSession
      }
      sid = text
    }
    guard subject != nil || sid != nil else { throw .logoutOfNobody }
    return LogoutTokenClaims(
      issuer: issuer, subject: subject, sid: sid, tid: claims["tid"]?.string, oid: claims["oid"]?.string,
      id: id,
      usableUntil: min(expiresAt, issuedAt + IDTokenValidator.maxAge) + rules.skew)
  }
}
