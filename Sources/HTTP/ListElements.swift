public import Basics

/// The elements of a comma-separated field value (RFC 9110 §5.6.1), without white space around them and without empty
/// ones. A comma inside a quoted string separates nothing; an unclosed quote runs to the end.
public struct ListElements: Sendable {
  private var rest: Range<Int>

  /// The elements of the value at `range`.
  public init(_ range: Range<Int>) { rest = range }

  /// The next element, or nil at the end.
  public mutating func next(_ buffer: borrowing Buffer) -> Range<Int>? {
    let bytes = buffer.span
    while !rest.isEmpty {
      var end = rest.lowerBound
      var isQuoted = false
      while end < rest.upperBound {
        let byte = bytes[end]
        if isQuoted {
          if byte == UInt8(ascii: "\\"), end + 1 < rest.upperBound { end += 1 }
          if byte == UInt8(ascii: "\"") { isQuoted = false }
        } else if byte == UInt8(ascii: "\"") {
          isQuoted = true
        } else if byte == UInt8(ascii: ",") {
          break
        }
        end += 1
      }
      let element = trim(bytes, rest.lowerBound..<end)
      rest = min(end + 1, rest.upperBound)..<rest.upperBound
      if !element.isEmpty { return element }
    }
    return nil
  }
}

/// `range` without spaces and tabs at its ends.
func trim(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
  var (start, end) = (range.lowerBound, range.upperBound)
  while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
  while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
  return start..<end
}
