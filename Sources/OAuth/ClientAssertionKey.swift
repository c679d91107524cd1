public import Basics
internal import Crypto
internal import FoundationEssentials
internal import JSON
internal import JWTKit

/// The private key of a client that authenticates by `private_key_jwt` (RFC 7523, OpenID Connect Core 1.0 §9). Prints nothing of it.
public struct ClientAssertionKey: Sendable, CustomStringConvertible, CustomReflectable {
  private enum Key: Sendable {
    case rsa(JWTKit.Insecure.RSA.PrivateKey)
    case p256(ES256PrivateKey)
    case p384(ES384PrivateKey)
    case p521(ES512PrivateKey)
    case ed25519(EdDSA.PrivateKey)

    var kind: KeyKind {
      switch self {
      case .rsa: .rsa
      case .p256: .p256
      case .p384: .p384
      case .p521: .p521
      case .ed25519: .ed25519
      }
    }
  }

  private let key: Key
  /// The algorithm of assertions.
  public let algorithm: SigningAlgorithm
  /// `kid` of assertions.
  public let keyID: String?
  /// `x5t#S256` of assertions: base64url of SHA-256 of the certificate's DER form (RFC 7515 §4.1.8).
  public let certificateThumbprint: String?

  /// How long an assertion is good: the provider gets it at once.
  static let lifetime = Duration.seconds(300)

  /// - Parameters:
  ///   - pem: the private key (PKCS#8, PKCS#1 or SEC 1), without a passphrase. RSA keys have at least 2048 bits.
  ///   - algorithm: nil: what is usual for the key, RS256 or ES256.
  ///   - keyID: the `kid` under which the provider knows the key.
  ///   - certificatePEM: the certificate that the provider knows; it must be the key's.
  /// - Throws: ``OAuthError/credential(_:)`` with a text for the operator that holds nothing of the key.
  public init(
    pem: Secret, algorithm: SigningAlgorithm? = nil, keyID: String? = nil, certificatePEM: String? = nil
  ) throws(OAuthError) {
    guard let key = Self.read(pem.reveal()) else {
      throw .credential(
        "no usable private key: PEM without passphrase, RSA from 2048 bits, P-256, P-384, P-521 or Ed25519")
    }
    let algorithm = algorithm ?? Self.usual(key.kind)
    guard algorithm.keyKind == key.kind else {
      throw .credential(
        "the private key is of kind \(key.kind.rawValue), which \(algorithm.rawValue) cannot use")
    }
    self.key = key
    self.algorithm = algorithm
    self.keyID = keyID
    certificateThumbprint = try certificatePEM.map { (pem) throws(OAuthError) in try Self.thumbprint(pem, key)
    }
  }

  public var description: String { "<redacted \(algorithm.rawValue) key>" }
  public var customMirror: Mirror { Mirror(self, children: []) }

  /// A signed assertion with an identifier of its own. `exp`, `nbf` and `iat` are whole seconds.
  func assertion(clientID: String, audience: String, now: Timestamp) async throws(OAuthError) -> Secret {
    var header: JSONObject = ["alg": .string(algorithm.rawValue), "typ": "JWT"]
    header["kid"] = keyID.map { .string($0) }
    header["x5t#S256"] = certificateThumbprint.map { .string($0) }
    let payload: JSONObject = [
      "aud": .string(audience), "iss": .string(clientID), "sub": .string(clientID),
      "jti": .string(RandomBytes.token(bits: 128)), "iat": .number(JSONNumber(now.seconds)),
      "nbf": .number(JSONNumber(now.seconds)), "exp": .number(JSONNumber((now + Self.lifetime).seconds)),
    ]
    let parts = [header, payload].map { Base64URL.encode(JSONValue.object($0).serializedBytes()) }
    let input = parts.joined(separator: ".")
    do {
      let signature = try await signer().sign(Array(input.utf8))
      return Secret(input + "." + Base64URL.encode(signature))
    } catch {
      throw .credential("the private key cannot sign with \(algorithm.rawValue)")
    }
  }

  private func signer() async throws -> any JWTAlgorithm {
    let keys = JWTKeyCollection()
    switch key {
    case .rsa(let key): await JWTSignatures.add(key, algorithm, to: keys)
    case .p256(let key): await keys.add(ecdsa: key)
    case .p384(let key): await keys.add(ecdsa: key)
    case .p521(let key): await keys.add(ecdsa: key)
    case .ed25519(let key): await keys.add(eddsa: key)
    }
    return try await keys.getKey()
  }

  private static func read(_ pem: String) -> Key? {
    if let key = try? JWTKit.Insecure.RSA.PrivateKey(pem: pem) { return .rsa(key) }
    if let key = try? ES256PrivateKey(pem: pem) { return .p256(key) }
    if let key = try? ES384PrivateKey(pem: pem) { return .p384(key) }
    if let key = try? ES512PrivateKey(pem: pem) { return .p521(key) }
    if let key = try? EdDSA.PrivateKey(pem: pem) { return .ed25519(key) }
    return nil
  }

  private static func usual(_ kind: KeyKind) -> SigningAlgorithm {
    switch kind {
    case .rsa: .rs256
    case .p256: .es256
    case .p384: .es384
    case .p521: .es512
    case .ed25519: .edDSA
    }
  }

  /// A certificate of another key would be found out only by the provider's `invalid_client`, so it is compared here.
  private static func thumbprint(_ pem: String, _ key: Key) throws(OAuthError) -> String {
    guard let der = PEM.certificate(in: pem) else { throw .credential("no certificate in PEM form") }
    let fits: Bool
    switch key {
    case .rsa(let key): fits = (try? JWTKit.Insecure.RSA.PublicKey(certificatePEM: pem)) == key.publicKey
    case .p256(let key): fits = (try? ES256PublicKey(certificate: pem)) == key.publicKey
    case .p384(let key): fits = (try? ES384PublicKey(certificate: pem)) == key.publicKey
    case .p521(let key): fits = (try? ES512PublicKey(certificate: pem)) == key.publicKey
    // The library reads no Ed25519 certificates; the thumbprint alone is used then.
    case .ed25519: fits = true
    }
    guard fits else { throw .credential("the certificate does not belong to the private key") }
    return Base64URL.encode(Array(SHA256.hash(data: der)))
  }
}

/// PEM text (RFC 7468), as far as certificates need it.
enum PEM {
  /// The DER bytes of the first certificate in `text`.
  static func certificate(in text: String) -> [UInt8]? {
    guard let begin = text.firstRange(of: "-----BEGIN CERTIFICATE-----"),
      let end = text[begin.upperBound...].firstRange(of: "-----END CERTIFICATE-----")
    else { return nil }
    let body = text[begin.upperBound..<end.lowerBound].utf8.filter { $0 > 0x20 }
    guard !body.isEmpty else { return nil }
    return Base64.decode(String(decoding: body, as: UTF8.self))
  }
}
