extension Configuration {
  /// Reads and checks the file at `path`. Nothing that it names is opened.
  /// - Throws: every problem of the file at once.
  public static func load(path: String) throws(ConfigurationError) -> Configuration { fatalError() }
  /// Checks `text`.
  /// - Parameters:
  ///   - directory: what relative paths in it are relative to.
  ///   - name: what the text is called in messages.
  public static func parse(_ text: String, directory: String = "", name: String = "configuration")
    throws(ConfigurationError) -> Configuration
  { fatalError() }
  /// JSON Schema (draft 2020-12) of the file, as JSON text.
  public static func schema() -> String { fatalError() }
  /// The reference of all keys, as Markdown.
  public static func reference() -> String { fatalError() }
  /// A file with every key, as JSON text.
  public static func example() -> String { fatalError() }
}
