/// Joining of file paths, without looking at the file system.
enum FilePaths {
  /// `path` as seen from `directory`; an absolute path stays as it is, an empty directory is the working
  /// directory.
  static func join(_ directory: String, _ path: String) -> String {
    guard !path.hasPrefix("/"), !directory.isEmpty, directory != "." else { return path }
    return directory.hasSuffix("/") ? directory + path : "\(directory)/\(path)"
  }

  /// The directory part of `path`; empty when it has none.
  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "" }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The last part of `path`.
  static func name(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }
}
