internal import Glibc

/// An address literal without brackets, and what is special about it.
struct IPLiteral: Sendable, Hashable {
  /// Network byte order: 4 bytes for IPv4, 16 for IPv6.
  let bytes: [UInt8]

  /// Nil for names and for IPv6 addresses with a zone.
  init?(_ text: some StringProtocol) {
    let text = String(text)
    guard !text.utf8.contains(0), text.utf8.count <= 45 else { return nil }
    var four = in_addr()
    if unsafe inet_pton(AF_INET, text, &four) == 1 {
      bytes = unsafe withUnsafeBytes(of: four) { unsafe Array($0) }
      return
    }
    var six = in6_addr()
    guard unsafe inet_pton(AF_INET6, text, &six) == 1 else { return nil }
    bytes = unsafe withUnsafeBytes(of: six) { unsafe Array($0) }
  }

  /// IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) as IPv4, others as they are.
  var unmapped: [UInt8] {
    let isMapped =
      bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    return isMapped ? Array(bytes[12...]) : bytes
  }

  /// 127.0.0.0/8, ::1, and IPv4 loopback mapped into IPv6.
  var isLoopback: Bool {
    let plain = unmapped
    if plain.count == 4 { return plain[0] == 127 }
    return plain.dropLast().allSatisfy { $0 == 0 } && plain.last == 1
  }
}
