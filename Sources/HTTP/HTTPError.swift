/// Why a message was refused: the status that answers it and a constant text for the log. The text never holds bytes
/// of the message.
///
/// For a response head or body from an upstream `status` is always 502.
public struct HTTPError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The status to answer with, after which the connection is closed.
  public let status: Int
  /// What was wrong, for the log.
  public let reason: StaticString

  /// An error answered with `status`.
  public init(_ status: Int, _ reason: StaticString) {
    self.status = status
    self.reason = reason
  }

  static func bad(_ reason: StaticString) -> HTTPError { HTTPError(400, reason) }

  /// Equal by status and text.
  public static func == (a: HTTPError, b: HTTPError) -> Bool {
    a.status == b.status && a.reason.description == b.reason.description
  }

  public var description: String { "\(status): \(reason)" }
}
