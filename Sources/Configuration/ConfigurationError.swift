/// Everything that is wrong with a configuration.
public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
  /// At least one; in the order of the file.
  public let problems: [Problem]

  /// A place in the file.
  public struct Position: Sendable, Hashable {
    /// Line, counted from 1.
    public let line: Int
    /// Column in bytes, counted from 1.
    public let column: Int
  }

  /// One thing that is wrong.
  public struct Problem: Sendable, Hashable, CustomStringConvertible {
    /// The configuration file, as it was named.
    public let file: String
    /// Where in it; nil when the place is not known, as for a file that cannot be read.
    public let position: Position?
    /// Path of the key: `routes[1].upstream`; empty for the file as a whole.
    public let path: String
    /// What is wrong and what is allowed. Never a secret.
    public let message: String

    /// `proxy.json:12: routes[1].upstream: must be …`.
    public var description: String {
      let place = position.map { "\(file):\($0.line)" } ?? file
      return path.isEmpty ? "\(place): \(message)" : "\(place): \(path): \(message)"
    }
  }

  /// One problem a line.
  public var description: String { problems.map(\.description).joined(separator: "\n") }

  /// Problems in any order.
  init(problems: [Problem]) {
    // The sort is not stable by contract: equal places keep their order by their index.
    self.problems = problems.enumerated().sorted { a, b in
      let (x, y) = (a.element.position, b.element.position)
      return (x?.line ?? 0, x?.column ?? 0, a.offset) < (y?.line ?? 0, y?.column ?? 0, b.offset)
    }
    .map(\.element)
  }

  /// One problem with the file as a whole.
  init(file: String, position: Position?, _ message: String) {
    problems = [Problem(file: file, position: position, path: "", message: message)]
  }
}
