import Glibc
import Reactor

/// A certificate for localhost and 127.0.0.1, its own authority, valid for a hundred years; its key is worth nothing.
enum TestCertificate {
  /// What a server presents.
  static func server() throws -> TLSServerContext {
    try TLSServerContext(identities: [
      .init(certificateFile: try file("certificate", certificate), privateKeyFile: try file("key", key))
    ])
  }

  /// Trusts this certificate only.
  static func client() throws -> TLSClientContext {
    try TLSClientContext(caFile: try file("certificate", certificate))
  }

  struct CannotWrite: Error {}

  /// OpenSSL reads files: writes one that belongs to this process.
  private static func file(_ name: String, _ text: String) throws -> String {
    let path = "/tmp/coatcheck-wire-tests-\(getpid())-\(name).pem"
    let part = "\(path).\(UInt64.random(in: 0 ... .max))"
    guard let handle = unsafe fopen(part, "w") else { throw CannotWrite() }
    unsafe fputs(text, handle)
    unsafe fclose(handle)
    guard unsafe rename(part, path) == 0 else { throw CannotWrite() }
    return path
  }

  private static let certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBmzCCAUGgAwIBAgIUaVwAFcazCibPotTBsuw5WHR8HeswCgYIKoZIzj0EAwIw
    FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEyMTM1OFoYDzIxMjYxMDI4
    MTIxMzU4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
    PQMBBwNCAATkmEwnphMqAqCWoEII+1Fm2Rf2RIjDcyf2b0zSKDRy7A8NnJKgXx+J
    A7fTQmlMiRRRYphF7RXu0TVWfARDJiRuo28wbTAdBgNVHQ4EFgQUQtiETBfj3Niq
    VmJ3knVzvZda84AwHwYDVR0jBBgwFoAUQtiETBfj3NiqVmJ3knVzvZda84AwGgYD
    VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
    zj0EAwIDSAAwRQIhAOUPsgIeKP8ylJkfdW/WERwuefvo5WfIBKY5qckXZOn4AiB7
    gO4bmvIF/Gjg7c10IYYrN9Puy8m3ljpOFzNYHKyQDw==
    -----END CERTIFICATE-----
    """

  private static let key = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBmuDNyQVRq20/zea
    /GsrhhdwpVkTCWxJrVTAH0H3ieGhRANCAATkmEwnphMqAqCWoEII+1Fm2Rf2RIjD
    cyf2b0zSKDRy7A8NnJKgXx+JA7fTQmlMiRRRYphF7RXu0TVWfARDJiRu
    -----END PRIVATE KEY-----
    """
}
