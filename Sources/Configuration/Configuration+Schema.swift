internal import Basics
internal import JSON

extension Configuration {
  /// JSON Schema of the configuration file (draft 2020-12), as JSON text with a line end.
  ///
  /// It says what one value can say; demands that join several keys are made by ``parse(_:directory:name:)``
  /// only.
  public static func schema() -> String {
    var schema: JSONObject = [
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "title": "Configuration of Coatcheck",
    ]
    for member in SchemaWriter.object(section.keys.map(\.entry)).members { schema[member.key] = member.value }
    return JSONValue.object(schema).serialized(pretty: true) + "\n"
  }

  /// A configuration with every key that does not exclude another one, as JSON text with a line end.
  public static func example() -> String {
    Example.object(section.keys.map(\.entry)).serialized(pretty: true) + "\n"
  }
}

private enum SchemaWriter {
  static func object(_ entries: [Entry]) -> JSONObject {
    let required = entries.filter(\.isRequired).map { JSONValue.string($0.name) }
    var object: JSONObject = [
      "type": "object",
      "properties": .object(JSONObject(entries.map { ($0.name, .object(property($0))) })),
      "additionalProperties": false,
    ]
    if !required.isEmpty { object["required"] = .array(required) }
    return object
  }

  private static func property(_ entry: Entry) -> JSONObject {
    var property = value(entry.shape)
    var description = entry.documentation
    switch entry.shape {
    case .duration, .size: description += " Must be \(entry.shape.allowed)."
    default: break
    }
    if let otherwise = entry.otherwise { description += " Without this key: \(otherwise)." }
    property["description"] = .string(description)
    if let value = entry.defaultValue { property["default"] = value }
    if entry.shape.entries == nil, let example = entry.example, example != entry.defaultValue {
      property["examples"] = .array([example])
    }
    return property
  }

  private static func value(_ shape: Shape) -> JSONObject {
    switch shape {
    case .text(_, let pattern):
      var object: JSONObject = ["type": "string"]
      if let pattern { object["pattern"] = .string(pattern) }
      return object
    case .word(let words): return ["type": "string", "enum": .array(words.map { .string($0) })]
    case .truth: return ["type": "boolean"]
    case .number(let range):
      return [
        "type": "integer", "minimum": .number(JSONNumber(range.lowerBound)),
        "maximum": .number(JSONNumber(range.upperBound)),
      ]
    case .duration: return ["type": "string", "pattern": "^[0-9]{1,15}(ms|s|m|h|d)$"]
    case .size: return ["type": "string", "pattern": "^[0-9]{1,13}(B|KiB|MiB|GiB)$"]
    case .list(let element, let minimum):
      var object: JSONObject = ["type": "array", "items": .object(value(element))]
      if minimum > 0 { object["minItems"] = .number(JSONNumber(minimum)) }
      return object
    case .map: return ["type": "object", "additionalProperties": ["type": "string"]]
    case .object(let entries): return object(entries)
    case .oneOrMore(let element):
      let one = JSONValue.object(value(element))
      return ["anyOf": [one, ["type": "array", "items": one, "minItems": 1]]]
    }
  }
}
