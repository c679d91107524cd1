/// A JSON value with the place where it stands in its text, for messages about a configuration file.
public struct JSONNode: Sendable {
  /// What it is, children again with their places.
  public indirect enum Content: Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONNode])
    case object([Member])
  }

  /// One member of an object.
  public struct Member: Sendable {
    /// The key.
    public let key: String
    /// Where the key stands.
    public let keyPosition: Position
    /// The value.
    public let value: JSONNode
  }

  /// A place in a text.
  public struct Position: Sendable, Hashable, CustomStringConvertible {
    /// Line, counted from 1.
    public let line: Int
    /// Column in bytes, counted from 1.
    public let column: Int
    public var description: String { "line \(line), column \(column)" }
  }

  /// What it is.
  public let content: Content
  /// Where it begins.
  public let position: Position

  /// The value without places.
  public var value: JSONValue {
    switch content {
    case .null: .null
    case .bool(let value): .bool(value)
    case .number(let value): .number(value)
    case .string(let value): .string(value)
    case .array(let nodes): .array(nodes.map(\.value))
    case .object(let members): .object(JSONObject(members.map { ($0.key, $0.value.value) }))
    }
  }

  /// The members, when this is an object.
  public var members: [Member]? {
    if case .object(let members) = content { members } else { nil }
  }

  /// The elements, when this is an array.
  public var elements: [JSONNode]? {
    if case .array(let elements) = content { elements } else { nil }
  }

  /// The member `key`, when this is an object that has it.
  public subscript(key: String) -> JSONNode? { members?.first { $0.key == key }?.value }

  /// Parses one value and nothing else, as strictly as ``JSONValue``.
  public static func parse(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSONNode
  {
    var parser = JSONParser(limits: limits)
    return try parser.wholeNode(bytes.span)
  }

  /// Parses one value and nothing else.
  public static func parse(_ text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSONNode {
    try parse(Array(text.utf8), limits: limits)
  }
}
