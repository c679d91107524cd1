internal import COpenSSL

/// How TLS is spoken to others: whom to trust, always with chain and host name verification. There is no switch to turn it off.
///
/// Owner: any thread; the sessions to resume stand in a guarded table.
public final class TLSClientContext: Sendable {
  let context: TLSContext
  /// The last session of each host, for resumption (RFC 8446 §2.2). Bound: `maxSessions` hosts.
  private let sessions = Locked<[String: TLSTicket]>([:])
  private static let maxSessions = 64

  /// - Parameters:
  ///   - caFile: PEM certificates to trust instead of the system's; nil: the system's store.
  ///   - identity: what is presented to a server that asks for a certificate (RFC 8446 §4.3.2); nil: nothing. The files are read
  ///     once, here.
  /// - Throws: a file cannot be read, is no PEM, or the key is encrypted or not the certificate's.
  public init(caFile: String? = nil, identity: TLSServerContext.Identity? = nil) throws(ReactorError) {
    context = try TLSContext(.client, minimum: TLS1_2_VERSION)
    unsafe coatcheck_set_client_options(context.pointer)
    unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
    unsafe coatcheck_offer_http11(context.pointer)
    ERR_clear_error()
    if let caFile {
      if unsafe SSL_CTX_load_verify_locations(context.pointer, caFile, nil) != 1 {
        throw ReactorError("CA file \(caFile): \(TLSErrors.drain() ?? "unknown")")
      }
    } else if unsafe SSL_CTX_set_default_verify_paths(context.pointer) != 1 {
      throw ReactorError("the system's CA certificates: \(TLSErrors.drain() ?? "unknown")")
    }
    if let identity { try Self.present(identity, context) }
  }

  private static func present(
    _ identity: TLSServerContext.Identity, _ context: TLSContext
  ) throws(ReactorError) {
    let (certificate, key) = (identity.certificateFile, identity.privateKeyFile)
    unsafe coatcheck_never_ask_password(context.pointer)
    ERR_clear_error()
    if unsafe SSL_CTX_use_certificate_chain_file(context.pointer, certificate) != 1 {
      throw ReactorError(
        "client certificate file \(certificate): \(TLSErrors.drain() ?? "unknown"); it holds the certificate "
          + "and its chain in PEM form")
    }
    // The key is compared with the certificate here, too.
    if unsafe SSL_CTX_use_PrivateKey_file(context.pointer, key, SSL_FILETYPE_PEM) != 1
      || SSL_CTX_check_private_key(context.pointer) != 1
    {
      throw ReactorError(
        "client private key file \(key): \(TLSErrors.drain() ?? "unknown"); it holds the key of \(certificate) "
          + "in PEM form without passphrase")
    }
  }

  /// Offers the host's last session.
  func resume(_ ssl: OpaquePointer, host: String) {
    sessions.withLock { sessions in
      guard let ticket = sessions[host] else { return }
      unsafe SSL_set_session(ssl, ticket.session)
    }
  }

  /// Remembers a session. Called when a connection closes: by then TLS 1.3 tickets have arrived.
  func remember(_ ssl: OpaquePointer, host: String) {
    guard let session = unsafe SSL_get1_session(ssl) else { return }
    let ticket = unsafe TLSTicket(session)
    guard ticket.isResumable else { return }
    sessions.withLock { sessions in
      if sessions.count >= TLSClientContext.maxSessions { sessions.removeAll() }
      sessions[host] = ticket
    }
  }
}

/// A session that can be resumed; owns its reference, and stays under the table's lock.
@safe private final class TLSTicket {
  let session: OpaquePointer
  init(_ session: OpaquePointer) { unsafe self.session = session }
  deinit { unsafe SSL_SESSION_free(session) }
  var isResumable: Bool { unsafe SSL_SESSION_is_resumable(session) == 1 }
}
