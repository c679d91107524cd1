internal import Basics

/// `uri-host [ ":" port ]` (RFC 9110 §7.2): a registered name or IPv4 address without escapes, or an IPv6 literal in
/// brackets; then an optional port from 1 to 65535. User information is not part of it.
enum HostSyntax {
  static func isValid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool { split(bytes, range) != nil }

  /// Host (brackets included) and port; nil when malformed.
  static func split(_ bytes: Span<UInt8>, _ range: Range<Int>) -> (host: Range<Int>, port: UInt16?)? {
    // DNS allows 253 bytes; the port takes six.
    guard !range.isEmpty, range.count <= 253 + 6 else { return nil }
    var end = range.lowerBound
    if bytes[end] == UInt8(ascii: "[") {
      end += 1
      let start = end
      while end < range.upperBound,
        ASCII.hexValue(bytes[end]) != nil || bytes[end] == UInt8(ascii: ":")
          || bytes[end] == UInt8(ascii: ".")
      { end += 1 }
      guard end < range.upperBound, bytes[end] == UInt8(ascii: "]"), end - start >= 2, end - start <= 45
      else {
        return nil
      }
      end += 1
    } else {
      end = ByteClass.run(bytes, range, ByteClass.host)
      guard end > range.lowerBound else { return nil }
    }
    let host = range.lowerBound..<end
    if end == range.upperBound { return (host, nil) }
    guard bytes[end] == UInt8(ascii: ":"), (1...5).contains(range.upperBound - end - 1) else { return nil }
    var port: UInt32 = 0
    for i in end + 1..<range.upperBound {
      guard ASCII.isDigit(bytes[i]) else { return nil }
      port = port * 10 + UInt32(bytes[i] - 0x30)
    }
    guard (1...65535).contains(port) else { return nil }
    return (host, UInt16(port))
  }
}
