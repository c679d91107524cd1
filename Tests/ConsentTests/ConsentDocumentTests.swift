import Consent
import FoundationEssentials
import Testing

/// Tables of docs/consent.md that are made from what the tests go by, so that the text cannot say anything else.
@Suite struct `The document on consent` {
  private static let path = "\(Fixture.root)/docs/consent.md"
  private static let tables: [(name: String, table: @Sendable () -> String)] = [
    ("dialects", { DialectTable.markdown() }), ("rungs", { ConsentRung.markdownTable() }),
  ]

  /// `document` with the table between its markers; nil when it does not have both.
  private static func written(_ name: String, _ table: String, into document: String) -> String? {
    guard let start = document.firstRange(of: "<!-- \(name):begin -->"),
      let stop = document.firstRange(of: "<!-- \(name):end -->"), start.upperBound <= stop.lowerBound
    else { return nil }
    return document[..<start.upperBound] + "\n\(table)" + document[stop.lowerBound...]
  }

  @Test func `has a table between its markers and nowhere else`() throws {
    let document = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n"
    let written = try #require(Self.written("x", "| new |\n", into: document))
    #expect(written == "a\n<!-- x:begin -->\n| new |\n<!-- x:end -->\nb\n")
    #expect(Self.written("x", "| new |\n", into: written) == written)
    #expect(Self.written("x", "", into: "no markers") == nil)
  }

  /// With `COATCHECK_WRITE_DOCS=1` in the environment they are written anew.
  @Test func `has the tables that are made here`() throws {
    let document = String(decoding: try Data(contentsOf: URL(filePath: Self.path)), as: UTF8.self)
    var made = document
    for (name, table) in Self.tables {
      made = try #require(
        Self.written(name, table(), into: made), "docs/consent.md has no markers for \(name)")
    }
    if ProcessInfo.processInfo.environment["COATCHECK_WRITE_DOCS"] == "1" {
      try Data(made.utf8).write(to: URL(filePath: Self.path))
      return
    }
    #expect(document == made, "run the tests with COATCHECK_WRITE_DOCS=1 and commit docs/consent.md")
  }
}
