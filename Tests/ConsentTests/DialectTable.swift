import Consent
import FoundationEssentials
import JSON
import Testing

/// The table of dialects for the documentation, made from the corpus.
enum DialectTable {
  static let begin = "<!-- dialects:begin -->"
  static let end = "<!-- dialects:end -->"

  /// `| dialect | where | what Coatcheck does |`, one row for each file. Files of a dialect that differ in their
  /// title alone become one row.
  static func markdown() -> String {
    var rows: [(dialect: String, titles: [String], rest: String)] = []
    for fixture in Fixture.all.sorted(by: { ($0.dialect, $0.name) < ($1.dialect, $1.name) }) {
      let rest = "\(place(fixture)) | \(action(fixture.expect))"
      if let known = rows.firstIndex(where: { $0.dialect == fixture.dialect && $0.rest == rest }) {
        if !rows[known].titles.contains(title(fixture)) { rows[known].titles.append(title(fixture)) }
      } else {
        rows.append((fixture.dialect, [title(fixture)], rest))
      }
    }
    return "| dialect | where | what Coatcheck does |\n|---|---|---|\n"
      + rows.map { "| **\($0.dialect)**: \($0.titles.joined(separator: "; ")) | \($0.rest) |\n" }.joined()
  }

  /// `document` with the table between its markers; nil when it does not have both.
  static func written(into document: String) -> String? {
    guard let start = document.firstRange(of: begin), let stop = document.firstRange(of: end),
      start.upperBound <= stop.lowerBound
    else { return nil }
    return document[..<start.upperBound] + "\n\(markdown())" + document[stop.lowerBound...]
  }

  private static func title(_ fixture: Fixture) -> String {
    guard let code = fixture.expect?.code, code.hasPrefix("AADSTS") else { return cell(fixture.title) }
    return "\(cell(fixture.title)) (`\(code)`)"
  }

  private static func place(_ fixture: Fixture) -> String {
    switch fixture.kind {
    case .header: "\(fixture.status), `WWW-Authenticate`"
    case .rpcError: "JSON-RPC error \(fixture.payload?["code"]?.number.map { "`\($0.text)`" } ?? "")"
    case .toolResult: "result of a tool, `isError: \(fixture.payload?["isError"]?.bool == true)`"
    case .result: "result `input_required`"
    case .body: "\(fixture.status), JSON body"
    case .event: "event `\(fixture.eventType ?? "message")`"
    case .tokenEndpoint: "token endpoint, \(fixture.status)"
    }
  }

  private static func action(_ expect: Expectation?) -> String {
    guard let expect else { return "passes it on" }
    let what =
      switch expect.kind {
      case .reauth(.tokenRejected): "refreshes the token and sends the call once more"
      case .reauth(.grantEnded): "asks for a new sign-in"
      case .reauth(.assertionStale): "refreshes the token first"
      case .claims: "asks the provider for the claims"
      case .stepUp: "asks for a stronger sign-in"
      case .adminConsent: "says that an administrator has to grant it"
      case .declined: "says that the user declined"
      case .blocked: "says that a policy forbids it"
      case .transient: "says that it may work later"
      case .config: "reports a fault of the installation"
      case .consent where expect.isRepairable:
        expect.scopes.isEmpty ? "asks for consent" : "asks for consent to the scopes named"
      case .consent:
        expect.link == nil ? "passes it on: no consent of ours can help" : "points to the link named"
      }
    let isFinal =
      switch expect.kind {
      case .adminConsent, .declined, .blocked, .transient, .config: true
      default: false
      }
    return isFinal || expect.isUnexecuted ? what : "\(what); the call may have run"
  }

  private static func cell(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }
}

@Suite struct `The table of dialects` {
  @Test func `has a row for every place and outcome`() {
    let table = DialectTable.markdown()
    for fixture in Fixture.all { #expect(table.contains("| **\(fixture.dialect)**: "), "\(fixture.name)") }
    #expect(table.split(separator: "\n").allSatisfy { $0.hasPrefix("| ") || $0.hasPrefix("|-") })
  }

  @Test func `is put between its markers and nowhere else`() throws {
    let document = "a\n\(DialectTable.begin)\nold\n\(DialectTable.end)\nb\n"
    let written = try #require(DialectTable.written(into: document))
    #expect(
      written.hasPrefix("a\n\(DialectTable.begin)\n| dialect")
        && written.hasSuffix("|\n\(DialectTable.end)\nb\n"))
    #expect(DialectTable.written(into: written) == written)
    #expect(DialectTable.written(into: "no markers") == nil)
  }

  /// With `COATCHECK_WRITE_DOCS=1` in the environment it is written anew.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "\(Fixture.root)/docs/consent.md")))
  func `in the documentation is the one that is made from the corpus`() throws {
    let path = "\(Fixture.root)/docs/consent.md"
    let document = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    let made = try #require(DialectTable.written(into: document), "docs/consent.md has no markers")
    if ProcessInfo.processInfo.environment["COATCHECK_WRITE_DOCS"] == "1" {
      try Data(made.utf8).write(to: URL(filePath: path))
      return
    }
    #expect(document == made, "run the tests with COATCHECK_WRITE_DOCS=1 and commit docs/consent.md")
  }
}
