/// Classes of bytes as a 256-entry table: one load and one mask a byte.
struct ByteClass {
  static let token: UInt8 = 1
  static let fieldValue: UInt8 = 2
  static let target: UInt8 = 4
  static let host: UInt8 = 8
  static let cookieValue: UInt8 = 16

  /// `token` is `tchar` of RFC 9110 §5.6.2. `fieldValue` is `field-vchar`, space and tab of §5.5. `target` is what
  /// RFC 3986 allows in path and query plus ``[ ] \ ^ ` { | }``, which browsers send unescaped (WHATWG URL,
  /// percent-encode sets). `host` is the characters of a registered name or IPv4 address without percent escapes.
  /// `cookieValue` is `cookie-octet` of RFC 6265 §4.1.1.
  static let table: InlineArray<256, UInt8> = {
    var table = InlineArray<256, UInt8>(repeating: 0)
    for byte in UInt8(0)...255 {
      var classes: UInt8 = 0
      let alphanumeric =
        (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
      if alphanumeric || "!#$%&'*+-.^_`|~".utf8.contains(byte) { classes |= token }
      if byte == 9 || byte >= 32 && byte != 127 { classes |= fieldValue }
      if byte > 32 && byte < 127 && !"\"#<>".utf8.contains(byte) { classes |= target }
      if alphanumeric || "-._~".utf8.contains(byte) { classes |= host }
      if byte > 32 && byte < 127 && !"\",;\\".utf8.contains(byte) { classes |= cookieValue }
      table[Int(byte)] = classes
    }
    return table
  }()

  @inline(__always) static func has(_ byte: UInt8, _ mask: UInt8) -> Bool { table[Int(byte)] & mask != 0 }

  /// Whether all bytes of `range` are in the class.
  @inline(__always) static func all(_ bytes: Span<UInt8>, _ range: Range<Int>, _ mask: UInt8) -> Bool {
    for i in range where table[Int(bytes[i])] & mask == 0 { return false }
    return true
  }

  /// Where the run of bytes of the class that starts at `range.lowerBound` ends.
  @inline(__always) static func run(_ bytes: Span<UInt8>, _ range: Range<Int>, _ mask: UInt8) -> Int {
    var i = range.lowerBound
    while i < range.upperBound, table[Int(bytes[i])] & mask != 0 { i &+= 1 }
    return i
  }
}
