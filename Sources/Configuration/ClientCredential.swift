public import Basics

/// What the proxy proves its identity with at the token endpoint, read from its files.
public enum ClientCredential: Sendable {
  /// A shared secret, for `client_secret_basic` and `client_secret_post`.
  case secret(Secret)
  /// For `private_key_jwt`: the key and, where configured, its certificate, both PEM.
  case privateKey(Secret, certificate: String?)
}

/// A file that the configuration names and that is not as it must be.
public struct FileProblem: Sendable, Hashable {
  /// What and where; the message names the file.
  public let problem: ConfigurationError.Problem
  /// Whether the file does not exist, rather than being wrong.
  public let isMissing: Bool
}

extension Configuration {
  /// Looks at every file that the configuration needs.
  public func fileProblems(environment: [String: String]) -> [FileProblem] { fatalError() }
  /// Reads the client secret or the private key.
  public func readCredential(environment: [String: String]) throws(ConfigurationError) -> ClientCredential {
    fatalError()
  }
}
