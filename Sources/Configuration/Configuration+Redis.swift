extension Configuration.Session.Store {
  /// A Redis or Valkey that several proxies share.
  public struct Redis: Sendable, Hashable {
    /// How the servers are arranged.
    public var mode = Mode.single
    /// Where it is found: the server, some of the sentinels, or some of the cluster's nodes.
    public var nodes: [NodeAddress] = []
    /// Name of the group that the sentinels watch. Set exactly for ``Mode-swift.enum/sentinel``.
    public var master: String?
    /// Whether connections are TLS, those to sentinels too.
    public var tls = false
    /// PEM file with authorities that are trusted instead of the system's.
    public var caFile: String?
    /// PEM file with the certificate that is presented; set exactly when ``privateKeyFile`` is.
    public var certificateFile: String?
    /// PEM file with the key of ``certificateFile``.
    public var privateKeyFile: String?
    /// ACL user; nil: `default`.
    public var username: String?
    /// File with the password.
    public var passwordFile: String?
    /// ACL user of the sentinels themselves; nil: `default`.
    public var sentinelUsername: String?
    /// File with the password of the sentinels themselves; nil: they have none.
    public var sentinelPasswordFile: String?
    /// Number of the database; 0 for ``Mode-swift.enum/cluster``.
    public var database = 0
    /// What the name of every key and channel begins with.
    public var keyPrefix = "coatcheck:"
    /// How long connecting, with TLS and sign-in, may take.
    public var connectTimeout = Duration.seconds(2)
    /// How long an answer may take.
    public var commandTimeout = Duration.seconds(1)
    /// Connections to each server, which all requests share.
    public var connections = 2

    /// Arrangements of servers.
    public enum Mode: String, Sendable, CaseIterable { case single, sentinel, cluster }
  }
}

/// A host name or an IP address and a port: `redis.internal:6379`, `[::1]:6379`.
public struct NodeAddress: Sendable, Hashable, CustomStringConvertible {
  /// The host in lower case; an IPv6 literal without its brackets.
  public let host: String
  /// The port, 1…65535.
  public let port: UInt16
  /// Whether the host is this machine.
  public let isLoopback: Bool

  /// Nil when `text` is not a host, a colon and a port.
  public init?(_ text: String) {
    guard !text.contains("/"), let colon = text.lastIndex(of: ":"),
      let port = ListenAddress.port(text[text.index(after: colon)...]), let url = WebURL("http://" + text)
    else { return nil }
    self.port = port
    host = url.host
    isLoopback = url.isLoopback
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
