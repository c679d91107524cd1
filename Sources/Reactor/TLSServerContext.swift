internal import COpenSSL
internal import Glibc

/// What a TLS server presents: one or several certificates with their keys, chosen by the name the client asks for.
///
/// `@unchecked Sendable`: the contexts are set up in `init` and only read afterwards, which OpenSSL allows from any thread (it counts
/// references and locks its session cache itself).
@safe public final class TLSServerContext: @unchecked Sendable {
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

  let context: OpaquePointer
  private var others: [OpaquePointer]
  /// One ring for all certificates: a client may resume by any name it was served under.
  private let ticketKeys = TLSTicketKeys()

  /// - Parameters:
  ///   - identities: the first is presented when no other's name fits.
  ///   - minimum: TLS 1.2 or 1.3.
  /// - Throws: a file cannot be read, is no PEM, or the key is encrypted or not the certificate's.
  public init(identities: [Identity], minimum: Version = .tls12) throws(ReactorError) {
    guard let first = identities.first else { throw ReactorError("a TLS server needs a certificate") }
    unsafe others = []
    unsafe context = try unsafe TLSServerContext.make(first, minimum, ticketKeys)
    for identity in identities.dropFirst() {
      unsafe others.append(try unsafe TLSServerContext.make(identity, minimum, ticketKeys))
    }
    guard unsafe !others.isEmpty else { return }
    unsafe coatcheck_set_server_name_callback(
      context,
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

  deinit {
    unsafe SSL_CTX_free(context)
    unsafe others.forEach { unsafe SSL_CTX_free($0) }
  }

  private func choose(_ ssl: OpaquePointer, _ name: UnsafePointer<CChar>) {
    let count = unsafe strlen(name)
    let fitting = unsafe others.first { other in
      guard let certificate = unsafe SSL_CTX_get0_certificate(other) else { return false }
      return unsafe X509_check_host(certificate, name, count, 0, nil) == 1
    }
    if let fitting = unsafe fitting { unsafe SSL_set_SSL_CTX(ssl, fitting) }
  }

  private static func make(
    _ identity: Identity, _ minimum: Version, _ ticketKeys: TLSTicketKeys
  ) throws(ReactorError) -> OpaquePointer {
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
      throw ReactorError("OpenSSL has no TLS server")
    }
    unsafe coatcheck_set_min_version(context, minimum == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION)
    unsafe coatcheck_set_modes(context)
    unsafe coatcheck_set_server_options(context)
    // Forward secrecy and authenticated encryption only (RFC 9325 §4.2).
    unsafe SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20")
    unsafe coatcheck_serve_http11(context)
    let sessionID = Array("coatcheck".utf8)
    unsafe SSL_CTX_set_session_id_context(context, sessionID, UInt32(sessionID.count))
    unsafe ticketKeys.serve(context)
    unsafe coatcheck_never_ask_password(context)
    ERR_clear_error()
    if unsafe SSL_CTX_use_certificate_chain_file(context, identity.certificateFile) != 1 {
      let reason = TLSErrors.drain() ?? "unknown"
      unsafe SSL_CTX_free(context)
      throw ReactorError("certificate file \(identity.certificateFile): \(reason)")
    }
    if unsafe SSL_CTX_use_PrivateKey_file(context, identity.privateKeyFile, SSL_FILETYPE_PEM) != 1
      || SSL_CTX_check_private_key(context) != 1
    {
      let reason = TLSErrors.drain() ?? "unknown"
      unsafe SSL_CTX_free(context)
      throw ReactorError("private key file \(identity.privateKeyFile): \(reason)")
    }
    return unsafe context
  }
}
