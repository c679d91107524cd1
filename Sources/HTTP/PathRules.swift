public import Basics

/// What a request path must not contain, so that our choice of a route and the upstream's reading of the path cannot
/// differ. Bad paths are refused, never repaired: repairing is what the two sides would do differently.
public enum PathRules {
  /// Why a path is refused.
  public enum Problem: Sendable, Equatable {
    /// It does not begin with a slash.
    case notAbsolute
    /// A `.` or `..` segment, escaped or with path parameters (`..;`) too.
    case dotSegment
    /// `//`.
    case emptySegment
    /// An escaped `/` or `\`, once or twice escaped.
    case escapedSeparator
    /// A backslash.
    case backslash
    /// A control character, escaped or not.
    case controlCharacter
    /// A percent sign without two hexadecimal digits.
    case brokenEscape
    /// Escapes that no valid UTF-8 contains, such as overlong forms of a slash.
    case invalidUTF8
    /// A byte outside printable ASCII.
    case forbiddenByte
  }

  /// What is wrong with the path at `range`, or nil when it is safe to route by.
  public static func problem(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Problem? {
    problem(buffer.span, range)
  }

  /// What is wrong with `path`, or nil.
  public static func problem(_ path: String) -> Problem? {
    let bytes = path.utf8.span
    return problem(bytes, 0..<bytes.count)
  }

  static func problem(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Problem? {
    guard !range.isEmpty, bytes[range.lowerBound] == UInt8(ascii: "/") else { return .notAbsolute }
    var utf8 = UTF8Check()
    // The segment so far, decoded: how many bytes, and whether all were dots.
    var segmentCount = 0
    var isDots = true
    var isDotSegment: Bool { isDots && (1...2).contains(segmentCount) }
    var i = range.lowerBound
    while i < range.upperBound {
      var byte = bytes[i]
      var width = 1
      switch byte {
      case UInt8(ascii: "/"):
        if i > range.lowerBound, segmentCount == 0 { return .emptySegment }
        if isDotSegment { return .dotSegment }
        guard utf8.isBoundary else { return .invalidUTF8 }
        segmentCount = 0
        isDots = true
        i += 1
        continue
      case UInt8(ascii: "\\"): return .backslash
      case UInt8(ascii: "%"):
        guard let decoded = escape(bytes, i, range.upperBound) else { return .brokenEscape }
        if let problem = problem(escaped: decoded, bytes, i, range.upperBound) { return problem }
        byte = decoded
        width = 3
      case 0..<0x20, 0x7F: return .controlCharacter
      case 0x20, 0x80...: return .forbiddenByte
      default: break
      }
      guard utf8.accept(byte) else { return .invalidUTF8 }
      if byte == UInt8(ascii: ";") {
        // Some servers cut path parameters off before they look at segments.
        if segmentCount == 0 { return .emptySegment }
        if isDotSegment { return .dotSegment }
      }
      segmentCount += 1
      if byte != UInt8(ascii: ".") { isDots = false }
      i += width
    }
    guard utf8.isBoundary else { return .invalidUTF8 }
    return isDotSegment ? .dotSegment : nil
  }

  private static func problem(
    escaped byte: UInt8, _ bytes: Span<UInt8>, _ start: Int, _ end: Int
  ) -> Problem? {
    switch byte {
    case UInt8(ascii: "/"), UInt8(ascii: "\\"): return .escapedSeparator
    case 0..<0x20, 0x7F: return .controlCharacter
    case UInt8(ascii: "%"):
      // `%252f`: a server that decodes twice would see a slash.
      guard end - start >= 5, let high = ASCII.hexValue(bytes[start + 3]),
        let low = ASCII.hexValue(bytes[start + 4])
      else { return nil }
      let twice = high << 4 | low
      let isHarmful = twice == 0x2F || twice == 0x5C || twice == 0x2E || twice == 0x25 || twice < 0x20
      return isHarmful ? .escapedSeparator : nil
    default: return nil
    }
  }

  /// The byte that the escape at `start` stands for; nil when it is broken.
  static func escape(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> UInt8? {
    guard end - start >= 3, let high = ASCII.hexValue(bytes[start + 1]),
      let low = ASCII.hexValue(bytes[start + 2])
    else { return nil }
    return high << 4 | low
  }
}

/// Validity of UTF-8, byte by byte (RFC 3629 §4): the bounds of the next continuation byte and how many follow.
private struct UTF8Check {
  private var pending = 0
  private var low: UInt8 = 0x80
  private var high: UInt8 = 0xBF

  var isBoundary: Bool { pending == 0 }

  mutating func accept(_ byte: UInt8) -> Bool {
    if pending > 0 {
      guard byte >= low, byte <= high else { return false }
      pending -= 1
      (low, high) = (0x80, 0xBF)
      return true
    }
    switch byte {
    case 0..<0x80: break
    case 0xC2...0xDF: pending = 1
    case 0xE0: (pending, low) = (2, 0xA0)
    case 0xED: (pending, high) = (2, 0x9F)
    case 0xE1...0xEF: pending = 2
    case 0xF0: (pending, low) = (3, 0x90)
    case 0xF4: (pending, high) = (3, 0x8F)
    case 0xF1...0xF3: pending = 3
    default: return false
    }
    return true
  }
}
