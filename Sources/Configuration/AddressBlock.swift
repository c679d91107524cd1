/// A range of IP addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
public struct AddressBlock: Sendable, Hashable, CustomStringConvertible {
  /// As it stands in the file; readable by any CIDR parser.
  public let text: String
  /// The address in network byte order: 4 bytes for IPv4, 16 for IPv6.
  public let bytes: [UInt8]
  /// How many leading bits count.
  public let prefixLength: Int

  /// Nil when `text` is no literal address with an optional prefix length, or when bits behind the prefix are
  /// set: then either the address or the length is not what was meant.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let literal = IPLiteral(first) else { return nil }
    let width = literal.bytes.count * 8
    var prefixLength = width
    if parts.count == 2 {
      guard let number = Int(parts[1]), String(number) == parts[1], (0...width).contains(number) else {
        return nil
      }
      prefixLength = number
    }
    let hasHostBits = (prefixLength..<width).contains { bit in
      literal.bytes[bit / 8] & (0x80 >> UInt8(bit % 8)) != 0
    }
    guard !hasHostBits else { return nil }
    self.text = text
    bytes = literal.bytes
    self.prefixLength = prefixLength
  }

  public var description: String { text }
}
