public import Basics
public import Reactor

/// Which Redis servers there are, who we are to them, and bounds.
public struct RedisSettings: Sendable {
  public enum Mode: Sendable {
    /// One server, the first of `nodes`.
    case single
    /// `nodes` are sentinels, which know the master by its name. User and password are those that sentinels ask for; nil: they ask
    /// for none.
    case sentinel(master: String, username: String?, password: Secret?)
    /// `nodes` are some members of a cluster; the others are learned from them. The database is 0.
    case cluster
  }

  public var mode: Mode
  public var nodes: [RedisEndpoint]
  /// How TLS is spoken with every server, sentinels included; nil: plain. One that does not
  /// speak HTTP: see ``TLSClientContext``.
  public var tls: TLSClientContext?
  /// User of the server's access list; nil: the default user.
  public var username: String?
  public var password: Secret?
  /// The database's number.
  public var database = 0
  /// Longest time until a server is reached and has let us in.
  public var connectTimeout: Duration = .seconds(2)
  /// Longest time for the answer to a command once it is on a connection.
  public var commandTimeout: Duration = .seconds(1)
  /// Connections to each server; commands are pipelined on them.
  public var connections = 2
  /// Commands of one server that wait for a connection or their answer. When there are as many, further ones fail at once.
  public var maxWaiting = 16_384
  /// After how much silence a subscription asks whether the server is still there.
  public var pingInterval: Duration = .seconds(5)

  public init(mode: Mode = .single, nodes: [RedisEndpoint]) {
    self.mode = mode
    self.nodes = nodes
  }
}
