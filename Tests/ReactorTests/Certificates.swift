import Foundation

@testable import Reactor

/// Certificates made for one run of the tests, in a directory of their own.
enum Certificates {
  private static let path = NSTemporaryDirectory() + "reactor-tests-\(getpid())"

  /// Directory of the files; made once, gone with the process.
  static let directory: String = {
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(atPath: Certificates.path) }
    authority("ca", in: path)
    authority("stranger", in: path)
    leaf("upstream", "ca", "DNS:upstream.test,DNS:localhost,IP:127.0.0.1,IP:::1", in: path)
    leaf("wild", "ca", "DNS:*.wild.test", in: path)
    leaf("common", "ca", "", in: path)
    leaf("foreign", "stranger", "DNS:upstream.test", in: path)
    run(["ec", "-in", "upstream.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key"], in: path)
    return path
  }()

  static func file(_ name: String) -> String { directory + "/" + name }

  static func identity(_ name: String) -> TLSIdentityFiles {
    TLSIdentityFiles(certificateFile: file(name + ".pem"), privateKeyFile: file(name + ".key"))
  }

  private static let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3"]

  private static func authority(_ name: String, in path: String) {
    run(
      ["req", "-x509"] + key + ["-subj", "/CN=\(name)", "-keyout", "\(name).key", "-out", "\(name).pem"],
      in: path)
  }

  private static func leaf(_ name: String, _ issuer: String, _ names: String, in path: String) {
    let entries = names.isEmpty ? [] : ["-addext", "subjectAltName=\(names)"]
    run(
      ["req", "-x509", "-CA", "\(issuer).pem", "-CAkey", "\(issuer).key"] + key + [
        "-subj", "/CN=\(name).test",
      ]
        + ["-addext", "basicConstraints=critical,CA:FALSE"] + entries
        + ["-keyout", "\(name).key", "-out", "\(name).pem"], in: path)
  }

  @discardableResult
  private static func run(_ arguments: [String], in path: String) -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: path)
    let output = Pipe()
    process.standardError = output
    try? process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    precondition(process.terminationStatus == 0, text)
    return text
  }
}

/// `openssl s_client` against a port: a client that is not ours. - Returns: all it said.
func opensslClient(_ port: UInt16, _ arguments: [String]) async -> String {
  await withCheckedContinuation { continuation in
    DispatchQueue.global().async {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["openssl", "s_client", "-connect", "127.0.0.1:\(port)"] + arguments
      process.standardInput = FileHandle.nullDevice
      let output = Pipe()
      process.standardOutput = output
      process.standardError = output
      try? process.run()
      let data = output.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      continuation.resume(returning: String(decoding: data, as: UTF8.self))
    }
  }
}
