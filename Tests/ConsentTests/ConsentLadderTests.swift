import Consent
import MCP
import Testing

/// Every caller there can be.
private let callers: [CallerFacts] = {
  var out = CallerFacts.Kind.allCases.map { CallerFacts($0) }
  for kind in CallerFacts.Kind.allCases {
    for isRequest in [true, false] {
      for method in [MessageEnvelope.Method.initialize, .toolsCall, .promptsGet, .resourcesRead, .other] {
        for capabilities in 0...3 as ClosedRange<UInt8> {
          for era in [ProtocolEra.legacy, .modern] {
            for version in CallerFacts.LegacyVersion.allCases {
              out.append(
                CallerFacts(
                  kind: kind, era: era, version: version,
                  capabilities: ClientCapabilities(rawValue: capabilities), method: method,
                  isRequest: isRequest))
            }
          }
        }
      }
    }
  }
  return out
}()

/// The table of the documents: the first row that fits a caller tells its rung.
private let rows: [(words: String, rung: ConsentRung, fits: @Sendable (CallerFacts, ScriptAnswer) -> Bool)] =
  [
    ("a browser that opens a page", .redirect, { caller, _ in caller.kind == .navigation }),
    (
      "the script of a page, status 401 or 403 configured", .script,
      { caller, status in caller.kind == .pageScript && status != .ok }
    ),
    (
      "the script of a page, status 200 configured, no MCP request", .script,
      { caller, _ in caller.kind == .pageScript && !(caller.isMCP && caller.isRequest) }
    ),
    (
      "a program without an MCP request: another route, a notification, a response, a batch", .plainStatus,
      { caller, _ in !caller.isMCP || !caller.isRequest }
    ),
    (
      "MCP 2025-11-25 with URL elicitation, any request but `initialize`", .urlElicitation,
      { caller, _ in
        caller.era == .legacy && caller.version == .withURLElicitation && canOpenLinks(caller)
          && caller.method != .initialize
      }
    ),
    (
      "MCP 2026-07-28 with URL elicitation: `tools/call`, `prompts/get`, `resources/read`", .inputRequired,
      { caller, _ in
        caller.era == .modern && canOpenLinks(caller)
          && [.toolsCall, .promptsGet, .resourcesRead].contains(caller.method)
      }
    ),
    ("any other MCP client: `tools/call`", .toolResult, { caller, _ in caller.method == .toolsCall }),
    ("any other MCP client: other requests", .rpcError, { _, _ in true }),
  ]

@Sendable private func canOpenLinks(_ caller: CallerFacts) -> Bool {
  caller.capabilities.contains(.urlElicitation)
}

extension ConsentRung {
  /// Caller and answer, as the documents show it.
  static func markdownTable() -> String {
    var out = "| caller | answer |\n|---|---|\n"
    for row in rows {
      out += "| \(row.words) | [\(row.rung.rawValue)](#\(row.rung.rawValue.lowercased())) |\n"
    }
    return out
  }
}

@Suite struct `The way of asking for consent` {
  @Test(arguments: ScriptAnswer.allCases)
  func `suits the caller in every combination`(status: ScriptAnswer) {
    #expect(callers.count == 3 + 3 * 2 * 5 * 4 * 2 * 2)
    for caller in callers {
      let expected = rows.first { $0.fits(caller, status) }?.rung
      #expect(ConsentRung.choose(for: caller, scriptAnswer: status) == expected, "\(caller)")
    }
  }

  @Test func `is never one that the client did not declare or the version does not have`() {
    for caller in callers {
      for status in ScriptAnswer.allCases {
        let rung = ConsentRung.choose(for: caller, scriptAnswer: status)
        if rung == .urlElicitation || rung == .inputRequired { #expect(canOpenLinks(caller)) }
        if rung == .urlElicitation { #expect(caller.era == .legacy) }
        if rung == .inputRequired { #expect(caller.era == .modern && caller.method.hasName) }
        if rung == .redirect { #expect(caller.kind == .navigation) }
        if rung == .toolResult { #expect(caller.method == .toolsCall && caller.isRequest) }
      }
    }
  }

  @Test func `is the same for a page's script as for a program when the status is 200`() {
    for var caller in callers where caller.kind == .pageScript && caller.isMCP && caller.isRequest {
      let page = ConsentRung.choose(for: caller, scriptAnswer: .ok)
      caller.kind = .program
      #expect(ConsentRung.choose(for: caller, scriptAnswer: .forbidden) == page)
    }
  }

  @Test func `is shown as a table in which every rung occurs`() {
    let table = ConsentRung.markdownTable()
    for rung in ConsentRung.allCases { #expect(table.contains("| [\(rung.rawValue)](")) }
  }
}
