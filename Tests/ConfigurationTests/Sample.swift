import Configuration
import JSON

/// A small valid configuration to be changed in one place.
enum Sample {
  static let smallest: JSONValue = [
    "listen": "127.0.0.1:8080",
    "public_url": "http://localhost:8080",
    "oidc": [
      "issuer": "https://login.example.com", "client_id": "coatcheck", "client_secret_file": "secret",
    ],
    "routes": [["path": "/mcp", "upstream": "http://127.0.0.1:3000/mcp", "scope": "tools.use"]],
  ]

  /// The smallest one with values set at paths such as `oidc.issuer` or `routes[0].scope`; nil takes the key
  /// away.
  static func with(_ changes: [(String, JSONValue?)]) -> JSONValue {
    changes.reduce(smallest) { value, change in
      set(value, change.0.replacing("[", with: ".").replacing("]", with: "").split(separator: "."), change.1)
    }
  }

  static func parse(_ value: JSONValue, directory: String = "") throws(ConfigurationError) -> Configuration {
    try Configuration.parse(value.serialized(pretty: true), directory: directory, name: "proxy.json")
  }

  static func parse(_ changes: (String, JSONValue?)...) throws(ConfigurationError) -> Configuration {
    try parse(with(changes))
  }

  /// What is wrong with the smallest one after the changes.
  static func problems(_ changes: (String, JSONValue?)...) -> [ConfigurationError.Problem] {
    problems(of: with(changes))
  }

  static func problems(of value: JSONValue) -> [ConfigurationError.Problem] {
    do throws(ConfigurationError) {
      _ = try parse(value)
      return []
    } catch {
      return error.problems
    }
  }

  private static func set(_ value: JSONValue, _ path: [Substring], _ new: JSONValue?) -> JSONValue {
    guard let first = path.first else { return new ?? .null }
    if let index = Int(first), var array = value.array {
      let inner = set(index < array.count ? array[index] : [:], Array(path.dropFirst()), new)
      if index < array.count { array[index] = inner } else { array.append(inner) }
      return .array(array)
    }
    var object = value.object ?? JSONObject()
    let key = String(first)
    object[key] = path.count == 1 ? new : set(object[key] ?? [:], Array(path.dropFirst()), new)
    return .object(object)
  }
}
