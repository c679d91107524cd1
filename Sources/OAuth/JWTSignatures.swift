internal import JWTKit

/// The bridge to the library's signature algorithms.
enum JWTSignatures {
  /// Adds an RSA key for one of the six RSA algorithms; others are our own fault.
  static func add(_ key: some RSAKey, _ algorithm: SigningAlgorithm, to keys: JWTKeyCollection) async {
    switch algorithm {
    case .rs256: await keys.add(rsa: key, digestAlgorithm: .sha256)
    case .rs384: await keys.add(rsa: key, digestAlgorithm: .sha384)
    case .rs512: await keys.add(rsa: key, digestAlgorithm: .sha512)
    case .ps256: await keys.add(pss: key, digestAlgorithm: .sha256)
    case .ps384: await keys.add(pss: key, digestAlgorithm: .sha384)
    case .ps512: await keys.add(pss: key, digestAlgorithm: .sha512)
    case .es256, .es384, .es512, .edDSA: break
    }
  }
}
