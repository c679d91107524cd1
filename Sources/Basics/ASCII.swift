/// Byte classes and case of US-ASCII, the alphabet of every protocol element read here.
public enum ASCII {
  /// `byte` with `A`–`Z` turned into `a`–`z`; all others as they are.
  @inlinable public static func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
  }

  /// Whether `byte` is `0`–`9`.
  @inlinable public static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  /// The number that the digits of `range` write; nil when there are none, other bytes, or more than `maxDigits`, which
  /// is at most 19.
  public static func decimal(_ bytes: Span<UInt8>, _ range: Range<Int>, maxDigits: Int) -> UInt64? {
    guard (1...maxDigits).contains(range.count) else { return nil }
    var number: UInt64 = 0
    for i in range {
      guard isDigit(bytes[i]) else { return nil }
      number = number &* 10 &+ UInt64(bytes[i] &- 0x30)
    }
    return number
  }

  /// Whether `byte` is `A`–`Z` or `a`–`z`.
  @inlinable public static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

  /// The value of a hexadecimal digit, or nil.
  @inlinable public static func hexValue(_ byte: UInt8) -> UInt8? {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let letter = (byte | 0x20) &- 0x61
    return letter < 6 ? letter &+ 10 : nil
  }

  /// Whether two texts are equal when ASCII letters are compared without case.
  public static func equalsIgnoringCase(_ a: some StringProtocol, _ b: some StringProtocol) -> Bool {
    let (a, b) = (a.utf8, b.utf8)
    return a.count == b.count && zip(a, b).allSatisfy { lowercased($0) == lowercased($1) }
  }

  /// `text` with `A`–`Z` turned into `a`–`z`.
  public static func lowercased(_ text: some StringProtocol) -> String {
    String(decoding: text.utf8.map(lowercased), as: UTF8.self)
  }
}
