import Basics
import FoundationEssentials
import JSON
import Testing

@testable import Configuration

@Suite struct FileTests {
  /// A directory that is gone after the test.
  final class Directory {
    let path: String

    init() throws {
      path = "/tmp/coatcheck-\(RandomBytes.token(bits: 128))"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
      try Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)"))
    }
  }

  let directory: Directory

  init() throws { directory = try Directory() }

  private func configuration(_ changes: (String, JSONValue?)...) throws -> Configuration {
    try Sample.parse(
      Sample.with([("session.store.path", "sessions.db")] + changes), directory: directory.path)
  }

  @Test func `line ends behind a secret do not count`() throws {
    for text in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\n\n"] {
      try directory.write("secret", text)
      guard case .secret(let secret) = try configuration().readCredential(ofProvider: 0, environment: [:])
      else {
        Issue.record("not a secret")
        return
      }
      #expect(secret.reveal() == "s3cret")
      #expect(try configuration().fileProblems(environment: [:]) == [])
    }
  }

  @Test(arguments: ["", "\n", "two\nlines", "nul\u{0}", "tab\t"])
  func `a file that holds no secret is refused without showing it`(text: String) throws {
    try directory.write("secret", text)
    let configuration = try configuration()
    let problems = configuration.fileProblems(environment: [:])
    #expect(problems.map(\.problem.path) == ["oidc.client_secret_file"])
    #expect(problems.map(\.isMissing) == [false])
    #expect(problems.first?.description.contains("lines") == false)
    #expect(throws: ConfigurationError.self) {
      try configuration.readCredential(ofProvider: 0, environment: [:])
    }
  }

  @Test(
    arguments: [
      (String(repeating: "0123456789abcdef", count: 2), 0o600, true),
      ("0123456789abcdef0123456789abcdef\n", 0o640, true),
      ("0123456789abcdef0123456789abcde", 0o600, false), (String(repeating: "ab", count: 40), 0o600, false),
      ("0123456789abcdef 0123456789abcdef", 0o600, false), ("0123456789abcdef0123456789abcdé", 0o600, false),
      ("", 0o600, false), (String(repeating: "0123456789abcdef", count: 2), 0o604, false),
      (String(repeating: "0123456789abcdef", count: 2), 0o660, false),
    ] as [(String, Int, Bool)])
  func `the operators' token is strong, and for its owner and group alone`(
    text: String, mode: Int, isGood: Bool
  )
    throws
  {
    try directory.write("secret", "s3cret")
    try directory.write("token", text)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: directory.path + "/token")
    let configuration = try configuration(
      ("admin", ["listen": "127.0.0.1:9090", "token_file": "token"]))
    let problems = configuration.fileProblems(environment: [:])
    #expect(problems.map(\.problem.path) == (isGood ? [] : ["admin.token_file"]))
    #expect((try? configuration.readAdminToken()) != nil || !isGood)
  }

  @Test func `a missing file is told apart from a wrong one, with the line of its key`() throws {
    let problems = try configuration().fileProblems(environment: [:])
    #expect(problems.map(\.isMissing) == [true])
    let problem = try #require(problems.first?.problem)
    #expect(problem.path == "oidc.client_secret_file" && problem.position != nil)
    #expect(problem.message == "the file \(directory.path)/secret does not exist")
    #expect(throws: ConfigurationError(problems: [problem])) {
      try configuration().readCredential(ofProvider: 0, environment: [:])
    }
  }

  @Test func `a secret may come from the environment`() throws {
    let configuration = try configuration(
      ("oidc.client_secret_file", nil), ("oidc.client_secret_env", "CLIENT_SECRET"))
    guard
      case .secret(let secret) = try configuration.readCredential(
        ofProvider: 0, environment: ["CLIENT_SECRET": "s3cret"])
    else {
      Issue.record("not a secret")
      return
    }
    #expect(secret.reveal() == "s3cret")
    #expect(configuration.fileProblems(environment: ["CLIENT_SECRET": "s3cret"]) == [])
    #expect(configuration.fileProblems(environment: [:]).map(\.isMissing) == [true])
    #expect(configuration.fileProblems(environment: ["CLIENT_SECRET": ""]).map(\.isMissing) == [false])
  }

  @Test func `only the credential that the method needs is read`() throws {
    try directory.write("client.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    try directory.write("client.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    let configuration = try configuration(
      ("oidc.token_endpoint_auth_method", "private_key_jwt"), ("oidc.private_key_file", "client.key"),
      ("oidc.certificate_file", "client.crt"))
    #expect(configuration.fileProblems(environment: [:]) == [])
    guard
      case .privateKey(let key, let certificate) = try configuration.readCredential(
        ofProvider: 0, environment: [:])
    else {
      Issue.record("not a private key")
      return
    }
    #expect(key.reveal().hasPrefix("-----BEGIN PRIVATE KEY-----"))
    #expect(certificate?.hasPrefix("-----BEGIN CERTIFICATE-----") == true)
  }

  @Test func `files that hold something else are refused at their keys`() throws {
    try directory.write("secret", "s3cret")
    for name in ["a.crt", "a.key", "ca.pem", "session.key", "upstream.pem"] {
      try directory.write(name, "short")
    }
    let configuration = try configuration(
      ("public_url", "https://a.example"),
      ("tls", ["certificate_file": "a.crt", "private_key_file": "a.key"]),
      ("oidc.ca_file", "ca.pem"), ("session.encryption_key_files", ["session.key"]),
      ("routes[0].upstream", "https://b.example"), ("routes[0].ca_file", "upstream.pem"))
    let problems = configuration.fileProblems(environment: [:])
    #expect(
      problems.map(\.problem.path) == [
        "tls.certificate_file", "tls.private_key_file", "oidc.ca_file", "routes[0].ca_file",
        "session.encryption_key_files[0]",
      ])
    #expect(problems.allSatisfy { !$0.isMissing })
  }

  @Test func `a sealing key is 32 bytes in base64`() throws {
    try directory.write("secret", "s3cret")
    try directory.write("session.key", Base64URL.encode(RandomBytes.make(32)) + "\n")
    #expect(
      try configuration(("session.encryption_key_files", ["session.key"])).fileProblems(environment: [:])
        == [])
  }

  @Test func `an encrypted private key is refused: nobody could type its password`() throws {
    try directory.write(
      "k", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    let configuration = try configuration(
      ("oidc.token_endpoint_auth_method", "private_key_jwt"), ("oidc.private_key_file", "k"))
    #expect(configuration.fileProblems(environment: [:]).map(\.problem.path) == ["oidc.private_key_file"])
  }

  @Test func `the store's directory must exist`() throws {
    try directory.write("secret", "s3cret")
    let configuration = try configuration(("session.store.path", "nowhere/sessions.db"))
    #expect(configuration.fileProblems(environment: [:]).map(\.problem.path) == ["session.store.path"])
    #expect(
      try self.configuration(("session.store", ["type": "memory"])).fileProblems(environment: [:]) == [])
  }

  @Test func `directories and endless files are not read`() throws {
    #expect(throws: FileReader.Failure.self) { try FileReader.read(directory.path, limit: 10) }
    #expect(throws: FileReader.Failure.self) { try FileReader.read("/dev/zero", limit: 10) }
    try directory.write("long", String(repeating: "x", count: 11))
    #expect(throws: FileReader.Failure.self) { try FileReader.read("\(directory.path)/long", limit: 10) }
    #expect(try FileReader.read("\(directory.path)/long", limit: 11).count == 11)
  }

  @Test func `a configuration file is read from disk, and its paths start there`() throws {
    try directory.write("proxy.json", Configuration.smallest)
    try directory.write("client_secret", "s3cret")
    let configuration = try Configuration.load(path: "\(directory.path)/proxy.json")
    #expect(configuration.oidc.clientSecretFile == "\(directory.path)/client_secret")
  }
}
