import Foundation
import Glibc

/// A Redis server of its own on a loopback port, for one test; gone with its owner.
///
/// Needs `redis-server` and `redis-cli` in PATH (`scripts/setup` installs them): without them, starting one fails, and so does the test.
public final class RedisServer {
  /// What the server, or a command sent to it, did not do.
  public struct Failure: Error, CustomStringConvertible {
    public let description: String
    public init(description: String) { self.description = description }
  }

  public let port: UInt16
  /// Second port, for TLS; 0 without.
  public let tlsPort: UInt16
  /// Third port, for the other nodes of a cluster.
  public let clusterPort: UInt16
  /// Where the server's files are; gone with it.
  public let directory: String
  private let arguments: [String]
  private let password: String?
  private var process: Process?

  /// Starts a server and waits until it answers.
  ///
  /// - Parameters:
  ///   - arguments: options as on its command line, such as `["--requirepass", "secret"]`.
  ///   - sentinel: lines of a sentinel's configuration: the process is a sentinel.
  ///   - tls: PEM files of the authority, the certificate and its key: the server listens for TLS as well.
  ///   - password: what the helper's own commands authenticate with.
  public init(
    _ arguments: [String] = [], sentinel: String? = nil,
    tls: (authority: String, certificate: String, key: String)? = nil, password: String? = nil
  ) throws {
    directory = "/tmp/coatcheck-redis-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    self.password = password
    port = Self.freePort()
    clusterPort = arguments.contains("--cluster-enabled") ? Self.freePort() : 0
    tlsPort = tls == nil ? 0 : Self.freePort()
    var all = ["--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory, "--loglevel", "warning"]
    if let sentinel {
      let file = directory + "/sentinel.conf"
      try sentinel.write(toFile: file, atomically: true, encoding: .utf8)
      all = [file, "--sentinel"] + all
    } else {
      all += ["--save", "", "--appendonly", "no", "--enable-debug-command", "local"]
      // A cluster's own port would be beyond the last one there is when the port is a high one.
      if clusterPort > 0 {
        all += ["--cluster-port", "\(clusterPort)", "--cluster-config-file", "nodes.conf"]
      }
    }
    if let tls {
      all += ["--tls-port", "\(tlsPort)", "--tls-auth-clients", "no", "--tls-ca-cert-file", tls.authority]
      all += ["--tls-cert-file", tls.certificate, "--tls-key-file", tls.key]
    }
    self.arguments = all + arguments
    try start()
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Starts it again after `kill`, on the same port, without what it held.
  public func start() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["redis-server"] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: logFile) ?? FileHandle.nullDevice
    process.standardError = process.standardOutput
    try process.run()
    self.process = process
    let deadline = Date().addingTimeInterval(10)
    while !isAnswering() {
      guard process.isRunning, Date() < deadline else {
        throw Failure(description: "redis-server did not start: \(arguments.joined(separator: " "))")
      }
      usleep(5_000)
    }
  }

  /// Ends it at once, as a machine that loses its power.
  public func kill() {
    guard let process else { return }
    self.process = nil
    // One that was stopped ends as well.
    _ = Glibc.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// It stands still: its connections stay, nothing is answered.
  public func pause() {
    if let process { _ = Glibc.kill(process.processIdentifier, SIGSTOP) }
  }

  /// Goes on after `pause`.
  public func resume() {
    if let process { _ = Glibc.kill(process.processIdentifier, SIGCONT) }
  }

  /// Runs one command by redis-cli. - Returns: what it printed, without the last line's end.
  @discardableResult
  public func command(_ words: String...) throws -> String { try command(words) }

  /// Runs one command by redis-cli. - Returns: what it printed, without the last line's end.
  @discardableResult
  public func command(_ words: [String]) throws -> String {
    let client = Process()
    client.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    client.arguments = ["redis-cli", "-h", "127.0.0.1", "-p", "\(port)"] + words
    if let password {
      client.environment = ProcessInfo.processInfo.environment.merging(["REDISCLI_AUTH": password]) { $1 }
    }
    let output = Pipe()
    client.standardInput = FileHandle.nullDevice
    client.standardOutput = output
    client.standardError = FileHandle.nullDevice
    try client.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    client.waitUntilExit()
    guard client.terminationStatus == 0 else {
      throw Failure(description: "\(words.joined(separator: " ")): \(text)")
    }
    return text.last == "\n" ? String(text.dropLast()) : text
  }

  /// Waits until a command prints what `holds` wants. - Throws: it does not within thirty seconds.
  public func wait(for words: [String], _ holds: (String) -> Bool) async throws {
    let deadline = Date().addingTimeInterval(30)
    var last = ""
    while Date() < deadline {
      last = (try? command(words)) ?? last
      if holds(last) { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure(description: "\(words.joined(separator: " ")) still prints \(last)")
  }

  private var logFile: String {
    let path = directory + "/log"
    if !FileManager.default.fileExists(atPath: path) {
      _ = FileManager.default.createFile(atPath: path, contents: nil)
    }
    return path
  }

  /// Whether a PING is answered; a refusal for want of a password is an answer, too.
  private func isAnswering() -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var patience = timeval(tv_sec: 1, tv_usec: 0)
    unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    guard unsafe Self.withLoopback(port, { unsafe Glibc.connect(descriptor, $0, $1) }) == 0 else {
      return false
    }
    guard unsafe send(descriptor, "PING\r\n", 6, Int32(MSG_NOSIGNAL)) == 6 else { return false }
    var answer = [UInt8](repeating: 0, count: 64)
    let count = unsafe recv(descriptor, &answer, answer.count, 0)
    guard count > 0 else { return false }
    let text = String(decoding: answer.prefix(count), as: UTF8.self)
    return text.hasPrefix("+PONG") || text.hasPrefix("-NOAUTH")
  }

  /// A port that nobody listens on at the moment.
  public static func freePort() -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    guard unsafe withLoopback(0, { unsafe bind(descriptor, $0, $1) }) == 0 else { return 0 }
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getsockname(descriptor, $0, &length)
      }
    }
    return result == 0 ? UInt16(bigEndian: address.sin_port) : 0
  }

  private static func withLoopback(
    _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
