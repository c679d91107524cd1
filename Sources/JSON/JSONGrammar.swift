internal import Basics

/// The lexical rules shared by the parser and the scanner. Positions run up to `end`, never beyond.
enum JSONGrammar {
  @inline(__always) static func skipSpace(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
    while i < end, bytes[i] == 0x20 || bytes[i] == 0x0A || bytes[i] == 0x0D || bytes[i] == 0x09 { i &+= 1 }
    return i
  }

  /// Where the run of string bytes that need no attention ends: at a quote, a backslash, a control character or `end`.
  ///
  /// Eight bytes at a time. A byte is found by its borrow into the high bit; what is found above the lowest hit may be
  /// wrong, the lowest never is.
  static func plainEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    let end = min(end, bytes.count)
    let ones: UInt64 = 0x0101_0101_0101_0101
    let raw = unsafe bytes.bytes
    var i = max(0, start)
    while i &+ 8 <= end {
      // `i + 8 <= end <= bytes.count`.
      let word = UInt64(littleEndian: unsafe raw.unsafeLoadUnaligned(fromByteOffset: i, as: UInt64.self))
      let quote = word ^ (ones &* 0x22)
      let backslash = word ^ (ones &* 0x5C)
      let hits =
        ((word &- ones &* 0x20) & ~word | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash)
        & (ones &* 0x80)
      if hits != 0 { return i &+ hits.trailingZeroBitCount / 8 }
      i &+= 8
    }
    while i < end, bytes[i] >= 0x20, bytes[i] != UInt8(ascii: "\""), bytes[i] != UInt8(ascii: "\\") {
      i &+= 1
    }
    return i
  }

  /// The end of the number that starts at `start`, or nil when it is malformed (RFC 8259 §6).
  static func numberEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    var i = start
    func digits() -> Bool {
      let first = i
      while i < end, ASCII.isDigit(bytes[i]) { i += 1 }
      return i > first
    }
    if i < end, bytes[i] == UInt8(ascii: "-") { i += 1 }
    if i < end, bytes[i] == UInt8(ascii: "0") { i += 1 } else if !digits() { return nil }
    if i < end, bytes[i] == UInt8(ascii: ".") {
      i += 1
      guard digits() else { return nil }
    }
    if i < end, bytes[i] | 0x20 == UInt8(ascii: "e") {
      i += 1
      if i < end, bytes[i] == UInt8(ascii: "+") || bytes[i] == UInt8(ascii: "-") { i += 1 }
      guard digits() else { return nil }
    }
    // `01` and `1x` are not numbers followed by something.
    if i < end, ASCII.isDigit(bytes[i]) || ASCII.isLetter(bytes[i]) || bytes[i] == UInt8(ascii: ".") {
      return nil
    }
    return i
  }

  /// Four hexadecimal digits at `start`; the caller has checked that they are there.
  static func hex4(_ bytes: Span<UInt8>, _ start: Int) -> UInt32? {
    var code: UInt32 = 0
    for i in start..<start + 4 {
      guard let digit = ASCII.hexValue(bytes[i]) else { return nil }
      code = code << 4 | UInt32(digit)
    }
    return code
  }
}
