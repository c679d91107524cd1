/// An IP address and a port to listen on: `127.0.0.1:8080`, `[::]:8443`.
public struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
  /// The address, an IPv6 literal without brackets.
  public let host: String
  /// The port, 1…65535.
  public let port: UInt16
  /// The address in network byte order: 4 bytes for IPv4, 16 for IPv6.
  public let bytes: [UInt8]
  /// Whether only this machine can connect.
  public let isLoopback: Bool

  /// Parses a literal address (or `localhost`, which is 127.0.0.1), a colon and a port. An IPv6 literal
  /// stands in brackets. Nil for anything else: names, a missing address, port 0.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
      return nil
    }
    var host = text[..<colon]
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
    if isBracketed { host = host.dropFirst().dropLast() }
    if host == "localhost" { host = "127.0.0.1" }
    guard let literal = IPLiteral(host), isBracketed == (literal.bytes.count == 16) else { return nil }
    self.host = String(host)
    self.port = port
    bytes = literal.bytes
    isLoopback = literal.isLoopback
  }

  /// Whether the address is an IPv6 one.
  public var isIPv6: Bool { bytes.count == 16 }

  public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Stands in required places until the file's value does.
  static let unset = ListenAddress()

  private init() {
    (host, port, bytes, isLoopback) = ("", 0, [], false)
  }

  /// A decimal port without sign and leading zeros.
  static func port(_ text: some StringProtocol) -> UInt16? {
    guard let port = UInt16(text), port > 0, String(port) == text else { return nil }
    return port
  }
}
