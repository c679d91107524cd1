public import Basics

extension Configuration {
  /// Which origins may call besides the proxy's own.
  public struct CSRF: Sendable, Hashable {
    /// Serialised origins (RFC 6454 §6.2), lower case, without a default port. Never `*`. The own origin is
    /// always allowed and not in the list unless configured.
    public var allowedOrigins: [String] = []
  }

  /// Server-sent events.
  public struct Streams: Sendable, Hashable {
    /// When nothing was sent on a stream for this long, a comment is.
    public var keepAlive = Duration.seconds(15)
    /// Longest event that is looked into; a longer one passes through unseen.
    public var maxEventBytes = ByteSize(bytes: 64 << 10)
  }

  /// How long anything may take.
  public struct Timeouts: Sendable, Hashable {
    /// Name resolution, connection and TLS handshake with an upstream or the provider.
    public var connect = Duration.seconds(5)
    /// From the first byte of a request's head to its last.
    public var requestHeaders = Duration.seconds(10)
    /// Longest pause inside a request body.
    public var requestBody = Duration.seconds(30)
    /// From a request's last byte to the head of the upstream's answer.
    public var responseHeaders = Duration.seconds(300)
    /// How long a client connection may stay without a request.
    public var idle = Duration.seconds(75)
    /// How long an unused connection to an upstream is kept.
    public var upstreamIdle = Duration.seconds(4)
    /// How long a client may take none of the bytes that wait for it.
    public var write = Duration.seconds(60)
    /// How long requests in flight may go on after SIGTERM.
    public var drain = Duration.seconds(30)
  }

  /// How large or how many anything may be. Numbers of connections count all workers together.
  public struct Limits: Sendable, Hashable {
    /// Bytes of a request body.
    public var requestBody = ByteSize(bytes: 4 << 20)
    /// Bytes of a request body that are held so that the request can be sent again with a new token.
    public var bufferedBody = ByteSize(bytes: 1 << 20)
    /// Bytes of a request's or an answer's head.
    public var headerBytes = ByteSize(bytes: 32 << 10)
    /// Fields of a head.
    public var headerFields = 100
    /// Client connections.
    public var connections = 10_000
    /// Client connections from one IPv4 address or IPv6 /64 network.
    public var connectionsPerAddress = 1_000
    /// Event streams of one user.
    public var streamsPerUser = 256
    /// Sign-ins and consents that one client address, or one session, may begin or end in a minute.
    public var signInsPerAddress = 300
    /// Bytes of request bodies and of answers that wait in memory.
    public var memory = ByteSize(bytes: 256 << 20)
    /// Connections to one upstream.
    public var upstreamConnections = 1024
    /// Requests that wait for a connection to one upstream.
    public var upstreamWaiting = 1024
    /// Bytes of an answer's body that are held to look for a demand for consent; a longer one passes through
    /// unseen.
    public var inspectedBody = ByteSize(bytes: 64 << 10)
  }
}
