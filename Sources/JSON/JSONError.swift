/// Why a text is not acceptable JSON, and where.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is wrong.
  public enum Kind: Sendable, Hashable {
    case unexpectedEnd, unexpectedByte(UInt8), trailingBytes, invalidNumber, invalidEscape, loneSurrogate
    case controlCharacter, invalidUTF8, duplicateKey(String), tooDeep(limit: Int), tooLong(limit: Int)
  }

  /// What is wrong.
  public let kind: Kind
  /// Line, counted from 1.
  public let line: Int
  /// Column in bytes, counted from 1.
  public let column: Int
  /// Bytes before the error.
  public let offset: Int

  /// One sentence without the position.
  public var message: String {
    switch kind {
    case .unexpectedEnd: "the text ends too early"
    case .unexpectedByte(let byte) where byte > 32 && byte < 127:
      "unexpected character \(Character(UnicodeScalar(byte)))"
    case .unexpectedByte(let byte): "unexpected byte \(byte)"
    case .trailingBytes: "something follows the value"
    case .invalidNumber: "malformed number"
    case .invalidEscape: "malformed escape in a string"
    case .loneSurrogate: "half of a surrogate pair in a string"
    case .controlCharacter: "unescaped control character in a string"
    case .invalidUTF8: "invalid UTF-8 in a string"
    case .duplicateKey(let key): "the key \"\(key)\" occurs twice"
    case .tooDeep(let limit): "nested deeper than \(limit)"
    case .tooLong(let limit): "longer than \(limit) bytes"
    }
  }

  public var description: String { "line \(line), column \(column): \(message)" }
}

/// Bounds of what is parsed.
public struct JSONLimits: Sendable, Hashable {
  /// Arrays and objects inside one another.
  public var depth: Int
  /// Bytes of the whole text.
  public var bytes: Int

  /// Defaults: 64 levels, 16 MiB. The depth is held to at most 512, which the stack bears.
  public init(depth: Int = 64, bytes: Int = 16 << 20) {
    self.depth = min(max(depth, 1), 512)
    self.bytes = max(bytes, 0)
  }
}
