internal import Basics
internal import JSON

/// Sessions as text for a terminal. What came from a provider cannot steer the terminal: control characters are replaced.
enum SessionTable {
  private static let columns: [(title: String, cell: @Sendable (JSONValue) -> String)] = [
    ("USER", { text($0, "username", "email", "name", "subject") }),
    ("SUBJECT", { text($0, "subject") }),
    ("PROVIDER", { text($0, "provider", "issuer") }),
    ("SIGNED IN", { minute($0, "created_at") }),
    ("LAST SEEN", { minute($0, "last_seen_at") }),
    ("STATE", { text($0, "state") }),
    ("ID", { text($0, "id") }),
  ]

  /// A line a session below a line of titles.
  static func text(_ sessions: [JSONValue]) -> String {
    if sessions.isEmpty { return "No sessions.\n" }
    let rows = [columns.map(\.title)] + sessions.map { session in columns.map { $0.cell(session) } }
    let widths = columns.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = zip(row, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.count)
      }
      return trimmed(cells.joined(separator: "  ")) + "\n"
    }.joined()
  }

  /// A line a fact of one session.
  static func detail(_ session: JSONValue) -> String {
    var lines: [(String, String)] = []
    for (key, value) in session.object?.members ?? [] where key != "resources" {
      lines.append((key.replacing("_", with: " "), plain(value)))
    }
    for resource in session["resources"]?.array ?? [] {
      lines.append(("token for", plain(resource["routes"])))
      lines.append(("  expires at", plain(resource["token_expires_at"])))
      lines.append(("  scopes", plain(resource["scopes"])))
    }
    let width = lines.map(\.0.count).max() ?? 0
    return lines.map { name, value in
      trimmed(name + String(repeating: " ", count: width - name.count) + "  " + value) + "\n"
    }.joined()
  }

  private static func trimmed(_ line: String) -> String {
    var line = line[...]
    while line.last == " " { line = line.dropLast() }
    return String(line)
  }

  /// The first of these members that is there.
  private static func text(_ session: JSONValue, _ keys: String...) -> String {
    keys.lazy.compactMap { session[$0]?.string }.first.map { clean($0) } ?? "-"
  }

  /// `2026-01-31 09:05`.
  private static func minute(_ session: JSONValue, _ key: String) -> String {
    session[key]?.string.map { clean(String($0.prefix(16)).replacing("T", with: " ")) } ?? "-"
  }

  private static func plain(_ value: JSONValue?) -> String {
    if let text = value?.string { return clean(text) }
    if let list = value?.array { return list.map { plain($0) }.joined(separator: " ") }
    return value.map { clean($0.serialized()) } ?? "-"
  }

  private static func clean(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      let isControl =
        scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
      out.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
    }
    return out
  }
}
