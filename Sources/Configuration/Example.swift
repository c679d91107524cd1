internal import JSON

/// The complete example: every key with the value that its entry gives.
enum Example {
  static func object(_ entries: [Entry]) -> JSONValue {
    .object(JSONObject(entries.compactMap { entry in entry.example.map { (entry.name, $0) } }))
  }
}

/// What is said about a key that does not exist.
enum UnknownKey {
  /// Names the nearest known key: by spelling among the keys of the same object, else the same key of another
  /// object.
  static func message(_ name: String, among entries: [Entry]) -> String {
    let names = entries.map(\.name)
    if let near = nearest(name, names) { return "unknown key; did you mean \"\(near)\"?" }
    if let elsewhere = path(of: name, in: Configuration.section.keys.map(\.entry), under: "") {
      return "unknown key here; did you mean \"\(elsewhere)\"?"
    }
    return "unknown key; known here are \(names.joined(separator: ", "))"
  }

  /// The known name that `name` is most likely a misspelling of: one of them the beginning of the
  /// other, or at most a third of its letters wrong.
  static func nearest(_ name: String, _ known: [String]) -> String? {
    let plain = folded(name)
    guard !plain.isEmpty, plain.count <= 64 else { return nil }
    if plain.count >= 4, let whole = known.first(where: { folded($0).starts(with: plain) }) { return whole }
    let scored = known.map { candidate in (candidate, distance(plain, folded(candidate))) }
    if let best = scored.min(by: { $0.1 < $1.1 }), best.1 <= max(1, plain.count / 3) { return best.0 }
    return known.first { $0.count >= 4 && plain.starts(with: folded($0)) }
  }

  /// Lower case without separators, so that `publicUrl` is near `public_url`.
  private static func folded(_ name: String) -> [Character] {
    name.lowercased().filter { $0 != "_" && $0 != "-" }
  }

  /// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
  static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var cost = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, beforeLast[j - 1] + 1) }
        row.append(cost)
      }
      (beforeLast, last) = (last, row)
    }
    return last[b.count]
  }

  private static func path(of name: String, in entries: [Entry], under prefix: String) -> String? {
    for entry in entries {
      let path = prefix + entry.name
      if entry.name == name, !prefix.isEmpty { return path }
      guard let below = entry.shape.entries else { continue }
      let isList = if case .list = entry.shape { true } else { false }
      if let found = Self.path(of: name, in: below, under: isList ? "\(path)[]." : "\(path).") {
        return found
      }
    }
    return entries.first { $0.name == name }.map { prefix + $0.name }
  }
}
