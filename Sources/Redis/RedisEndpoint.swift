/// Where a Redis server listens.
public struct RedisEndpoint: Sendable, Hashable, CustomStringConvertible {
  /// A name or an address; IPv6 without brackets.
  public var host: String
  public var port: UInt16

  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `host:port` as servers write it: the port follows the last colon, IPv6 has no brackets. An empty host is `origin`'s, by
  /// which a server means itself.
  ///
  /// - Returns: nil when it is no endpoint.
  init?(announced text: some StringProtocol, by origin: RedisEndpoint) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    // A server of a cluster may add its name: `host:port,name`.
    let port = text[text.index(after: colon)...].prefix { $0 != "," }
    self.init(host: String(text[..<colon]), port: Int64(port), announcedBy: origin)
  }

  /// A host and a port as a server announced them.
  init?(host: String, port: Int64?, announcedBy origin: RedisEndpoint) {
    guard let port, let number = UInt16(exactly: port), number > 0, host.utf8.count <= 255,
      host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), host != "?"
    else { return nil }
    self.init(host: host.isEmpty ? origin.host : host, port: number)
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
