internal import Basics
internal import COpenSSL
internal import Glibc

/// The keys that seal a TLS server's session tickets. Tickets are all a server needs to take up a session again, so they work on every
/// loop; a key is used for `lifetime` and opens tickets for as long again, so that a stolen key opens little (RFC 5077 §5.5).
///
/// Owner: shared by a server's contexts and its loops; the ring is guarded. Keys live in memory only: after a restart clients shake
/// hands in full.
final class TLSTicketKeys: Sendable {
  /// One key of the ring. Its name goes in clear before the ticket (RFC 5077 §4).
  struct Key: Sendable, Equatable {
    var name = RandomBytes.make(16)
    var encryption = RandomBytes.make(32)
    var authentication = RandomBytes.make(32)
    var madeAt: MonotonicTime
  }

  static let lifetime = Duration.seconds(12 * 3600)

  /// At most two, the newest first.
  private let ring = Locked<[Key]>([])

  /// The key that seals now.
  func current(_ now: MonotonicTime) -> Key {
    ring.withLock { ring in
      ring.removeAll { now - $0.madeAt >= TLSTicketKeys.lifetime * 2 }
      if let newest = ring.first, now - newest.madeAt < TLSTicketKeys.lifetime { return newest }
      let key = Key(madeAt: now)
      ring = [key] + ring.prefix(1)
      return key
    }
  }

  /// The key of that name, if it still opens; `isCurrent` is false when the client should get a new ticket.
  func find(_ name: [UInt8], _ now: MonotonicTime) -> (key: Key, isCurrent: Bool)? {
    ring.withLock { ring in
      guard let index = ring.firstIndex(where: { $0.name == name }) else { return nil }
      let age = now - ring[index].madeAt
      guard age < TLSTicketKeys.lifetime * 2 else { return nil }
      return (ring[index], index == 0 && age < TLSTicketKeys.lifetime)
    }
  }

  /// Makes the context use these keys. `self` must outlive every session of the context: the server's context object holds both,
  /// and each session holds that.
  func serve(_ context: OpaquePointer) {
    unsafe coatcheck_set_owner(context, Unmanaged.passUnretained(self).toOpaque())
    unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(context) { ssl, name, iv, cipher, mac, isSealing in
      guard let ssl = unsafe ssl, let owner = unsafe coatcheck_owner(ssl), let name = unsafe name,
        let iv = unsafe iv
      else { return -1 }
      let keys = unsafe Unmanaged<TLSTicketKeys>.fromOpaque(owner).takeUnretainedValue()
      let now = MonotonicTime.read()
      if isSealing != 0 {
        let key = keys.current(now)
        guard unsafe RAND_bytes(iv, 16) == 1 else { return -1 }
        unsafe name.update(from: key.name, count: 16)
        return unsafe coatcheck_set_ticket_keys(cipher, mac, key.encryption, key.authentication, iv, 1) == 1
          ? 1 : -1
      }
      let asked = unsafe [UInt8](UnsafeBufferPointer(start: name, count: 16))
      // 0: not ours, shake hands in full. 2: taken, and send a new one.
      guard let found = keys.find(asked, now) else { return 0 }
      let (key, isCurrent) = found
      guard unsafe coatcheck_set_ticket_keys(cipher, mac, key.encryption, key.authentication, iv, 0) == 1
      else { return -1 }
      // With TLS 1.3 clients use a ticket once (RFC 8446 §C.4): without a new one the next connection shakes hands in full.
      return unsafe isCurrent && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2
    }
  }
}
