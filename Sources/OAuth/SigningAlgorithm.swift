/// Asymmetric signature algorithms of JSON Web Tokens (RFC 7518 §3.1, RFC 8037). Nothing else is ever accepted: `none` and the
/// `HS` family have no case, so a public key cannot be taken for a shared secret.
public enum SigningAlgorithm: String, Sendable, Hashable, CaseIterable {
  case rs256 = "RS256"
  case rs384 = "RS384"
  case rs512 = "RS512"
  case ps256 = "PS256"
  case ps384 = "PS384"
  case ps512 = "PS512"
  case es256 = "ES256"
  case es384 = "ES384"
  case es512 = "ES512"
  case edDSA = "EdDSA"

  /// The kind of key this algorithm works with.
  var keyKind: KeyKind {
    switch self {
    case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
    case .es256: .p256
    case .es384: .p384
    case .es512: .p521
    case .edDSA: .ed25519
    }
  }
}

/// Kinds of public keys in a key set: `kty` and `crv` together.
enum KeyKind: String, Sendable, Hashable {
  case rsa, p256, p384, p521, ed25519
}
