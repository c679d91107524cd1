internal import COpenSSL

/// What client and server contexts have in common: OpenSSL's `SSL_CTX` with the versions, ciphers and modes that both speak.
///
/// `@unchecked Sendable`: whoever makes one sets it up before sharing it and only reads it afterwards, which OpenSSL allows from any
/// thread: it counts references and locks its own tables.
@safe final class TLSContext: @unchecked Sendable {
  enum Role { case client, server }

  /// Lives as long as the object.
  let pointer: OpaquePointer

  /// Whether OpenSSL is ready. Its tables are not freed when the process ends: other threads may still be using them.
  private static let isReady = OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_ATEXIT), nil) == 1

  init(_ role: Role, minimum: Int32) throws(ReactorError) {
    guard Self.isReady else { throw ReactorError("OpenSSL: \(TLSErrors.drain() ?? "unknown")") }
    let method = unsafe role == .client ? TLS_client_method() : TLS_server_method()
    guard let pointer = unsafe SSL_CTX_new(method) else { throw ReactorError("OpenSSL has no TLS \(role)") }
    unsafe self.pointer = pointer
    unsafe coatcheck_set_min_version(pointer, minimum)
    unsafe coatcheck_set_modes(pointer)
    // Forward secrecy and authenticated encryption only (RFC 9325 §4.2); in front what is strong enough and costs least.
    unsafe SSL_CTX_set_cipher_list(pointer, "ECDHE+AESGCM+AES128:ECDHE+AESGCM+AES256:ECDHE+CHACHA20")
    unsafe SSL_CTX_set_ciphersuites(
      pointer, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")
  }

  deinit { unsafe SSL_CTX_free(pointer) }
}
