public import Basics

// From a name in a buffer to its `FieldID`, without text and without allocation: one table of 512 slots indexed by
// length, first and last byte, then one comparison without case.
extension FieldID {
  /// The id of the field name at `range`; ``other`` when the proxy does not know it.
  static func lookup(_ buffer: borrowing Buffer, _ range: Range<Int>) -> FieldID {
    let length = range.count
    guard length >= 2 else { return .other }
    let first = ASCII.lowercased(buffer[range.lowerBound])
    var slot = hash(length, first, ASCII.lowercased(buffer[range.upperBound - 1]))
    while true {
      let candidate = names.table[slot]
      if candidate < 0 { break }
      let known = names.entries[Int(candidate)]
      if buffer.equalsIgnoringCase(range, known.name) { return known.id }
      slot = (slot + 1) & (tableSize - 1)
    }
    return first == UInt8(ascii: "x") || first == UInt8(ascii: "m") ? lookupPrefix(buffer, range) : .other
  }

  /// Whether the name at `range` is another spelling of a name the proxy knows: gateway interfaces such as CGI make
  /// everything but letters and digits an underscore (RFC 3875 §4.1.18), so that `Remote_User` behind them is
  /// `Remote-User`. Such a field must not pass: it would be judged as unknown here and read as the other one there.
  public static func isLookalike(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool {
    let bytes = buffer.span
    if ByteClass.all(bytes, range, ByteClass.plainName) { return false }
    var plain = Buffer()
    for i in range {
      plain.append(ByteClass.has(bytes[i], ByteClass.plainName) ? bytes[i] : UInt8(ascii: "-"))
    }
    return lookup(plain, 0..<plain.count) != .other
  }

  /// The families known by their first bytes.
  private static func lookupPrefix(_ buffer: borrowing Buffer, _ range: Range<Int>) -> FieldID {
    func begins(_ prefix: StaticString) -> Bool {
      let length = prefix.utf8CodeUnitCount
      return range.count > length
        && buffer.equalsIgnoringCase(range.lowerBound..<range.lowerBound + length, prefix)
    }
    if begins("Mcp-Param-") { return .mcpParam }
    if begins("X-Forwarded-") { return .xForwardedOther }
    if begins("X-Auth-Request-") || begins("X-MS-Client-Principal") || begins("X-MS-Token-") {
      return .identityAssertion
    }
    return .other
  }

  /// The names that stand for the shared cases.
  private static let aliases: [(StaticString, FieldID)] = [
    ("Remote-User", .identityAssertion), ("Remote-Groups", .identityAssertion),
    ("Remote-Email", .identityAssertion), ("Remote-Name", .identityAssertion),
    ("X-Remote-User", .identityAssertion), ("X-User", .identityAssertion), ("X-Email", .identityAssertion),
    ("X-Forwarded-User", .identityAssertion), ("X-Forwarded-Email", .identityAssertion),
    ("X-Forwarded-Groups", .identityAssertion), ("X-Forwarded-Access-Token", .identityAssertion),
    ("X-Forwarded-Preferred-Username", .identityAssertion), ("X-Forwarded-Client-Cert", .identityAssertion),
    ("X-Access-Token", .identityAssertion), ("X-Id-Token", .identityAssertion),
    ("X-Goog-IAP-JWT-Assertion", .identityAssertion), ("Cf-Access-Jwt-Assertion", .identityAssertion),
    ("X-MS-Client-Principal", .identityAssertion), ("X-WebAuth-User", .identityAssertion),
    ("X-SSL-Client-Cert", .identityAssertion),
    ("X-HTTP-Method-Override", .requestOverride), ("X-HTTP-Method", .requestOverride),
    ("X-Method-Override", .requestOverride), ("X-Original-URL", .requestOverride),
    ("X-Rewrite-URL", .requestOverride), ("X-Original-Host", .requestOverride), ("X-Host", .requestOverride),
    // CGI programs find it as `HTTP_PROXY`, and ask there.
    ("Proxy", .requestOverride),
    ("X-Client-IP", .xForwardedOther), ("True-Client-IP", .xForwardedOther),
    ("X-Forwarded", .xForwardedOther), ("X-Original-Forwarded-For", .xForwardedOther),
    ("Client-IP", .xForwardedOther), ("Fastly-Client-IP", .xForwardedOther),
    ("CF-Connecting-IP", .xForwardedOther), ("X-Cluster-Client-IP", .xForwardedOther),
  ]

  /// A power of two, several times the number of names, so that almost every name is found at its first slot.
  private static let tableSize = 512

  @inline(__always) private static func hash(_ length: Int, _ first: UInt8, _ last: UInt8) -> Int {
    (length &* 29 &+ Int(first) &* 7 &+ Int(last) &* 131) & (tableSize - 1)
  }

  private struct Names: Sendable {
    var entries: [(name: StaticString, id: FieldID)] = []
    var table = [Int16](repeating: -1, count: 512)
  }

  private static let names: Names = {
    var names = Names()
    names.entries = allCases.filter { $0.name.utf8CodeUnitCount > 0 }.map { ($0.name, $0) }
    names.entries += aliases.map { ($0.0, $0.1) }
    for (index, entry) in names.entries.enumerated() {
      let bytes = entry.name.withUTF8Buffer { unsafe [UInt8]($0) }
      guard let first = bytes.first, let last = bytes.last else { continue }
      var slot = hash(bytes.count, ASCII.lowercased(first), ASCII.lowercased(last))
      while names.table[slot] >= 0 { slot = (slot + 1) & (tableSize - 1) }
      names.table[slot] = Int16(index)
    }
    return names
  }()
}
