internal import COpenSSL
internal import Glibc

/// What a TLS server presents: one or several certificates with their keys, chosen by the name the client asks for.
///
/// Owner: any thread. The certificates in use are guarded and change in one step, at `reload`; connections keep those they began
/// with. The ring of ticket keys stays, so that sessions are taken up across a change.
public final class TLSServerContext: Sendable {
  public enum Version: Sendable { case tls12, tls13 }

  private let files: [TLSIdentityFiles]
  private let minimum: Version
  /// One ring for all certificates: a client may resume by any name it was served under.
  private let ticketKeys = TLSTicketKeys()
  private let inUse: Locked<TLSServerCertificates>

  /// Reads the files. Blocks.
  ///
  /// - Parameters:
  ///   - identities: the first is presented when no other's name fits.
  ///   - minimum: TLS 1.2 or 1.3.
  /// - Throws: a file cannot be read, is no PEM, or the key is encrypted or not the certificate's.
  public init(identities: [TLSIdentityFiles], minimum: Version = .tls12) throws(ReactorError) {
    guard !identities.isEmpty else { throw ReactorError("a TLS server needs a certificate") }
    files = identities
    self.minimum = minimum
    var all: [TLSServerCertificate] = []
    for one in identities { all.append(try TLSServerCertificate(one, minimum, ticketKeys)) }
    inUse = Locked(TLSServerCertificates(all))
  }

  /// What new connections are served with.
  var certificates: TLSServerCertificates { inUse.withLock { $0 } }

  /// Of each certificate in use, in the order of `identities`.
  public var facts: [TLSCertificateFacts] { certificates.all.map(\.facts) }

  /// Reads the files again. Each certificate is replaced as soon as its files are sound; otherwise the one in use stays. Blocks; one
  /// call at a time.
  ///
  /// - Returns: why files were not taken.
  public func reload() -> [ReactorError] {
    var problems: [ReactorError] = []
    var all = certificates.all
    for (index, one) in files.enumerated() {
      do { all[index] = try TLSServerCertificate(one, minimum, ticketKeys) } catch { problems.append(error) }
    }
    let made = TLSServerCertificates(all)
    inUse.withLock { $0 = made }
    return problems
  }
}

/// The certificates of one reading of the files. Immutable; every session keeps those it began with.
final class TLSServerCertificates: Sendable {
  let all: [TLSServerCertificate]

  /// - Parameter all: not empty.
  init(_ all: [TLSServerCertificate]) { self.all = all }

  /// A new session of the first certificate, to be exchanged for that of the name the client asks for.
  func makeSession() -> OpaquePointer? {
    guard let ssl = unsafe SSL_new(all[0].context.pointer) else { return nil }
    // Whoever holds the session holds `self`, too.
    if all.count > 1 { unsafe coatcheck_set_session_owner(ssl, Unmanaged.passUnretained(self).toOpaque()) }
    return unsafe ssl
  }

  /// Presents the certificate whose names fit the one that is asked for (RFC 6066 §3).
  static func chooseByName(_ context: TLSContext) {
    unsafe coatcheck_set_server_name_callback(
      context.pointer,
      { ssl, _, _ in
        guard let ssl = unsafe ssl, let owner = unsafe coatcheck_session_owner(ssl),
          let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
        else { return SSL_TLSEXT_ERR_OK }
        let me = unsafe Unmanaged<TLSServerCertificates>.fromOpaque(owner).takeUnretainedValue()
        unsafe me.choose(ssl, name)
        return SSL_TLSEXT_ERR_OK
      })
  }

  private func choose(_ ssl: OpaquePointer, _ name: UnsafePointer<CChar>) {
    let count = unsafe strlen(name)
    let fitting = all.dropFirst().first { other in
      guard let certificate = unsafe SSL_CTX_get0_certificate(other.context.pointer) else { return false }
      return unsafe X509_check_host(certificate, name, count, 0, nil) == 1
    }
    if let fitting { unsafe SSL_set_SSL_CTX(ssl, fitting.context.pointer) }
  }
}

/// One certificate as it was read, ready to serve. Immutable.
final class TLSServerCertificate: Sendable {
  let context: TLSContext
  let facts: TLSCertificateFacts
  /// Both are referred to by the context.
  private let ticketKeys: TLSTicketKeys
  private let staple: TLSStaple?

  init(
    _ files: TLSIdentityFiles, _ minimum: TLSServerContext.Version, _ ticketKeys: TLSTicketKeys
  ) throws(ReactorError) {
    context = try TLSContext(.server, minimum: minimum == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION)
    self.ticketKeys = ticketKeys
    unsafe coatcheck_set_server_options(context.pointer)
    unsafe coatcheck_serve_http11(context.pointer)
    let sessionID = Array("coatcheck".utf8)
    unsafe SSL_CTX_set_session_id_context(context.pointer, sessionID, UInt32(sessionID.count))
    unsafe ticketKeys.serve(context.pointer)
    TLSServerCertificates.chooseByName(context)
    try context.present(files)
    var facts = TLSCertificateFacts(context, file: files.certificateFile)
    var staple: TLSStaple?
    if let file = files.ocspResponseFile {
      do { staple = try TLSStaple(file: file, for: context) } catch { facts.ocspProblem = error.description }
    }
    self.facts = facts
    self.staple = staple
    if let staple { unsafe staple.serve(context.pointer) }
  }
}
