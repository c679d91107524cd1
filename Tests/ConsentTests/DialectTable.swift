import Consent
import JSON
import Testing

/// The table of dialects for the documentation, made from the corpus.
enum DialectTable {
  /// `| dialect | where | what Coatcheck does |`, one row for each file. Files of a dialect that differ in their
  /// title alone become one row.
  static func markdown() -> String {
    var rows: [Row] = []
    for fixture in Fixture.all.sorted(by: { ($0.dialect, $0.name) < ($1.dialect, $1.name) }) {
      let rest = "\(place(fixture)) | \(action(fixture))"
      let row = rows.firstIndex { $0.dialect == fixture.dialect && $0.rest == rest } ?? rows.endIndex
      if row == rows.endIndex { rows.append(Row(dialect: fixture.dialect, rest: rest)) }
      rows[row].add(cell(fixture.title), fixture.expect?.code)
    }
    return "| dialect | where | what Coatcheck does |\n|---|---|---|\n" + rows.map { "\($0.text)\n" }.joined()
  }

  private struct Row {
    let dialect: String
    let rest: String
    private var titles: [(text: String, codes: [String])] = []

    init(dialect: String, rest: String) {
      self.dialect = dialect
      self.rest = rest
    }

    /// Adds a case. Of the codes only Entra's say more than the title.
    mutating func add(_ title: String, _ code: String?) {
      let codes = [code].compactMap(\.self).filter { $0.hasPrefix("AADSTS") }
      if let known = titles.firstIndex(where: { $0.text == title }) {
        titles[known].codes += codes
      } else {
        titles.append((title, codes))
      }
    }

    var text: String {
      let cases = titles.map { title in
        title.codes.isEmpty
          ? title.text : "\(title.text) (\(title.codes.map { "`\($0)`" }.joined(separator: ", ")))"
      }
      return "| **\(dialect)**: \(cases.joined(separator: "; ")) | \(rest) |"
    }
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

  private static func action(_ fixture: Fixture) -> String {
    let isHead = fixture.kind == .header || fixture.kind == .tokenEndpoint
    let isRefused = [401, 403].contains(fixture.status)
    guard let expect = fixture.expect else {
      let isUnauthorized = fixture.status == 401 && [.header, .body].contains(fixture.kind)
      return isUnauthorized ? "as any 401: refreshes the token and sends the call once more" : "passes it on"
    }
    func final(_ why: String) -> String { isHead || isRefused ? "says that \(why)" : "passes it on: \(why)" }
    func open(_ what: String) -> String { expect.isUnexecuted ? what : "\(what); the call may have run" }
    return switch expect.kind {
    case .reauth(.tokenRejected): "refreshes the token and sends the call once more"
    case .reauth(.grantEnded): "asks for a new sign-in"
    case .reauth(.assertionStale): "refreshes the token first"
    case .claims: open("asks the provider for the claims")
    case .stepUp: open("asks for a stronger sign-in")
    case .adminConsent: final("an administrator has to grant it")
    case .declined:
      isHead || isRefused ? "asks again when the call comes again" : "passes it on: the user declined"
    case .blocked: final("a policy forbids it")
    case .transient: final("it may work later")
    case .config: final("the installation is at fault")
    case .consent where expect.isRepairable:
      open(expect.scopes.isEmpty ? "asks for consent" : "asks for consent to the scopes named")
    case .consent where expect.link != nil: open("does what `downstream_consent` says, with the link named")
    case .consent: open("does what `downstream_consent` says")
    }
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
}
