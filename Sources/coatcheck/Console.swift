internal import Configuration
internal import Glibc

/// Talking to the person at the terminal.
enum Console {
  /// Loads the configuration or ends the program with everything that is wrong with it.
  static func load(_ file: String) -> Configuration {
    do { return try Configuration.load(path: file) } catch {
      fail(error.description, ExitStatus.configuration)
    }
  }

  /// Ends the program.
  static func end(_ status: Int32) -> Never { exit(status) }

  /// Prints to standard error and ends the program.
  static func fail(_ message: String, _ status: Int32) -> Never {
    note(message)
    exit(status)
  }

  /// A line on standard error.
  static func note(_ message: String) {
    var text = message
    if !text.hasSuffix("\n") { text += "\n" }
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  }

  /// The variables that the configuration may refer to.
  static var environment: [String: String] {
    var found: [String: String] = [:]
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
      let line = unsafe String(cString: text)
      if let equals = line.firstIndex(of: "=") {
        found[String(line[..<equals])] = String(line[line.index(after: equals)...])
      }
      unsafe entry += 1
    }
    return found
  }
}
