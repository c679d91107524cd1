public import HTTP

/// Every size a server bounds.
public struct ServerLimits: Sendable {
  /// Limits of a request's head.
  public var head = HeadLimits()
  /// Client connections of one server (one loop); beyond it, new ones wait in the kernel's backlog.
  public var maxConnections: Int = 16_384
  /// Requests on one connection, after which it is closed; nil: any number.
  public var maxRequestsPerConnection: Int?
  /// Reading from one side stops while this many bytes wait for the other.
  public var highWaterBytes: Int = 64 * 1024
  /// Bytes of request bodies and of answers that may wait in memory, of all connections of one server together. Beyond it a request
  /// whose body grows past ``smallBodyBytes`` fails with ``UpstreamFailure/Kind/outOfMemory``, and an upstream is read only as fast
  /// as its client takes the answer.
  public var heldBytes: Int = .max
  /// A body up to this size is held however much the others hold: a few large ones must not keep out the many small ones.
  public var smallBodyBytes: Int = 16 * 1024
  /// How much of a request body is read and thrown away after an answer that did not need it, to keep the
  /// connection. Beyond it the connection is closed.
  public var discardBytes: Int = 64 * 1024

  /// All defaults.
  public init() {}
}

/// Every wait a server bounds.
public struct ServerTimeouts: Sendable {
  /// From the accept to the end of the TLS handshake.
  public var handshake: Duration = .seconds(10)
  /// From the first byte of a head to its end.
  public var head: Duration = .seconds(15)
  /// Between requests on a kept-alive connection, and before the first.
  public var idle: Duration = .seconds(75)
  /// Longest pause inside a request body.
  public var bodyStall: Duration = .seconds(30)
  /// Longest time without the client taking a byte of an answer that waits for it.
  public var writeStall: Duration = .seconds(60)
  /// How long a closing connection waits for the client to close too, so that it can read its answer.
  public var linger: Duration = .seconds(2)

  /// How long a connection without a request stays open when the server begins to drain: its client may have sent one
  /// that is still on its way. That one is answered, as the last.
  public var lastRequest: Duration = .milliseconds(500)

  /// All defaults.
  public init() {}
}
