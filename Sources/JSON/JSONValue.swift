/// A JSON value (RFC 8259).
public enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case number(JSONNumber)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// The members, when this is an object.
  public var object: JSONObject? {
    if case .object(let value) = self { value } else { nil }
  }

  /// The elements, when this is an array.
  public var array: [JSONValue]? {
    if case .array(let value) = self { value } else { nil }
  }

  /// The text, when this is a string.
  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The truth value, when this is one.
  public var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The number, when this is one.
  public var number: JSONNumber? {
    if case .number(let value) = self { value } else { nil }
  }

  /// The number, when it is whole and fits.
  public var int64: Int64? { number?.int64 }

  /// The number as floating point.
  public var double: Double? { number?.double }

  /// Whether this is `null`.
  public var isNull: Bool { self == .null }

  /// The member `key`, when this is an object that has it.
  public subscript(key: String) -> JSONValue? { object?[key] }

  /// The element at `index`, when this is an array that long.
  public subscript(index: Int) -> JSONValue? {
    guard let array, array.indices.contains(index) else { return nil }
    return array[index]
  }

  /// A list of strings, when this is an array of nothing else.
  public var strings: [String]? {
    guard let array else { return nil }
    let texts = array.compactMap(\.string)
    return texts.count == array.count ? texts : nil
  }

  /// The value at an RFC 6901 pointer (`/a/0/b~1c`); nil when there is none or the pointer is malformed.
  public func at(pointer: String) -> JSONValue? {
    guard !pointer.isEmpty else { return self }
    guard pointer.utf8.first == UInt8(ascii: "/") else { return nil }
    var value = self
    // By bytes: a combining mark may not make one character with the slash.
    for part in pointer.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    {
      guard let key = Self.unescape(part) else { return nil }
      switch value {
      case .object(let object):
        guard let next = object[key] else { return nil }
        value = next
      case .array(let array):
        guard key == "0" || !key.hasPrefix("0"), key.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
          let index = Int(key), array.indices.contains(index)
        else { return nil }
        value = array[index]
      case .null, .bool, .number, .string: return nil
      }
    }
    return value
  }

  private static func unescape(_ part: Substring.UTF8View) -> String? {
    guard part.contains(UInt8(ascii: "~")) else { return String(part) }
    var out: [UInt8] = []
    var bytes = part.makeIterator()
    while let byte = bytes.next() {
      guard byte == UInt8(ascii: "~") else {
        out.append(byte)
        continue
      }
      switch bytes.next() {
      case UInt8(ascii: "0"): out.append(UInt8(ascii: "~"))
      case UInt8(ascii: "1"): out.append(UInt8(ascii: "/"))
      default: return nil
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .number(JSONNumber(value)) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// Members in the order written; a repeated key replaces the earlier member.
  public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
}
