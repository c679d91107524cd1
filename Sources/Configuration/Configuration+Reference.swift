internal import Basics
internal import JSON

extension Configuration {
  /// The smallest useful configuration.
  static let smallest = """
    {
      "listen": "127.0.0.1:8080",
      "public_url": "http://localhost:8080",
      "oidc": {
        "issuer": "https://login.example.com",
        "client_id": "coatcheck",
        "client_secret_file": "client_secret"
      },
      "routes": [
        { "path": "/mcp", "upstream": "http://127.0.0.1:3000/mcp", "scope": "tools.use" }
      ]
    }
    """

  /// The reference of all keys, as Markdown.
  public static func reference() -> String {
    var out = ReferenceWriter()
    out.introduction()
    out.section("Top level", "", section.keys.map(\.entry))
    return out.text
  }
}

private struct ReferenceWriter {
  private(set) var text = ""

  mutating func introduction() {
    text += """
      # Configuration

      <!-- Made from the tables that read the file (Sources/Configuration/Keys*.swift). Change it there. -->

      One JSON file. `coatcheck check proxy.json` reports everything that is wrong with it at once, each with
      line, key and what is allowed. Files that it names and that do not exist are only mentioned then, since
      a check may run on another machine; `coatcheck run` and `coatcheck check --online` need them. `coatcheck
      schema` prints a JSON Schema (draft 2020-12) for editors.

      [`proxy.example.json`](../proxy.example.json) has every key. This is all that is needed:

      ```json
      \(Configuration.smallest)
      ```

      - **Unknown keys** are refused, and so is `null`: leave a key out to get its default.
      - **Durations** are a whole number with a unit: `"250ms"`, `"30s"`, `"5m"`, `"8h"`, `"7d"`.
      - **Sizes** are a whole number with a unit: `"512B"`, `"64KiB"`, `"4MiB"`, `"1GiB"`.
      - **Paths of files** are relative to the directory of the configuration file.
      - **Secrets** stand in files of their own, never in this one. Nothing is expanded inside values.

      """
  }

  mutating func section(_ title: String, _ prefix: String, _ entries: [Entry]) {
    text += "\n## \(title)\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n"
    for entry in entries {
      let cells = ["`\(entry.name)`", cell(entry.shape), absence(entry), entry.documentation]
      text += "| " + cells.joined(separator: " | ") + " |\n"
    }
    for entry in entries {
      guard let below = entry.shape.entries else { continue }
      let isList = if case .list = entry.shape { true } else { false }
      let path = prefix + entry.name + (isList ? "[]" : "")
      section("`\(path)`", path + ".", below)
    }
  }

  private func absence(_ entry: Entry) -> String {
    if entry.isRequired { return "**required**" }
    if let otherwise = entry.otherwise { return otherwise }
    if let value = entry.defaultValue { return "`\(value.serialized())`" }
    return "see below"
  }

  private func cell(_ shape: Shape) -> String {
    switch shape {
    case .text(let says, _): return says.replacing("\"", with: "`")
    case .word(let words): return words.map { "`\"\($0)\"`" }.joined(separator: ", ")
    case .truth: return "`true`, `false`"
    case .number(let range):
      return range == .any ? "a whole number" : "\(range.lowerBound) … \(range.upperBound)"
    case .duration(let range): return "`\"\(range.lowerBound.text)\"` … `\"\(range.upperBound.text)\"`"
    case .size(let range):
      return "`\"\(ByteSize(bytes: range.lowerBound))\"` … `\"\(ByteSize(bytes: range.upperBound))\"`"
    case .list(let element, let minimum):
      let each = element.entries == nil ? cell(element) : "objects"
      return minimum > 0 ? "a list of at least \(minimum): \(each)" : "a list: \(each)"
    case .map(let says): return says
    case .object: return "an object"
    case .oneOrMore: return "an object, or a list of objects"
    }
  }
}
