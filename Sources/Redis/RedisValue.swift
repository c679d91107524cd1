/// One answer of a Redis server (RESP2). Simple and bulk strings are not told apart: nobody needs it.
public enum RedisValue: Sendable, Hashable {
  /// The null bulk string or the null array.
  case null
  case integer(Int64)
  case bytes([UInt8])
  case array([RedisValue])
  /// The server's refusal: a code in capitals, a space, and a text.
  case error(String)

  /// The bytes of a string; nil for anything else.
  public var bytes: [UInt8]? {
    if case .bytes(let bytes) = self { bytes } else { nil }
  }

  /// The number; nil for anything else.
  public var integer: Int64? {
    if case .integer(let number) = self { number } else { nil }
  }

  /// The elements of an array; nil for anything else.
  public var array: [RedisValue]? {
    if case .array(let values) = self { values } else { nil }
  }

  /// The bytes of a string as text, wrong UTF-8 repaired; nil for anything else.
  public var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  /// The code that an error begins with, such as `MOVED`; nil for anything else.
  var errorCode: Substring? {
    if case .error(let text) = self { text.prefix { $0 != " " } } else { nil }
  }
}
