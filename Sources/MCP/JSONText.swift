internal import Basics
internal import JSON

/// Comparing JSON strings in place, escapes included: `"tools\/call"` is `tools/call`, and a key may not hide
/// behind `\u0065`.
enum JSONText {
  /// Whether the string whose bytes between the quotes stand at `range` says `literal` (ASCII).
  @inline(__always) static func equals(
    _ buffer: borrowing Buffer, _ range: Range<Int>, escaped: Bool, _ literal: StaticString
  ) -> Bool {
    escaped ? equalsEscaped(buffer, range, literal) : buffer.equals(range, literal)
  }

  private static func equalsEscaped(
    _ buffer: borrowing Buffer, _ range: Range<Int>, _ literal: StaticString
  ) -> Bool {
    // An escape is at most six bytes long for one byte of text.
    let length = literal.utf8CodeUnitCount
    guard range.count >= length, range.count <= length * 6 else { return false }
    let bytes = buffer.span
    var i = range.lowerBound
    return literal.withUTF8Buffer { expected in
      for k in 0..<expected.count {
        guard let unit = nextASCII(bytes, &i, range.upperBound), unsafe unit == expected[k] else {
          return false
        }
      }
      return i == range.upperBound
    }
  }

  /// The next character, when it is one ASCII byte, escaped or not.
  private static func nextASCII(_ bytes: Span<UInt8>, _ i: inout Int, _ end: Int) -> UInt8? {
    guard i < end else { return nil }
    let byte = bytes[i]
    i += 1
    guard byte == UInt8(ascii: "\\") else { return byte < 0x80 ? byte : nil }
    guard i < end else { return nil }
    let escape = bytes[i]
    i += 1
    switch escape {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return escape
    case UInt8(ascii: "u"):
      guard end - i >= 4 else { return nil }
      var code: UInt32 = 0
      for _ in 0..<4 {
        guard let digit = ASCII.hexValue(bytes[i]) else { return nil }
        code = code << 4 | UInt32(digit)
        i += 1
      }
      return code < 0x80 ? UInt8(code) : nil
    default: return nil
    }
  }

  /// The text of the string between the quotes at `range`, or nil when it is not valid. Allocates.
  static func decode(_ buffer: borrowing Buffer, _ range: Range<Int>) -> String? {
    let quoted = range.lowerBound - 1..<range.upperBound + 1
    guard quoted.lowerBound >= 0, quoted.upperBound <= buffer.count else { return nil }
    return (try? JSONValue.parse(buffer, quoted))?.string
  }
}

extension JSONText {
  /// Whether the value at `range` may be copied into a message of ours: a string or number, valid on its own.
  static func isRepeatable(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool {
    switch try? JSONValue.parse(buffer, range) {
    case .string, .number: true
    default: false
    }
  }
}
