internal import JSON

/// Where the values of a configuration stand in its file, by path.
struct Places: Sendable {
  /// The file, as it was named.
  var file = ""
  private var positions: [String: ConfigurationError.Position] = [:]

  /// Notes where the value at `path` stands.
  mutating func note(_ path: String, _ position: JSONNode.Position) {
    positions[path] = ConfigurationError.Position(line: position.line, column: position.column)
  }

  /// Whether a value at `path` stands in the file.
  func has(_ path: String) -> Bool { positions[path] != nil }

  /// A problem at `path`, with the place of the nearest value around it that stands in the file.
  func problem(_ path: String, _ message: String) -> ConfigurationError.Problem {
    var around = path
    while positions[around] == nil, let cut = around.lastIndex(where: { $0 == "." || $0 == "[" }) {
      around = String(around[..<cut])
    }
    let position = positions[around] ?? positions[""]
    return ConfigurationError.Problem(file: file, position: position, path: path, message: message)
  }
}
