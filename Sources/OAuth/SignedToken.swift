internal import Basics
internal import JSON

/// A JSON Web Token in compact form (RFC 7515 §7.1), taken apart and not yet believed.
///
/// Of the header only `alg`, `kid`, `typ` and `crit` count. Keys that a token brings along or points at (`jwk`, `jku`, `x5c`, `x5u`) are
/// not looked at: whoever makes a token must not choose what it is checked with.
struct SignedToken {
  let algorithmName: String
  let keyID: String?
  /// `typ` in lower case without `application/`.
  let type: String?
  let hasCriticalExtensions: Bool
  /// What the signature covers.
  let signingInput: [UInt8]
  let signature: [UInt8]
  private let payload: [UInt8]

  /// Longest token, in bytes.
  static let maxBytes = 64 << 10

  init(_ token: Secret) throws(IDTokenRejection) {
    guard token.count <= Self.maxBytes else { throw .tooLarge }
    let text = token.reveal()
    let parts = text.utf8.split(separator: UInt8(ascii: "."), maxSplits: 5, omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw parts.count == 5 ? .encrypted : .malformed }
    guard let header = Self.decode(parts[0]), let payload = Self.decode(parts[1]),
      let signature = Self.decode(parts[2])
    else { throw .malformed }
    let fields = try Self.object(header)
    guard let algorithm = fields["alg"]?.string else { throw .malformed }
    algorithmName = algorithm
    if let keyID = fields["kid"] {
      guard let text = keyID.string else { throw .malformed }
      self.keyID = text
    } else {
      keyID = nil
    }
    if let type = fields["typ"] {
      guard let text = type.string.map({ ASCII.lowercased($0) }) else { throw .type }
      self.type = text.hasPrefix("application/") ? String(text.dropFirst("application/".count)) : text
    } else {
      type = nil
    }
    hasCriticalExtensions = fields["crit"] != nil
    signingInput = Array(parts[0]) + [UInt8(ascii: ".")] + Array(parts[1])
    self.payload = payload
    self.signature = signature
  }

  /// What the token says; call it once the signature is verified.
  func claims() throws(IDTokenRejection) -> JSONObject { try Self.object(payload) }

  /// What a JWT says, without looking at its header and signature: for hints, never for trust. Nil for all that is no JWT.
  static func unverifiedClaims(_ token: Secret) -> JSONObject? {
    guard token.count <= maxBytes else { return nil }
    let parts = token.reveal().utf8.split(
      separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3, let payload = decode(parts[1]) else { return nil }
    return try? object(payload)
  }

  private static func decode(_ part: Substring.UTF8View) -> [UInt8]? {
    // RFC 7515 §2: without padding.
    guard part.last != UInt8(ascii: "="), let text = String(part) else { return nil }
    return Base64URL.decode(text)
  }

  private static func object(_ bytes: [UInt8]) throws(IDTokenRejection) -> JSONObject {
    do {
      guard let object = try JSONValue.parse(bytes, limits: JSONLimits(depth: 32, bytes: maxBytes)).object
      else {
        throw IDTokenRejection.malformed
      }
      return object
    } catch let error as JSONError {
      if case .duplicateKey = error.kind { throw .duplicateMember }
      throw .malformed
    } catch {
      throw .malformed
    }
  }
}
