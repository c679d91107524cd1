/// What the operating system or OpenSSL refused while something was set up.
public struct ReactorError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was tried, on what, and why it failed.
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Why a connection to a host could not be made.
public struct ConnectError: Error, Sendable, Equatable {
  /// What failed; `exhausted` is this process's or this machine's own doing: no descriptor, port, memory or place in a queue was left.
  public enum Kind: Sendable, Equatable { case resolve, connect, tls, timeout, exhausted }
  public let kind: Kind
  /// For the log.
  public let detail: String

  public init(_ kind: Kind, _ detail: String) {
    self.kind = kind
    self.detail = detail
  }
}
