import FoundationEssentials
import JSON
import Testing

@testable import Configuration

@Suite struct DescriptionTests {
  /// The directory of the package.
  static let root: String = {
    let parts = #filePath.split(separator: "/").dropLast(3)
    return "/" + parts.joined(separator: "/")
  }()

  /// Files that are made from the tables of keys.
  enum Made: String, CaseIterable {
    case reference = "docs/configuration.md"
    case example = "proxy.example.json"

    var text: String {
      switch self {
      case .reference: Configuration.reference()
      case .example: Configuration.example()
      }
    }
  }

  /// With `COATCHECK_WRITE_DOCS=1` in the environment the files are written anew.
  @Test(arguments: Made.allCases) func `the committed text is the one that is made from the tables`(
    made: Made
  ) throws {
    let path = "\(Self.root)/\(made.rawValue)"
    if ProcessInfo.processInfo.environment["COATCHECK_WRITE_DOCS"] == "1" {
      try Data(made.text.utf8).write(to: URL(filePath: path))
    }
    let committed = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    #expect(committed == made.text, "run the tests with COATCHECK_WRITE_DOCS=1 and commit \(made.rawValue)")
  }

  @Test func `the example file passes as it is committed`() throws {
    _ = try Configuration.load(path: "\(Self.root)/proxy.example.json")
  }

  @Test func `the example has every key but those that exclude others`() throws {
    let example = try JSONValue.parse(Configuration.example())
    var missing: [String] = []
    func compare(_ entries: [Entry], _ value: JSONValue?, _ prefix: String) {
      for entry in entries {
        let path = prefix + entry.name
        let inner = value?[entry.name]
        if inner == nil {
          missing.append(path)
          continue
        }
        guard let below = entry.shape.entries else { continue }
        compare(below, inner?.array?.first ?? inner, path + ".")
      }
    }
    compare(Configuration.section.keys.map(\.entry), example, "")
    #expect(missing == ["oidc.client_secret_env", "session.store.redis"])
  }

  @Test func `the schema has the keys, defaults and requirements of the tables`() throws {
    let schema = try JSONValue.parse(Configuration.schema())
    #expect(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema")
    #expect(schema["additionalProperties"] == false)
    #expect(schema["required"] == ["listen", "public_url", "oidc", "routes"])
    #expect(schema.at(pointer: "/properties/session/properties/idle_timeout/default") == "8h")
    #expect(schema.at(pointer: "/properties/routes/items/required") == ["path", "upstream"])
    #expect(schema.at(pointer: "/properties/routes/minItems") == 1)
    #expect(schema.at(pointer: "/properties/log/properties/format/enum") == ["json", "text"])
    #expect(schema.at(pointer: "/properties/limits/properties/connections/maximum") == 1_000_000)
  }

  @Test func `a default that is written out changes nothing`() throws {
    func defaults(_ entries: [Entry]) -> JSONValue {
      .object(
        JSONObject(
          entries.compactMap { entry in
            if let value = entry.defaultValue { return (entry.name, value) }
            if case .object(let below) = entry.shape, !entry.isRequired, entry.otherwise == nil {
              return (entry.name, defaults(below))
            }
            return nil
          }))
    }
    guard case .object(let all) = defaults(Configuration.section.keys.map(\.entry)),
      let oidc = Configuration.section.keys.first(where: { $0.entry.name == "oidc" })?.entry.shape.entries,
      case .object(let ofOIDC) = defaults(oidc)
    else {
      Issue.record("the tables are not objects")
      return
    }
    var changes: [(String, JSONValue?)] = all.members.map { ($0.key, $0.value) }
    changes += ofOIDC.members.map { ("oidc.\($0.key)", $0.value) }
    let said = try Sample.parse(Sample.with(changes))
    let unsaid = try Sample.parse(Sample.smallest)
    #expect(said.oidc == unsaid.oidc && said.session == unsaid.session && said.tokens == unsaid.tokens)
    #expect(said.consent == unsaid.consent && said.csrf == unsaid.csrf && said.streams == unsaid.streams)
    #expect(said.timeouts == unsaid.timeouts && said.limits == unsaid.limits && said.log == unsaid.log)
  }

  @Test func `the reference names every key in a table row of five bars`() {
    func names(_ entries: [Entry]) -> [String] {
      entries.flatMap { [$0.name] + names($0.shape.entries ?? []) }
    }
    let lines = Configuration.reference().split(separator: "\n")
    for name in names(Configuration.section.keys.map(\.entry)) {
      #expect(
        lines.contains { $0.hasPrefix("| `\(name)` |") && $0.count(where: { $0 == "|" }) == 5 }, "\(name)")
    }
  }
}
