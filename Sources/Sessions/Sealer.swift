internal import Basics
internal import Crypto
internal import FoundationEssentials
internal import Synchronization

/// Seals values with AES-256-GCM (NIST SP 800-38D) under a ring of keys, so that keys can be changed without
/// signing anybody out, and while it is in use.
///
/// Envelope: version 1 (1 byte), key id (4), nonce (12), ciphertext, tag (16). The version and the key id are
/// authenticated with the place. Nonces are random: one key is good for 2³² values, which at a thousand
/// refreshes a second is seven weeks and at ten a second thirteen years.
///
/// Owner: shared and guarded; everything that seals or opens with the same ring has the same sealer.
public final class Sealer: Sendable {
  private struct RingKey {
    let id: UInt32
    let key: SymmetricKey
  }

  private struct State {
    let ring: KeyRing
    let keys: [RingKey]

    init(_ ring: KeyRing) {
      self.ring = ring
      keys = ([ring.current] + ring.older).map { RingKey(id: $0.id, key: SymmetricKey(data: $0.bytes)) }
    }
  }

  private let state: Mutex<State>
  private static let version: UInt8 = 1
  private static let headerBytes = 5
  private static let nonceBytes = 12
  private static let tagBytes = 16

  /// What sealing adds to a value's length.
  public static let overhead = headerBytes + nonceBytes + tagBytes

  /// The ring's current key seals; all of its keys open.
  public init(_ ring: KeyRing) { state = Mutex(State(ring)) }

  /// `current` seals; it and the `older` ones open.
  public convenience init(current: SealingKey, older: [SealingKey] = []) {
    self.init(KeyRing(current: current, older: older))
  }

  /// Seals and opens with another ring from now on. What was sealed before opens if its key is in that one as well.
  public func replace(with ring: KeyRing) {
    let new = State(ring)
    state.withLock { $0 = new }
  }

  /// Seals a value for its place under the current key.
  public func seal(_ plain: [UInt8], for place: SealPlace) -> [UInt8] {
    let current = keys[0]
    let header = Self.header(keyID: current.id)
    guard
      let box = try? AES.GCM.seal(plain, using: current.key, authenticating: header + place.associatedData)
    else { preconditionFailure("AES-GCM refuses only keys and lengths that do not occur here") }
    return header + Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
  }

  /// Opens what was sealed for the same place under any key of the ring.
  public func open(_ envelope: [UInt8], for place: SealPlace) throws(SealError) -> [UInt8] {
    guard let id = Self.keyID(envelope) else { throw .malformed }
    let nonceEnd = Self.headerBytes + Self.nonceBytes
    let tagStart = envelope.count - Self.tagBytes
    let candidates = keys.filter { $0.id == id }
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
  public func isCurrent(_ envelope: [UInt8]) -> Bool { Self.keyID(envelope) == keys[0].id }

  /// Seals what was sealed for the place under an older key under the current one; nil when it is under that already.
  public func reseal(_ envelope: [UInt8], for place: SealPlace) throws(SealError) -> [UInt8]? {
    isCurrent(envelope) ? nil : seal(try open(envelope, for: place), for: place)
  }

  /// The ring in use.
  public var ring: KeyRing { state.withLock { $0.ring } }

  private var keys: [RingKey] { state.withLock { $0.keys } }

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
