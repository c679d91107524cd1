internal import JSON

extension Configuration {
  /// The largest file that is read. A generous hundred routes take a tenth of it.
  static let maxFileBytes = 1 << 20

  /// Reads and checks the file at `path`. No file that it names is opened.
  /// - Throws: every problem of the file at once.
  public static func load(path: String) throws(ConfigurationError) -> Configuration {
    let bytes: [UInt8]
    do {
      bytes = try FileReader.read(path, limit: maxFileBytes)
    } catch {
      throw ConfigurationError(file: path, position: nil, error.message)
    }
    return try parse(bytes, directory: FilePaths.directory(of: path), name: path)
  }

  /// Checks `text`, the content of a configuration file.
  /// - Parameters:
  ///   - directory: what relative paths in it are relative to; empty: the working directory.
  ///   - name: what the text is called in messages.
  /// - Throws: every problem of the text at once.
  public static func parse(
    _ text: String, directory: String = "", name: String = "configuration"
  ) throws(ConfigurationError) -> Configuration {
    try parse(Array(text.utf8), directory: directory, name: name)
  }

  private static func parse(
    _ bytes: [UInt8], directory: String, name: String
  ) throws(ConfigurationError) -> Configuration {
    let node: JSONNode
    do {
      node = try JSONNode.parse(bytes, limits: JSONLimits(depth: 16, bytes: maxFileBytes))
    } catch {
      let position = ConfigurationError.Position(line: error.line, column: error.column)
      throw ConfigurationError(file: name, position: position, "is not valid JSON: \(error.message)")
    }
    var reading = Reading(file: name, directory: directory)
    reading.places.note("", node.position)
    guard var configuration = section.form.read(node, "", &reading) else {
      throw ConfigurationError(problems: reading.problems)
    }
    configuration.providers.settle()
    configuration.check(&reading)
    guard reading.problems.isEmpty else { throw ConfigurationError(problems: reading.problems) }
    configuration.settle()
    configuration.places = reading.places
    return configuration
  }

  /// Fills in what follows from several keys.
  private mutating func settle() {
    let prefix = "__Host-"
    if !publicURL.isSecure, session.cookieName.hasPrefix(prefix) {
      session.cookieName = String(session.cookieName.dropFirst(prefix.count))
    }
    limits.bufferedBody = min(limits.bufferedBody, limits.requestBody)
  }
}
