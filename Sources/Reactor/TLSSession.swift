internal import Basics
internal import COpenSSL

/// One TLS connection: an `SSL` object on a socket.
///
/// Owner: its stream. `@safe`: the pointer lives as long as the object and never leaves it.
@safe final class TLSSession {
  private let ssl: OpaquePointer
  /// The socket as OpenSSL sees it; lives as long as `ssl`.
  private let link: UnsafeMutablePointer<coatcheck_link>
  private var isEstablished = false
  /// The handshake goes on when bytes come; a server's begins so.
  private var awaitsPeer = false
  private var isBroken = false
  /// The last read can only go on when the socket takes bytes, and the other way round (key updates).
  private var readAwaitsRoom = false
  private var writeAwaitsBytes = false
  /// Why the connection broke: what the peer said, or what happened to it.
  private(set) var failure: String?
  /// Kept so that what its callbacks refer to outlives the session.
  private let source: AnyObject
  /// Where a client's session is remembered for the next connection.
  private var memory: Memory?

  private struct Memory {
    var client: TLSClientContext
    /// What it was made with.
    var context: TLSContext
    /// Whom it is with.
    var server: String
  }

  init?(server: TLSServerContext, descriptor: Int32) {
    let certificates = server.certificates
    guard let ssl = unsafe certificates.makeSession() else { return nil }
    guard let link = unsafe coatcheck_link_attach(ssl, coatcheck_link_method(), descriptor) else {
      unsafe SSL_free(ssl)
      return nil
    }
    unsafe (self.ssl, self.link) = (ssl, link)
    source = certificates
    unsafe SSL_set_accept_state(ssl)
    awaitsPeer = true
  }

