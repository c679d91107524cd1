public import Basics
internal import COpenSSL

/// The files of one certificate.
public struct TLSIdentityFiles: Sendable, Hashable {
  /// PEM: the certificate, then its chain.
  public var certificateFile: String
  /// PEM, not encrypted.
  public var privateKeyFile: String
  /// DER: an OCSP response about the certificate (RFC 6960), which a server shows; nil: none.
  public var ocspResponseFile: String?

  public init(certificateFile: String, privateKeyFile: String, ocspResponseFile: String? = nil) {
    self.certificateFile = certificateFile
    self.privateKeyFile = privateKeyFile
    self.ocspResponseFile = ocspResponseFile
  }
}

/// What an operator should know of a certificate in use.
public struct TLSCertificateFacts: Sendable, Equatable {
  public var file: String
  public var notBefore: Timestamp
  public var notAfter: Timestamp
  /// Why the OCSP response is not shown; nil: it is, or none is configured.
  public var ocspProblem: String?

  /// Of the certificate that a context presents. Moments that cannot be read count as long ago.
  init(_ context: TLSContext, file: String) {
    self.file = file
    let certificate = unsafe SSL_CTX_get0_certificate(context.pointer)
    notBefore = unsafe Timestamp(seconds: Int64(coatcheck_seconds(X509_get0_notBefore(certificate))))
    notAfter = unsafe Timestamp(seconds: Int64(coatcheck_seconds(X509_get0_notAfter(certificate))))
  }
}

extension TLSContext {
  /// Takes certificate, chain and key from files. The key is compared with the certificate.
  ///
  /// - Parameter kind: goes before the file in messages, such as `client `.
  /// - Throws: a file cannot be read, is no PEM, or the key is encrypted or not the certificate's.
  func present(_ files: TLSIdentityFiles, kind: String = "") throws(ReactorError) {
    unsafe coatcheck_never_ask_password(pointer)
    ERR_clear_error()
    if unsafe SSL_CTX_use_certificate_chain_file(pointer, files.certificateFile) != 1 {
      throw ReactorError(
        "\(kind)certificate file \(files.certificateFile): \(TLSErrors.drain() ?? "unknown"); it holds the "
          + "certificate and its chain in PEM form")
    }
    if unsafe SSL_CTX_use_PrivateKey_file(pointer, files.privateKeyFile, SSL_FILETYPE_PEM) != 1
      || SSL_CTX_check_private_key(pointer) != 1
    {
      throw ReactorError(
        "\(kind)private key file \(files.privateKeyFile): \(TLSErrors.drain() ?? "unknown"); it holds the key "
          + "of \(files.certificateFile) in PEM form without passphrase")
    }
  }
}
