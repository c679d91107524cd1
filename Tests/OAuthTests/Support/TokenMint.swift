import Basics
import Crypto
import FoundationEssentials
import JSON
import JWTKit

/// Signs tokens as the provider would, or as an attacker would.
struct TokenMint: Sendable {
  let algorithm: any JWTAlgorithm

  static func rsa(_ pem: String = TestPEM.rsa) async throws -> TokenMint {
    let key = try JWTKit.Insecure.RSA.PrivateKey(pem: pem)
    return TokenMint(algorithm: try await JWTKeyCollection().add(rsa: key, digestAlgorithm: .sha256).getKey())
  }
  static func pss(_ pem: String = TestPEM.rsa) async throws -> TokenMint {
    let key = try JWTKit.Insecure.RSA.PrivateKey(pem: pem)
    return TokenMint(algorithm: try await JWTKeyCollection().add(pss: key, digestAlgorithm: .sha256).getKey())
  }
  static func p256() async throws -> TokenMint {
    let key = try ES256PrivateKey(pem: TestPEM.p256)
    return TokenMint(algorithm: try await JWTKeyCollection().add(ecdsa: key).getKey())
  }
  static func p384() async throws -> TokenMint {
    let key = try ES384PrivateKey(pem: TestPEM.p384)
    return TokenMint(algorithm: try await JWTKeyCollection().add(ecdsa: key).getKey())
  }
  static func ed25519() async throws -> TokenMint {
    let key = try EdDSA.PrivateKey(pem: TestPEM.ed25519)
    return TokenMint(algorithm: try await JWTKeyCollection().add(eddsa: key).getKey())
  }

  /// A token of these texts.
  func token(header: String, payload: String) throws -> Secret {
    let input = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
    return Secret(input + "." + Base64URL.encode(try algorithm.sign(Array(input.utf8))))
  }

  func token(header: JSONObject, claims: JSONObject) throws -> Secret {
    try token(header: JSONValue.object(header).serialized(), payload: JSONValue.object(claims).serialized())
  }

  // MARK: Public keys

  static func rsaJWK(_ kid: String?, pem: String = TestPEM.rsa, extra: JSONObject = [:]) throws -> JSONValue {
    let (n, e) = try JWTKit.Insecure.RSA.PrivateKey(pem: pem).publicKey.getKeyPrimitives()
    var jwk: JSONObject = [
      "kty": "RSA", "use": "sig", "n": .string(Base64URL.encode([UInt8](n))),
      "e": .string(Base64URL.encode([UInt8](e))),
    ]
    jwk["kid"] = kid.map { .string($0) }
    for member in extra.members { jwk[member.key] = member.value }
    return .object(jwk)
  }

  static func p256JWK(_ kid: String) throws -> JSONValue {
    let raw = [UInt8](
      try P256.Signing.PrivateKey(pemRepresentation: TestPEM.p256).publicKey.rawRepresentation)
    return [
      "kty": "EC", "crv": "P-256", "kid": .string(kid), "x": .string(Base64URL.encode(Array(raw.prefix(32)))),
      "y": .string(Base64URL.encode(Array(raw.suffix(32)))),
    ]
  }

  static func p384JWK(_ kid: String) throws -> JSONValue {
    let raw = [UInt8](
      try P384.Signing.PrivateKey(pemRepresentation: TestPEM.p384).publicKey.rawRepresentation)
    return [
      "kty": "EC", "crv": "P-384", "kid": .string(kid), "x": .string(Base64URL.encode(Array(raw.prefix(48)))),
      "y": .string(Base64URL.encode(Array(raw.suffix(48)))),
    ]
  }

  static func ed25519JWK(_ kid: String) throws -> JSONValue {
    let raw = [UInt8](try EdDSA.PrivateKey(pem: TestPEM.ed25519).publicKey.rawRepresentation)
    return ["kty": "OKP", "crv": "Ed25519", "kid": .string(kid), "x": .string(Base64URL.encode(raw))]
  }

  /// A key set as the provider serves it.
  static func keySet(_ keys: JSONValue...) -> String { (["keys": .array(keys)] as JSONValue).serialized() }
}
