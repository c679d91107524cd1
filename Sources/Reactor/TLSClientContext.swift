internal import COpenSSL

/// How TLS is spoken to others: whom to trust, always with chain and host name verification. There is no switch to turn it off.
///
/// Owner: any thread; what was read from files and the sessions to resume are guarded.
public final class TLSClientContext: Sendable {
  private struct State {
    var context: TLSContext
    var facts: TLSCertificateFacts?
    /// The last session of each server, for resumption (RFC 8446 §2.2). Bound: `maxSessions` servers.
    var sessions: [String: TLSTicket] = [:]
  }

  private static let maxSessions = 64

  public let caFile: String?
  public let identity: TLSIdentityFiles?
  private let speaksHTTP: Bool
  private let state: Locked<State>

  /// Reads the files. Blocks.
  ///
  /// - Parameters:
  ///   - caFile: PEM certificates to trust instead of the system's; nil: the system's store.
  ///   - identity: what is presented to a server that asks for a certificate (RFC 8446 §4.3.2); nil: nothing.
  ///   - speaksHTTP: servers are told that HTTP/1.1 will be spoken (ALPN, RFC 7301); false: nothing is said, for other protocols.
  /// - Throws: a file cannot be read, is no PEM, or the key is encrypted or not the certificate's.
  public init(
    caFile: String? = nil, identity: TLSIdentityFiles? = nil, speaksHTTP: Bool = true
  ) throws(ReactorError) {
    self.speaksHTTP = speaksHTTP
    self.caFile = caFile
    self.identity = identity
    let made = try Self.make(caFile, identity, speaksHTTP)
    state = Locked(State(context: made, facts: Self.facts(made, identity)))
  }

  /// Of the client's own certificate; nil without one.
  public var facts: TLSCertificateFacts? { state.withLock { $0.facts } }

  /// Reads the files again; new connections are made with what they hold. When one of them is not sound, all stays as it is. Blocks;
  /// one call at a time.
  ///
  /// - Throws: as `init` does.
  public func reload() throws(ReactorError) {
    let made = try Self.make(caFile, identity, speaksHTTP)
    let facts = Self.facts(made, identity)
    state.withLock { state in
      // A resumed session would go on with the trust, and as the client, of before.
      state = State(context: made, facts: facts)
    }
  }

  /// What a new connection is made with.
  var context: TLSContext { state.withLock { $0.context } }

  private static func make(
    _ caFile: String?, _ identity: TLSIdentityFiles?, _ speaksHTTP: Bool
  ) throws(ReactorError) -> TLSContext {
    let context = try TLSContext(.client, minimum: TLS1_2_VERSION)
    unsafe coatcheck_set_client_options(context.pointer)
    unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
    if speaksHTTP { unsafe coatcheck_offer_http11(context.pointer) }
    ERR_clear_error()
    if let caFile {
      if unsafe SSL_CTX_load_verify_locations(context.pointer, caFile, nil) != 1 {
        throw ReactorError("CA file \(caFile): \(TLSErrors.drain() ?? "unknown")")
      }
    } else if unsafe SSL_CTX_set_default_verify_paths(context.pointer) != 1 {
      throw ReactorError("the system's CA certificates: \(TLSErrors.drain() ?? "unknown")")
    }
    if let identity { try context.present(identity, kind: "client ") }
    return context
  }

  private static func facts(_ context: TLSContext, _ identity: TLSIdentityFiles?) -> TLSCertificateFacts? {
    identity.map { TLSCertificateFacts(context, file: $0.certificateFile) }
  }

  /// The bytes that the server would be offered; empty when it gave none.
  func ticket(of server: String) -> [UInt8] { state.withLock { $0.sessions[server]?.bytes ?? [] } }

  /// Offers the server's last session, if it was made with the same context.
  func resume(_ ssl: OpaquePointer, server: String, _ context: TLSContext) {
    state.withLock { state in
      guard state.context === context, let ticket = state.sessions[server] else { return }
      unsafe SSL_set_session(ssl, ticket.session)
    }
  }

  /// Remembers a session. Called when a connection closes: by then TLS 1.3 tickets have arrived.
  func remember(_ ssl: OpaquePointer, server: String, _ context: TLSContext) {
    guard let session = unsafe SSL_get1_session(ssl) else { return }
    let ticket = unsafe TLSTicket(session)
    guard ticket.isResumable else { return }
    state.withLock { state in
      guard state.context === context else { return }
      if state.sessions.count >= TLSClientContext.maxSessions { state.sessions.removeAll() }
      state.sessions[server] = ticket
    }
  }
}

/// A session that can be resumed; owns its reference, and stays under the table's lock.
@safe private final class TLSTicket {
  let session: OpaquePointer
  init(_ session: OpaquePointer) { unsafe self.session = session }
  deinit { unsafe SSL_SESSION_free(session) }
  var bytes: [UInt8] {
    var start: UnsafePointer<UInt8>?
    var count = 0
    unsafe SSL_SESSION_get0_ticket(session, &start, &count)
    return unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
  }
  var isResumable: Bool { unsafe SSL_SESSION_is_resumable(session) == 1 }
}
