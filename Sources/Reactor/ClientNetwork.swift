/// Who counts as one client where clients are counted: an IPv4 address, or the /64 network that an IPv6 host may take its addresses
/// from at will (RFC 4291 §2.5.4).
public struct ClientNetwork: Hashable, Sendable {
  private let prefix: UInt64
  private let isIPv6: Bool

  /// The network of an address; IPv4 mapped into IPv6 counts as IPv4, and the port does not matter.
  public init(_ address: SocketAddress) {
    let plain = address.unmapped
    prefix = plain.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    isIPv6 = plain.count == 16
  }
}