  init?(client: TLSClientContext, descriptor: Int32, host: String, port: UInt16 = 443) {
    let context = client.context
    guard let ssl = unsafe SSL_new(context.pointer) else { return nil }
    guard let link = unsafe coatcheck_link_attach(ssl, coatcheck_link_method(), descriptor) else {
      unsafe SSL_free(ssl)
      return nil
    }
    unsafe (self.ssl, self.link) = (ssl, link)
    source = context
    let memory = Memory(client: client, context: context, server: "\(host):\(port)")
    self.memory = memory
    unsafe SSL_set_connect_state(ssl)
    if SocketAddress(host: host, port: 0) != nil {
      // An address is checked against the certificate's IP entries; SNI carries names only (RFC 6066 §3).
      let bare = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
      guard unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), bare) == 1 else { return nil }
    } else {
      guard unsafe SSL_set1_host(ssl, host) == 1 else { return nil }
      unsafe SSL_set_hostflags(ssl, TLSSession.hostFlags)
      unsafe coatcheck_set_server_name(ssl, host)
    }
    unsafe client.resume(ssl, server: memory.server, context)
  }

  deinit { unsafe SSL_free(ssl) }

  /// Names are looked for only where they belong, in the alternative names (RFC 9525 §2), and `*` stands for a whole label.
  private static let hostFlags = UInt32(
    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

  var serverName: String? {
    guard let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return nil }
    return unsafe String(cString: name)
  }

  var version: String? { isEstablished ? unsafe String(cString: SSL_get_version(ssl)) : nil }

  var wasResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

  /// What an event of the socket means to whoever uses the session: while TLS needs one direction for the other, either will do.
  func translated(_ events: PollEvents) -> PollEvents {
    var meant = events
    if !isEstablished || readAwaitsRoom, events.contains(.writable) { meant.insert(.readable) }
    if !isEstablished || writeAwaitsBytes, events.contains(.readable) { meant.insert(.writable) }
    return meant
  }

  /// The socket has something to tell: reads go to it again, and what waits to be sent is.
  func stirred(_ events: PollEvents) {
    if events.contains(.readable) { unsafe link.pointee.may_have_bytes = 1 }
    if !events.isDisjoint(with: .ending) {
      unsafe (link.pointee.may_have_bytes, link.pointee.is_ending) = (1, 1)
    }
    // A failure is met by the next read or write.
    _ = unsafe coatcheck_link_flush(link)
  }

  /// Goes on with the handshake. What it writes goes out in one piece; a server's session tickets go with the first answer when the
  /// request has come with the handshake's end.
  func handshake() -> Stream.HandshakeOutcome {
    if isEstablished { return .done }
    if awaitsPeer, !mayRead { return .wouldBlock }
    ERR_clear_error()
    let result = unsafe SSL_do_handshake(ssl)
    let error = result == 1 ? SSL_ERROR_NONE : unsafe SSL_get_error(ssl, result)
    awaitsPeer = error == SSL_ERROR_WANT_READ
    let isAlone = unsafe result != 1 || memory != nil || SSL_has_pending(ssl) == 0
    let isCut = unsafe isAlone && coatcheck_link_flush(link) < 0
    switch error {
    case _ where isCut && !TLSErrors.areQueued:
      isBroken = true
      return .failed(unsafe Syscalls.text(link.pointee.error))
    case SSL_ERROR_NONE:
      isEstablished = true
      unsafe link.pointee.is_gathering = 0
      // The block that the handshake was read into; reads give theirs back when it is empty (SSL_MODE_RELEASE_BUFFERS).
      if unsafe SSL_has_pending(ssl) == 0 { unsafe SSL_free_buffers(ssl) }
      return .done
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wouldBlock
    default:
      isBroken = true
      let verdict = unsafe SSL_get_verify_result(ssl)
      if verdict != Int(X509_V_OK) {
        return .failed(
          "certificate refused: \(unsafe String(cString: X509_verify_cert_error_string(verdict)))")
      }
      return .failed(TLSErrors.drain() ?? "connection closed during the handshake")
    }
  }

  func read(into buffer: inout Buffer, max: Int) -> IOOutcome {
    readAwaitsRoom = false
    guard mayRead else { return nothingToRead() }
    var outcome = IOOutcome.wouldBlock
    unsafe buffer.fill(atLeast: max) { space in
      let room = min(max, space.count)
      var total = 0
      // Records come one at a time: take what is there, up to the bound.
      repeat {
        ERR_clear_error()
        let count = unsafe SSL_read(
          ssl, space.baseAddress?.advanced(by: total), Int32(clamping: room - total))
        guard count > 0 else {
          outcome = ended(count, &readAwaitsRoom, SSL_ERROR_WANT_WRITE)
          break
        }
        total += Int(count)
      } while total < room && mayRead
      // An end met after some bytes is told again by the next read.
      if total > 0 { outcome = .bytes(total) }
      return total
    }
    return outcome == .wouldBlock ? nothingToRead() : outcome
  }

  /// Whether a read could bring something: from the socket, or of what has been read from it.
  private var mayRead: Bool { unsafe link.pointee.may_have_bytes != 0 || SSL_has_pending(ssl) != 0 }

  /// Nothing comes that the tickets could go with.
  private func nothingToRead() -> IOOutcome {
    _ = unsafe coatcheck_link_flush(link)
    return .wouldBlock
  }

  func write(from buffer: borrowing Buffer) -> IOOutcome {
    writeAwaitsBytes = false
    return unsafe buffer.withBytes { bytes in
      var total = 0
      while total < bytes.count {
        ERR_clear_error()
        let count = unsafe SSL_write(
          ssl, bytes.baseAddress?.advanced(by: total), Int32(clamping: bytes.count - total))
        guard count > 0 else {
          let outcome = ended(count, &writeAwaitsBytes, SSL_ERROR_WANT_READ)
          return total > 0 ? .bytes(total) : outcome
        }
        total += Int(count)
      }
      return .bytes(total)
    }
  }

  /// Sends `close_notify`, without waiting for the peer's.
  func shutdown() {
    guard isEstablished, !isBroken else { return }
    if let memory { unsafe memory.client.remember(ssl, server: memory.server, memory.context) }
    ERR_clear_error()
    unsafe SSL_shutdown(ssl)
    isBroken = true
  }

  /// Reads nothing away but session tickets.
  func isQuiet() -> Bool {
    var byte: UInt8 = 0
    // An event may be on its way.
    unsafe link.pointee.may_have_bytes = 1
    ERR_clear_error()
    let count = unsafe SSL_peek(ssl, &byte, 1)
    guard count <= 0 else { return false }
    return unsafe SSL_get_error(ssl, count) == SSL_ERROR_WANT_READ
  }

  /// Why a read or a write brought nothing. `awaitsOther` is set when it needs the other direction to go on.
  ///
  /// A connection that ends without `close_notify` may have been cut by anybody (RFC 8446 §6.1): that is a failure, not an end.
  private func ended(_ result: Int32, _ awaitsOther: inout Bool, _ other: Int32) -> IOOutcome {
    let error = unsafe SSL_get_error(ssl, result)
    switch error {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
      awaitsOther = error == other
      return .wouldBlock
    case SSL_ERROR_ZERO_RETURN: return .endOfStream
    default:
      isBroken = true
      let code = unsafe link.pointee.error
      failure = TLSErrors.drain() ?? (code != 0 ? Syscalls.text(code) : nil)
      return .failed(0)
    }
  }
}

/// OpenSSL's error queue as text.
enum TLSErrors {
  static var areQueued: Bool { ERR_peek_error() != 0 }

  /// Empties the queue; the first entry is the cause.
  static func drain() -> String? {
    var first: String?
    while true {
      let code = ERR_get_error()
      if code == 0 { return first }
      guard first == nil else { continue }
      if coatcheck_is_system_error(code) != 0 {
        first = Syscalls.text(coatcheck_reason(code))
      } else if coatcheck_is_unexpected_eof(code) != 0 {
        first = "connection closed without close_notify"
      } else if let reason = unsafe ERR_reason_error_string(code) {
        first = unsafe String(cString: reason)
      }
    }
  }
}
