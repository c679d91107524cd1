public import Basics

/// Walks the members of one object, or the elements of one array, in place: ranges only, no tree, no allocation.
///
/// Nested values are skipped with a bounded depth. The scanner checks the grammar of what it passes (strings: escapes and
/// control characters; numbers; structure) but not UTF-8, repeated keys or surrogate pairs; ``JSONValue`` does.
/// Offsets count from the first readable byte of the buffer.
public struct JSONScanner: Sendable {
  /// What kind of value stands at a place.
  public enum Kind: Sendable, Equatable { case null, bool, number, string, array, object }

  /// One value.
  public struct Value: Sendable, Equatable {
    /// Its kind.
    public let kind: Kind
    /// All its bytes: with quotes for a string, with brackets for an array or object.
    public let range: Range<Int>
    /// For a string, the bytes between the quotes (escapes as they stand); for others the same as ``range``.
    public var content: Range<Int> { kind == .string ? range.lowerBound + 1..<range.upperBound - 1 : range }
    /// Whether a string contains a backslash, so that its bytes are not yet its text.
    public let hasEscapes: Bool
  }

  /// One member of an object.
  public struct Member: Sendable, Equatable {
    /// The key's bytes between its quotes.
    public let key: Range<Int>
    /// Whether the key contains a backslash.
    public let keyHasEscapes: Bool
    /// The value.
    public let value: Value
  }

  private let end: Int
  private let close: UInt8
  private let maxDepth: Int
  private var position: Int
  private var isFirst = true
  /// Whether the object or array was walked to its closing bracket.
  public private(set) var isAtEnd = false

  /// A scanner for the members of the object at `range` (white space around it allowed); nil when there is no object.
  public init?(object buffer: borrowing Buffer, _ range: Range<Int>, maxDepth: Int = 64) {
    self.init(buffer.span, range, maxDepth, open: UInt8(ascii: "{"), close: UInt8(ascii: "}"))
  }

  /// A scanner for the elements of the array at `range`; nil when there is no array.
  public init?(array buffer: borrowing Buffer, _ range: Range<Int>, maxDepth: Int = 64) {
    self.init(buffer.span, range, maxDepth, open: UInt8(ascii: "["), close: UInt8(ascii: "]"))
  }

  private init?(_ bytes: Span<UInt8>, _ range: Range<Int>, _ maxDepth: Int, open: UInt8, close: UInt8) {
    end = min(range.upperBound, bytes.count)
    position = JSONGrammar.skipSpace(bytes, range.lowerBound, end)
    guard position < end, bytes[position] == open else { return nil }
    position += 1
    self.close = close
    self.maxDepth = maxDepth
  }

  /// The kind of the value at the start of `range`, from its first byte that is not white space; nil when nothing is
  /// there that can start a value.
  public static func kind(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Kind? {
    let bytes = buffer.span
    let end = min(range.upperBound, bytes.count)
    let start = JSONGrammar.skipSpace(bytes, range.lowerBound, end)
    return start < end ? kind(bytes[start]) : nil
  }

  /// Whether `range` holds exactly one value, white space around it allowed. Grammar only, as the type says.
  public static func isOneValue(_ buffer: borrowing Buffer, _ range: Range<Int>, maxDepth: Int = 64) -> Bool {
    let bytes = buffer.span
    let end = min(range.upperBound, bytes.count)
    let start = JSONGrammar.skipSpace(bytes, range.lowerBound, end)
    guard let value = try? value(bytes, start, end, maxDepth) else { return false }
    return JSONGrammar.skipSpace(bytes, value.range.upperBound, end) == end
  }

  /// The next member; nil after the last one. Throws ``JSONError`` at malformed text.
  public mutating func nextMember(_ buffer: borrowing Buffer) throws(JSONError) -> Member? {
    let bytes = buffer.span
    guard close == UInt8(ascii: "}"), try advance(bytes) else { return nil }
    let key = try Self.string(bytes, position, end)
    position = JSONGrammar.skipSpace(bytes, key.range.upperBound, end)
    guard position < end, bytes[position] == UInt8(ascii: ":") else {
      throw Self.unexpected(bytes, position, end)
    }
    position = JSONGrammar.skipSpace(bytes, position + 1, end)
    let value = try Self.value(bytes, position, end, maxDepth - 1)
    position = value.range.upperBound
    return Member(key: key.content, keyHasEscapes: key.hasEscapes, value: value)
  }

  /// The next element; nil after the last one. Throws ``JSONError`` at malformed text.
  public mutating func nextElement(_ buffer: borrowing Buffer) throws(JSONError) -> Value? {
    let bytes = buffer.span
    guard close == UInt8(ascii: "]"), try advance(bytes) else { return nil }
    let value = try Self.value(bytes, position, end, maxDepth - 1)
    position = value.range.upperBound
    return value
  }

  /// Whether only white space follows the closing bracket. Meaningful when ``isAtEnd``.
  public func hasOnlySpaceBehind(_ buffer: borrowing Buffer) -> Bool {
    isAtEnd && JSONGrammar.skipSpace(buffer.span, position, end) == end
  }

  /// Moves to the next key or element; false at the closing bracket.
  private mutating func advance(_ bytes: Span<UInt8>) throws(JSONError) -> Bool {
    guard !isAtEnd else { return false }
    position = JSONGrammar.skipSpace(bytes, position, end)
    if position < end, bytes[position] == close {
      position += 1
      isAtEnd = true
      return false
    }
    if !isFirst {
      guard position < end, bytes[position] == UInt8(ascii: ",") else {
        throw Self.unexpected(bytes, position, end)
      }
      position = JSONGrammar.skipSpace(bytes, position + 1, end)
    }
    isFirst = false
    return true
  }
}

// MARK: - Skipping values

extension JSONScanner {
  private static func kind(_ first: UInt8) -> Kind? {
    switch first {
    case UInt8(ascii: "\""): .string
    case UInt8(ascii: "{"): .object
    case UInt8(ascii: "["): .array
    case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
    case UInt8(ascii: "n"): .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): .number
    default: nil
    }
  }

