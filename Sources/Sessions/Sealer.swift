internal import Basics
internal import Crypto
internal import FoundationEssentials

/// Where a sealed value belongs: its table, its row and its field. A value opens only at the place it was
/// sealed for, so a copied row is worth nothing.
public struct SealPlace: Sendable, Hashable {
  let associatedData: [UInt8]

  /// A place.
  public init(table: String, row: [UInt8], field: String) {
    var writer = RecordWriter()
    writer.append(table)
    writer.append(row)
    writer.append(field)
    associatedData = writer.bytes
  }
}

/// Seals values with AES-256-GCM (NIST SP 800-38D) under a ring of keys, so that keys can be changed without
/// signing anybody out.
///
/// Envelope: version 1 (1 byte), key id (4), nonce (12), ciphertext, tag (16). The version and the key id are
/// authenticated with the place. Nonces are random: one key is good for 2³² values, which at a thousand
/// refreshes a second is seven weeks and at ten a second thirteen years.
public struct Sealer: Sendable {
  private struct RingKey {
    let id: UInt32
    let key: SymmetricKey
  }

  private let ring: [RingKey]
  private static let version: UInt8 = 1
  private static let headerBytes = 5
  private static let nonceBytes = 12
  private static let tagBytes = 16

  /// What sealing adds to a value's length.
  public static let overhead = headerBytes + nonceBytes + tagBytes

  /// `current` seals; it and the `older` ones open.
  public init(current: SealingKey, older: [SealingKey] = []) {
    ring = ([current] + older).map { RingKey(id: $0.id, key: SymmetricKey(data: $0.bytes)) }
  }

  /// Seals a value for its place under the current key.
  public func seal(_ plain: [UInt8], for place: SealPlace) -> [UInt8] {
    let header = Self.header(keyID: ring[0].id)
    guard
      let box = try? AES.GCM.seal(plain, using: ring[0].key, authenticating: header + place.associatedData)
    else { preconditionFailure("AES-GCM refuses only keys and lengths that do not occur here") }
    return header + Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
  }

  /// Opens what was sealed for the same place under any key of the ring.
  public func open(_ envelope: [UInt8], for place: SealPlace) throws(SealError) -> [UInt8] {
    guard let id = Self.keyID(envelope) else { throw .malformed }
    let nonceEnd = Self.headerBytes + Self.nonceBytes
    let tagStart = envelope.count - Self.tagBytes
    let candidates = ring.filter { $0.id == id }
    guard !candidates.isEmpty else { throw .unknownKey }
    guard let nonce = try? AES.GCM.Nonce(data: envelope[Self.headerBytes..<nonceEnd]),
      let box = try? AES.GCM.SealedBox(
        nonce: nonce, ciphertext: envelope[nonceEnd..<tagStart], tag: envelope[tagStart...])
    else { throw .malformed }
    let authenticated = Self.header(keyID: id) + place.associatedData
    for candidate in candidates {
      if let plain = try? AES.GCM.open(box, using: candidate.key, authenticating: authenticated) {
        return Array(plain)
      }
    }
    throw .notAuthentic
  }

  /// Whether the envelope is sealed under the current key; if not, it should be sealed again.
  public func isCurrent(_ envelope: [UInt8]) -> Bool { Self.keyID(envelope) == ring[0].id }

  private static func header(keyID: UInt32) -> [UInt8] {
    [
      version, UInt8(truncatingIfNeeded: keyID >> 24), UInt8(truncatingIfNeeded: keyID >> 16),
      UInt8(truncatingIfNeeded: keyID >> 8), UInt8(truncatingIfNeeded: keyID),
    ]
  }

  private static func keyID(_ envelope: [UInt8]) -> UInt32? {
    guard envelope.count >= overhead, envelope[0] == version else { return nil }
    return envelope[1..<headerBytes].reduce(0) { $0 << 8 | UInt32($1) }
  }
}
