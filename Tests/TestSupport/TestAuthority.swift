import Foundation

/// An authority and a certificate of it for localhost and 127.0.0.1, made by the `openssl` command; gone with its owner.
public final class TestAuthority {
  /// PEM files.
  public let authority: String
  public let certificate: String
  public let key: String
  private let directory: String

  public init() throws {
    directory = "/tmp/coatcheck-authority-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    authority = directory + "/ca.pem"
    certificate = directory + "/server.pem"
    key = directory + "/server.key"
    let fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3"]
    try run(
      ["req", "-x509"] + fresh + ["-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"])
    try run(
      ["req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key"] + fresh + [
        "-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:FALSE",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "server.key", "-out", "server.pem",
      ])
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  private func run(_ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: directory)
    process.standardInput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw RedisServer.Failure(description: "openssl \(arguments.joined(separator: " "))")
    }
  }
}