  private static func value(
    _ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ depth: Int
  ) throws(JSONError) -> Value {
    guard start < end, let kind = kind(bytes[start]) else { throw unexpected(bytes, start, end) }
    switch kind {
    case .string: return try string(bytes, start, end)
    case .number:
      guard let stop = JSONGrammar.numberEnd(bytes, start, end) else {
        throw error(.invalidNumber, bytes, start)
      }
      return Value(kind: kind, range: start..<stop, hasEscapes: false)
    case .null: return try literal(bytes, start, end, "null", kind)
    case .bool:
      return try literal(bytes, start, end, bytes[start] == UInt8(ascii: "t") ? "true" : "false", kind)
    case .array, .object:
      let stop = try skipContainer(bytes, start, end, depth)
      return Value(kind: kind, range: start..<stop, hasEscapes: false)
    }
  }

  /// Skips an array or object by a recursive walk; `depth` bounds the recursion. Returns the offset behind its bracket.
  private static func skipContainer(
    _ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ depth: Int
  ) throws(JSONError) -> Int {
    guard depth > 0 else { throw error(.tooDeep(limit: 0), bytes, start) }
    let isObject = bytes[start] == UInt8(ascii: "{")
    let close = isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
    var i = JSONGrammar.skipSpace(bytes, start + 1, end)
    if i < end, bytes[i] == close { return i + 1 }
    while true {
      if isObject {
        i = JSONGrammar.skipSpace(bytes, try string(bytes, i, end).range.upperBound, end)
        guard i < end, bytes[i] == UInt8(ascii: ":") else { throw unexpected(bytes, i, end) }
        i = JSONGrammar.skipSpace(bytes, i + 1, end)
      }
      i = JSONGrammar.skipSpace(bytes, try value(bytes, i, end, depth - 1).range.upperBound, end)
      guard i < end else { throw error(.unexpectedEnd, bytes, end) }
      if bytes[i] == close { return i + 1 }
      guard bytes[i] == UInt8(ascii: ",") else { throw unexpected(bytes, i, end) }
      i = JSONGrammar.skipSpace(bytes, i + 1, end)
    }
  }

  private static func string(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) throws(JSONError) -> Value {
    guard start < end, bytes[start] == UInt8(ascii: "\"") else { throw unexpected(bytes, start, end) }
    var hasEscapes = false
    var i = start + 1
    while true {
      i = JSONGrammar.plainEnd(bytes, i, end)
      guard i < end else { throw error(.unexpectedEnd, bytes, end) }
      switch bytes[i] {
      case UInt8(ascii: "\""): return Value(kind: .string, range: start..<i + 1, hasEscapes: hasEscapes)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        guard i + 1 < end else { throw error(.unexpectedEnd, bytes, end) }
        switch bytes[i + 1] {
        case UInt8(ascii: "u"):
          guard end - i >= 6 else { throw error(.unexpectedEnd, bytes, end) }
          guard JSONGrammar.hex4(bytes, i + 2) != nil else { throw error(.invalidEscape, bytes, i) }
          i += 6
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
          UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
          i += 2
        default: throw error(.invalidEscape, bytes, i)
        }
      default: throw error(.controlCharacter, bytes, i)
      }
    }
  }

  private static func literal(
    _ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ word: StaticString, _ kind: Kind
  ) throws(JSONError) -> Value {
    let stop = start + word.utf8CodeUnitCount
    guard stop <= end else { throw error(.unexpectedEnd, bytes, end) }
    let isEqual = word.withUTF8Buffer { expected in
      for i in 0..<expected.count where unsafe expected[i] != bytes[start + i] { return false }
      return true
    }
    guard isEqual else { throw unexpected(bytes, start, end) }
    return Value(kind: kind, range: start..<stop, hasEscapes: false)
  }

  private static func unexpected(_ bytes: Span<UInt8>, _ offset: Int, _ end: Int) -> JSONError {
    offset < end ? error(.unexpectedByte(bytes[offset]), bytes, offset) : error(.unexpectedEnd, bytes, end)
  }

  private static func error(_ kind: JSONError.Kind, _ bytes: Span<UInt8>, _ offset: Int) -> JSONError {
    var (line, start) = (1, 0)
    for i in 0..<min(offset, bytes.count) where bytes[i] == 0x0A {
      line += 1
      start = i + 1
    }
    return JSONError(kind: kind, line: line, column: offset - start + 1, offset: offset)
  }
}
