/// Classes of bytes as a 256-entry table: one load and one mask a byte.
struct ByteClass {
  static let token: UInt8 = 1
  static let fieldValue: UInt8 = 2
  static let target: UInt8 = 4
  static let host: UInt8 = 8
  static let cookieValue: UInt8 = 16
  static let plainName: UInt8 = 32

  /// `token` is `tchar` of RFC 9110 §5.6.2. `fieldValue` is `field-vchar`, space and tab of §5.5. `target` is what
  /// RFC 3986 allows in path and query plus ``[ ] \ ^ ` { | }``, which browsers send unescaped (WHATWG URL,
  /// percent-encode sets). `host` is the characters of a registered name or IPv4 address without percent escapes.
  /// `cookieValue` is `cookie-octet` of RFC 6265 §4.1.1. `plainName` is letters, digits and the hyphen: what names of
  /// fields are made of that nobody spells in another way.
  ///
  /// Spelled out so that it lies in the binary as it is: a computed table is asked for its initialisation at every byte.
  /// A test derives it again from the grammar.
  static let table: InlineArray<256, UInt8> = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,  // 00
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  // 10
    2, 23, 2, 19, 23, 23, 23, 23, 22, 22, 23, 23, 6, 63, 31, 22,  // 20
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 22, 6, 18, 22, 18, 22,  // 30
    22, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,  // 40
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 22, 6, 22, 23, 31,  // 50
    23, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,  // 60
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 22, 23, 22, 31, 0,  // 70
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // 80
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // 90
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // A0
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // B0
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // C0
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // D0
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // E0
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,  // F0
  ]

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
