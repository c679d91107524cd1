internal import Basics

/// The lexical rules shared by the parser and the scanner. Positions run up to `end`, never beyond.
enum JSONGrammar {
  @inline(__always) static func skipSpace(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
    while i < end, bytes[i] == 0x20 || bytes[i] == 0x0A || bytes[i] == 0x0D || bytes[i] == 0x09 { i &+= 1 }
    return i
  }

  /// Where the run of string bytes that need no attention ends: at a quote, a backslash, a control character or `end`.
  @inline(__always) static func plainEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
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
