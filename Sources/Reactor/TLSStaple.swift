internal import COpenSSL
internal import Glibc

/// An OCSP response that a server shows with its certificate, so that clients need not ask the authority (RFC 6066 §8, "stapling").
///
/// Immutable. It was checked to be the authority's word that this certificate is good; it is shown until that word's time is over.
final class TLSStaple: Sendable {
  /// Responses have one or two thousand bytes.
  private static let maxBytes = 64 << 10
  /// What clocks may differ by.
  private static let skew = 300

  private let response: [UInt8]
  /// Seconds since the epoch at which the response is no longer news.
  private let end: Int

  /// Reads and checks the response. Blocks.
  ///
  /// - Parameter context: has the certificate and its chain.
  /// - Throws: why the response cannot be shown.
  init(file: String, for context: TLSContext) throws(ReactorError) {
    func problem(_ text: String) -> ReactorError { ReactorError("OCSP response file \(file): \(text)") }
    let certificate = unsafe SSL_CTX_get0_certificate(context.pointer)
    guard let issuer = unsafe TLSStaple.issuer(of: certificate, in: context) else {
      throw problem("cannot be checked without the authority's certificate behind that of the server")
    }
    ERR_clear_error()
    let bio = unsafe BIO_new_file(file, "rb")
    guard unsafe bio != nil else { throw problem(TLSErrors.drain() ?? "cannot be read") }
    defer { unsafe BIO_free(bio) }
    guard let whole = unsafe coatcheck_read_ocsp_response(bio) else {
      throw problem("is no OCSP response in DER form")
    }
    defer { unsafe OCSP_RESPONSE_free(whole) }
    let status = unsafe OCSP_response_status(whole)
    guard status == OCSP_RESPONSE_STATUS_SUCCESSFUL, let basic = unsafe OCSP_response_get1_basic(whole) else {
      throw problem("is a failure: \(unsafe String(cString: OCSP_response_status_str(Int(status))))")
    }
    defer { unsafe OCSP_BASICRESP_free(basic) }
    guard unsafe coatcheck_ocsp_is_signed(basic, issuer) == 1 else {
      throw problem("is not signed by the certificate's authority: \(TLSErrors.drain() ?? "unknown")")
    }
    var next: UnsafeMutablePointer<ASN1_TIME>?
    switch Int(unsafe coatcheck_ocsp_find(basic, certificate, issuer, TLSStaple.skew, &next)) {
    case COATCHECK_OCSP_GOOD: break
    case COATCHECK_OCSP_ABSENT: throw problem("is about another certificate")
    case COATCHECK_OCSP_STALE: throw problem("is not current: it has to be fetched again")
    default: throw problem("does not say that the certificate is good: it may be revoked")
    }
    end = unsafe coatcheck_seconds(next)
    guard end >= 0 else { throw problem("does not say until when it is valid") }
    response = unsafe TLSStaple.encoded(whole)
    guard !response.isEmpty, response.count <= TLSStaple.maxBytes else { throw problem("is too long") }
  }

  private static func encoded(_ whole: OpaquePointer) -> [UInt8] {
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = unsafe i2d_OCSP_RESPONSE(whole, &bytes)
    guard count > 0, let bytes = unsafe bytes else { return [] }
    defer { unsafe coatcheck_free(bytes) }
    return unsafe Array(UnsafeBufferPointer(start: bytes, count: Int(count)))
  }

  /// The authority's certificate: in the chain, or the certificate itself when it signed itself.
  private static func issuer(of certificate: OpaquePointer?, in context: TLSContext) -> OpaquePointer? {
    guard let certificate = unsafe certificate else { return nil }
    if unsafe X509_check_issued(certificate, certificate) == X509_V_OK { return unsafe certificate }
    return unsafe coatcheck_issuer_in_chain(context.pointer, certificate)
  }

  /// Makes the context show the response to clients that ask. `self` must outlive the context's sessions.
  func serve(_ context: OpaquePointer) {
    unsafe coatcheck_set_status_callback(
      context,
      { ssl, argument in
        guard let ssl = unsafe ssl, let argument = unsafe argument else { return SSL_TLSEXT_ERR_NOACK }
        let me = unsafe Unmanaged<TLSStaple>.fromOpaque(argument).takeUnretainedValue()
        guard time(nil) < me.end,
          unsafe coatcheck_show_status(ssl, me.response, me.response.count) == 1
        else { return SSL_TLSEXT_ERR_NOACK }
        return SSL_TLSEXT_ERR_OK
      }, Unmanaged.passUnretained(self).toOpaque())
  }
}
