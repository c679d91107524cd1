public import Basics
internal import Crypto

/// Proof Key for Code Exchange (RFC 7636), method `S256` only: one value per sign-in attempt.
///
/// The verifier stays here until the code is redeemed; only its hash travels through the browser.
public struct PKCE: Sendable, Hashable {
  /// 43 characters with 256 random bits (RFC 7636 §4.1).
  public let verifier: Secret
  /// `BASE64URL(SHA256(verifier))`, sent as `code_challenge` (RFC 7636 §4.2).
  public let challenge: String

  /// The pair that belongs to a kept verifier.
  public init(verifier: Secret) {
    self.verifier = verifier
    challenge = Base64URL.encode(Array(SHA256.hash(data: Array(verifier.reveal().utf8))))
  }

  /// A fresh pair.
  public static func make() -> PKCE { PKCE(verifier: Secret(RandomBytes.token(bits: 256))) }
}
