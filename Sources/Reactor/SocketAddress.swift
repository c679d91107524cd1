internal import Basics
internal import Glibc

/// An IPv4 or IPv6 address with a port, ready for the kernel.
@safe public struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
  // In place: every connection has two of these, and an array of four bytes takes as much room as forty.
  private let high: UInt64
  private let low: UInt64
  /// Interface of a link-local IPv6 address, else 0.
  public let scope: UInt32
  public let port: UInt16
  public let isIPv6: Bool

  /// - Parameter bytes: 4 or 16 of them; traps otherwise.
  public init(bytes: [UInt8], port: UInt16, scope: UInt32 = 0) {
    precondition(bytes.count == 4 || bytes.count == 16, "an address has 4 or 16 bytes")
    var words = InlineArray<2, UInt64>(repeating: 0)
    for (i, byte) in bytes.enumerated() { words[i / 8] |= UInt64(byte) << UInt64(56 - i % 8 * 8) }
    high = words[0]
    low = words[1]
    isIPv6 = bytes.count == 16
    self.port = port
    self.scope = scope
  }

  /// A literal address, IPv6 with or without brackets; nil for a name.
  public init?(host: String, port: UInt16) {
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    let text = isBracketed ? String(host.dropFirst().dropLast()) : host
    var four = in_addr()
    if unsafe !isBracketed && inet_pton(AF_INET, text, &four) == 1 {
      self.init(bytes: unsafe withUnsafeBytes(of: four) { unsafe Array($0) }, port: port)
      return
    }
    var six = in6_addr()
    guard unsafe inet_pton(AF_INET6, text, &six) == 1 else { return nil }
    self.init(bytes: unsafe withUnsafeBytes(of: six) { unsafe Array($0) }, port: port)
  }

  /// `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:80`; `localhost` counts as 127.0.0.1. IPv6 needs its brackets: without them nobody can
  /// tell where the port begins.
  public init?(text: String) {
    guard let colon = text.lastIndex(of: ":"),
      let port = number(text[text.index(after: colon)...], upTo: Int(UInt16.max)).map({ UInt16($0) })
    else { return nil }
    let host = String(text[..<colon])
    guard host.hasPrefix("[") || !host.contains(":") else { return nil }
    self.init(host: host == "localhost" ? "127.0.0.1" : host, port: port)
  }

  /// Network byte order: 4 bytes for IPv4, 16 for IPv6.
  public var bytes: [UInt8] {
    (0..<(isIPv6 ? 16 : 4)).map {
      UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - $0 % 8 * 8))
    }
  }

  /// 127.0.0.0/8, ::1, and IPv4 loopback mapped into IPv6.
  public var isLoopback: Bool {
    let plain = unmapped
    if plain.count == 4 { return plain[0] == 127 }
    return plain.dropLast().allSatisfy { $0 == 0 } && plain.last == 1
  }

  /// The address without its port, as text.
  public var host: String {
    let plain = unmapped
    var text = [CChar](repeating: 0, count: 64)
    let family = plain.count == 4 ? AF_INET : AF_INET6
    _ = unsafe plain.withUnsafeBytes { raw in
      unsafe text.withUnsafeMutableBufferPointer { out in
        unsafe inet_ntop(family, raw.baseAddress, out.baseAddress, socklen_t(out.count))
      }
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  public var description: String { unmapped.count == 4 ? "\(host):\(port)" : "[\(host)]:\(port)" }

  /// IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) as IPv4.
  var unmapped: [UInt8] {
    let bytes = bytes
    guard bytes.count == 16, bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF else {
      return bytes
    }
    return Array(bytes[12...])
  }

  // MARK: The kernel's form

  var family: Int32 { isIPv6 ? AF_INET6 : AF_INET }

  func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var storage = sockaddr_storage()
    let length: socklen_t
    if isIPv6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_scope_id = scope
      unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
      unsafe withUnsafeMutableBytes(of: &storage) { to in
        unsafe withUnsafeBytes(of: address) { unsafe to.copyMemory(from: $0) }
      }
      length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    } else {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      unsafe withUnsafeMutableBytes(of: &address.sin_addr) { unsafe $0.copyBytes(from: bytes) }
      unsafe withUnsafeMutableBytes(of: &storage) { to in
        unsafe withUnsafeBytes(of: address) { unsafe to.copyMemory(from: $0) }
      }
      length = socklen_t(MemoryLayout<sockaddr_in>.size)
    }
    return unsafe withUnsafePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
    }
  }

  /// Reads what the kernel wrote; nil for other families.
  init?(storage: sockaddr_storage) {
    var storage = storage
    switch Int32(storage.ss_family) {
    case AF_INET:
      let address = unsafe withUnsafeBytes(of: &storage) { unsafe $0.loadUnaligned(as: sockaddr_in.self) }
      let bytes = unsafe withUnsafeBytes(of: address.sin_addr) { unsafe Array($0) }
      self.init(bytes: bytes, port: UInt16(bigEndian: address.sin_port))
    case AF_INET6:
      let address = unsafe withUnsafeBytes(of: &storage) { unsafe $0.loadUnaligned(as: sockaddr_in6.self) }
      let bytes = unsafe withUnsafeBytes(of: address.sin6_addr) { unsafe Array($0) }
      self.init(bytes: bytes, port: UInt16(bigEndian: address.sin6_port), scope: address.sin6_scope_id)
    default: return nil
    }
  }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
public struct CIDRBlock: Sendable, Hashable {
  private let bytes: [UInt8]
  private let prefix: Int

  /// An address, or an address, a slash and the count of bits that must be equal.
  public init?(text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = SocketAddress(host: String(first), port: 0) else {
      return nil
    }
    let width = address.bytes.count * 8
    var prefix = width
    if parts.count == 2 {
      guard let bits = number(parts[1], upTo: width) else { return nil }
      prefix = bits
    }
    // What `contains` compares has IPv4 in its own form.
    let plain = address.unmapped
    guard plain.count == address.bytes.count || prefix >= 96 else { return nil }
    bytes = plain
    self.prefix = plain.count == address.bytes.count ? prefix : prefix - 96
  }

  /// Whether the address is in the block; its port does not matter. IPv4 mapped into IPv6 counts as IPv4.
  public func contains(_ address: SocketAddress) -> Bool {
    let other = address.unmapped
    guard other.count == bytes.count else { return false }
    let whole = prefix / 8
    guard other[..<whole] == bytes[..<whole] else { return false }
    let rest = prefix % 8
    if rest == 0 { return true }
    let mask = ~UInt8(0) << UInt8(8 - rest)
    return other[whole] & mask == bytes[whole] & mask
  }
}

/// Decimal digits without a sign.
private func number(_ text: Substring, upTo limit: Int) -> Int? {
  guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
    let value = Int(text), value <= limit
  else { return nil }
  return value
}
