/// Why there is no answer from an upstream. Nothing of it has been sent to the client.
public struct UpstreamFailure: Error, Sendable, Equatable {
  /// What failed. The last three are the client's doing: its request body, while it was streaming upstream.
  public enum Kind: Sendable, Equatable, CaseIterable {
    /// The name did not resolve.
    case resolve
    /// No address accepted the connection.
    case connect
    /// The TLS handshake failed: certificate, name, protocol.
    case tls
    /// No connection in time.
    case timeoutConnect
    /// No answer head in time, or the upstream stopped taking the request or sending a collected body.
    case timeoutHeaders
    /// The connection ended before the answer was complete.
    case closedEarly
    /// The answer is not HTTP/1.1 or can be understood in two ways.
    case badResponse
    /// All connections are busy and the waiting line is full, or waiting took too long.
    case overloaded
    /// No descriptor, port or memory for a connection was left here: none of the upstream's fault.
    case exhausted
    /// The request's body is not held, because all connections together hold too much already.
    case outOfMemory
    /// The server is stopping.
    case stopping
    /// The request body is malformed: answer 400.
    case requestMalformed
    /// The request body came too slowly: answer 408.
    case requestTimeout
    /// The request body passed ``Exchange/bodyLimit``: answer 413.
    case requestTooLong
  }

  /// What failed.
  public let kind: Kind
  /// More about it, for the log; holds nothing of the request or the answer.
  public let detail: String

  /// A failure.
  public init(_ kind: Kind, _ detail: String = "") {
    self.kind = kind
    self.detail = detail
  }
}
