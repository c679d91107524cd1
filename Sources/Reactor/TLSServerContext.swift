internal import COpenSSL
internal import Glibc

/// What a TLS server presents: one or several certificates with their keys, chosen by the name the client asks for.
///
/// Owner: any thread; nothing changes after `init` but the guarded ring of ticket keys.
public final class TLSServerContext: Sendable {
  public enum Version: Sendable { case tls12, tls13 }

  /// Files of one certificate.
  public struct Identity: Sendable {
    /// PEM: the certificate, then its chain.
    public var certificateFile: String
    /// PEM, not encrypted.
    public var privateKeyFile: String

    public init(certificateFile: String, privateKeyFile: String) {
      self.certificateFile = certificateFile
      self.privateKeyFile = privateKeyFile
    }
  }

  /// The first certificate's.
  let context: TLSContext
  private let others: [TLSContext]
  /// One ring for all certificates: a client may resume by any name it was served under.
  private let ticketKeys = TLSTicketKeys()

  /// - Parameters:
  ///   - identities: the first is presented when no other's name fits.
  ///   - minimum: TLS 1.2 or 1.3.
  /// - Throws: a file cannot be read, is no PEM, or the key is encrypted or not the certificate's.
  public init(identities: [Identity], minimum: Version = .tls12) throws(ReactorError) {
    guard let first = identities.first else { throw ReactorError("a TLS server needs a certificate") }
    context = try TLSServerContext.make(first, minimum, ticketKeys)
    var others: [TLSContext] = []
    for identity in identities.dropFirst() {
      others.append(try TLSServerContext.make(identity, minimum, ticketKeys))
    }
    self.others = others
    guard !others.isEmpty else { return }
    unsafe coatcheck_set_server_name_callback(
      context.pointer,
      { ssl, _, argument in
        // `argument` is the object itself, unretained: it lives longer than every session made from it (TLSSession.context).
        guard let ssl = unsafe ssl, let argument = unsafe argument,
          let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
        else { return SSL_TLSEXT_ERR_OK }
        let me = unsafe Unmanaged<TLSServerContext>.fromOpaque(argument).takeUnretainedValue()
        unsafe me.choose(ssl, name)
        return SSL_TLSEXT_ERR_OK
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  private func choose(_ ssl: OpaquePointer, _ name: UnsafePointer<CChar>) {
    let count = unsafe strlen(name)
    let fitting = others.first { other in
      guard let certificate = unsafe SSL_CTX_get0_certificate(other.pointer) else { return false }
      return unsafe X509_check_host(certificate, name, count, 0, nil) == 1
    }
    if let fitting { unsafe SSL_set_SSL_CTX(ssl, fitting.pointer) }
  }

  private static func make(
    _ identity: Identity, _ minimum: Version, _ ticketKeys: TLSTicketKeys
  ) throws(ReactorError) -> TLSContext {
    let context = try TLSContext(.server, minimum: minimum == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION)
    unsafe coatcheck_set_server_options(context.pointer)
    unsafe coatcheck_serve_http11(context.pointer)
    let sessionID = Array("coatcheck".utf8)
    unsafe SSL_CTX_set_session_id_context(context.pointer, sessionID, UInt32(sessionID.count))
    unsafe ticketKeys.serve(context.pointer)
    unsafe coatcheck_never_ask_password(context.pointer)
    ERR_clear_error()
    if unsafe SSL_CTX_use_certificate_chain_file(context.pointer, identity.certificateFile) != 1 {
      throw ReactorError(
        "certificate file \(identity.certificateFile): \(TLSErrors.drain() ?? "unknown")")
    }
    if unsafe SSL_CTX_use_PrivateKey_file(context.pointer, identity.privateKeyFile, SSL_FILETYPE_PEM) != 1
      || SSL_CTX_check_private_key(context.pointer) != 1
    {
      throw ReactorError(
        "private key file \(identity.privateKeyFile): \(TLSErrors.drain() ?? "unknown")")
    }
    return context
  }
}
