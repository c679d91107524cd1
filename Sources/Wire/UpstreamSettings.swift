public import HTTP
public import Reactor

/// Where a pool connects to, and every bound it keeps.
public struct UpstreamSettings: Sendable {
  /// Host name or address literal, without brackets.
  public var host: String
  /// TCP port.
  public var port: UInt16
  /// How TLS is spoken; nil for plain TCP.
  public var tls: TLSClientContext?
  /// Longest time from the wish for a connection to its TLS handshake's end, over all addresses.
  public var connectTimeout: Duration = .seconds(5)
  /// Longest time from the request's last byte to the answer's head.
  public var responseHeadersTimeout: Duration = .seconds(60)
  /// Longest pause inside the request as the upstream takes it, and inside an answer's body. Pauses for which the
  /// client is to blame do not count.
  public var bodyStallTimeout: Duration = .seconds(60)
  /// Longest pause inside an event stream; nil: any, since event streams may be silent for hours.
  public var eventStallTimeout: Duration?
  /// How long an unused connection is kept. Below the 5 s after which common servers close theirs.
  public var idleTimeout: Duration = .seconds(4)
  /// How long an answer is read on after its client left; see ``ClientGonePolicy/drainUpstream``.
  public var drainTimeout: Duration = .seconds(300)
  /// Connections of this pool (one loop), idle ones and those being opened included.
  public var maxConnections: Int = 256
  /// Exchanges that wait for a connection beyond those for which one is being opened.
  public var maxWaiting: Int = 1024
  /// Longest time in the waiting line.
  public var waitTimeout: Duration = .seconds(10)
  /// Limits of the answer's head.
  public var headLimits = HeadLimits()

  /// Settings for one origin, all else at its default.
  public init(host: String, port: UInt16, tls: TLSClientContext? = nil) {
    self.host = host
    self.port = port
    self.tls = tls
  }
}
