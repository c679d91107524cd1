public import Reactor

/// What is known about an exchange for logs and metrics. Valid in ``ExchangeHandler/finished(_:)``.
public struct ExchangeStats: Sendable {
  /// The status sent to the client; 0 when none was.
  public internal(set) var status = 0
  /// The status of the last upstream answer; 0 when there was none.
  public internal(set) var upstreamStatus = 0
  /// Bytes of the request, head and body as framed.
  public internal(set) var requestBytes: UInt64 = 0
  /// Bytes of the answer handed to the kernel, head and framing included.
  public internal(set) var answerBytes: UInt64 = 0
  /// When the request was first given to a pool.
  @OptionalTime public internal(set) var forwardedAt: MonotonicTime? = nil
  /// When the last upstream connection was there.
  @OptionalTime public internal(set) var connectedAt: MonotonicTime? = nil
  /// When the last upstream answer's head was there.
  @OptionalTime public internal(set) var answeredAt: MonotonicTime? = nil
  /// When the exchange ended.
  @OptionalTime public internal(set) var endedAt: MonotonicTime? = nil
  /// How many times the request was given to an upstream connection, safe retries included.
  public internal(set) var attempts = 0
  /// Whether the last attempt used a kept-alive connection.
  public internal(set) var reusedConnection = false
  /// How it ended.
  public internal(set) var end = ExchangeEnd.pending

  init() {}
}
