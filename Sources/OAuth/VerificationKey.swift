internal import Basics
internal import FoundationEssentials
internal import JSON
internal import JWTKit

/// One public key of the provider with the algorithms it may be used for.
struct VerificationKey: Sendable {
  /// `kid`.
  let keyID: String?
  /// `issuer` of Entra's keys: the issuer, or its template, that the key signs for.
  let issuer: String?
  let kind: KeyKind
  private let algorithms: [SigningAlgorithm: any JWTAlgorithm]

  /// Most keys that are read of a set.
  static let maxKeys = 100
  /// Longest key set that is read, in bytes.
  static let maxBytes = 512 << 10

  /// Whether a signature by `algorithm` can be this key's: the type fits, and so does the key's own `alg`.
  func fits(_ algorithm: SigningAlgorithm) -> Bool { algorithms[algorithm] != nil }

  /// Whether `signature` is this key's over `input`.
  func verifies(_ signature: [UInt8], of input: [UInt8], by algorithm: SigningAlgorithm) -> Bool {
    (try? algorithms[algorithm]?.verify(signature, signs: input)) ?? false
  }

  /// The usable keys of a key set (RFC 7517 §5): RSA from 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519, for signatures. Others
  /// and damaged ones are left out.
  static func keys(inSet document: [UInt8], allowed: Set<SigningAlgorithm>) async throws(KeySetFault)
    -> [VerificationKey]
  {
    guard document.count <= maxBytes else { throw .tooLong(limit: maxBytes) }
    let set: JSONValue
    do { set = try JSONValue.parse(document, limits: JSONLimits(depth: 16, bytes: maxBytes)) } catch {
      throw .malformed(error.description)
    }
    guard let list = set["keys"]?.array else { throw .malformed("no list \"keys\"") }
    var out: [VerificationKey] = []
    for entry in list.prefix(maxKeys) {
      if let object = entry.object, let key = await VerificationKey(object, allowed: allowed) {
        out.append(key)
      }
    }
    guard !out.isEmpty else { throw .noUsableKey }
    return out
  }

  private init?(_ jwk: JSONObject, allowed: Set<SigningAlgorithm>) async {
    if let use = jwk["use"], use.string != "sig" { return nil }
    if let operations = jwk["key_ops"], operations.strings?.contains("verify") != true { return nil }
    guard let material = Material(jwk) else { return nil }
    keyID = jwk["kid"]?.string
    issuer = jwk["issuer"]?.string
    kind = material.kind
    var algorithms: [SigningAlgorithm: any JWTAlgorithm] = [:]
    for algorithm in allowed where algorithm.keyKind == kind {
      if let own = jwk["alg"], own.string != algorithm.rawValue { continue }
      algorithms[algorithm] = await material.verifier(algorithm)
    }
    self.algorithms = algorithms
  }

  /// The key itself, by type.
  private enum Material {
    case rsa(Insecure.RSA.PublicKey)
    case p256(ES256PublicKey)
    case p384(ES384PublicKey)
    case p521(ES512PublicKey)
    case ed25519(EdDSA.PublicKey)

    init?(_ jwk: JSONObject) {
      func text(_ name: String, bytes: ClosedRange<Int>) -> String? {
        guard let text = jwk[name]?.string, let decoded = Base64URL.decode(text),
          bytes.contains(decoded.count)
        else { return nil }
        return text
      }
      func point(_ size: Int) -> ECDSAParameters? {
        guard let x = text("x", bytes: size...size), let y = text("y", bytes: size...size) else { return nil }
        return (x, y)
      }
      switch (jwk["kty"]?.string, jwk["crv"]?.string) {
      case ("RSA", _):
        guard let n = text("n", bytes: 256...1025), let e = text("e", bytes: 1...8),
          let key = try? Insecure.RSA.PublicKey(modulus: n, exponent: e)
        else { return nil }
        self = .rsa(key)
      case ("EC", "P-256"):
        guard let point = point(32), let key = try? ES256PublicKey(parameters: point) else { return nil }
        self = .p256(key)
      case ("EC", "P-384"):
        guard let point = point(48), let key = try? ES384PublicKey(parameters: point) else { return nil }
        self = .p384(key)
      case ("EC", "P-521"):
        guard let point = point(66), let key = try? ES512PublicKey(parameters: point) else { return nil }
        self = .p521(key)
      case ("OKP", "Ed25519"):
        guard let x = text("x", bytes: 32...32), let key = try? EdDSA.PublicKey(x: x, curve: .ed25519) else {
          return nil
        }
        self = .ed25519(key)
      default: return nil
      }
    }

    var kind: KeyKind {
      switch self {
      case .rsa: .rsa
      case .p256: .p256
      case .p384: .p384
      case .p521: .p521
      case .ed25519: .ed25519
      }
    }

    func verifier(_ algorithm: SigningAlgorithm) async -> (any JWTAlgorithm)? {
      let keys = JWTKeyCollection()
      switch self {
      case .rsa(let key): await JWTSignatures.add(key, algorithm, to: keys)
      case .p256(let key): await keys.add(ecdsa: key)
      case .p384(let key): await keys.add(ecdsa: key)
      case .p521(let key): await keys.add(ecdsa: key)
      case .ed25519(let key): await keys.add(eddsa: key)
      }
      return try? await keys.getKey()
    }
  }
}
