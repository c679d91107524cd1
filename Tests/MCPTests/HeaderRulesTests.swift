import Basics
import MCP
import TestSupport
import Testing

/// Which verdict is expected, without its words.
private enum Expected: Sendable { case modern, legacy, mismatch, invalid }

private struct Case: Sendable, CustomTestStringConvertible {
  var what: String
  var body: String
  var headers: [(String, String)]
  var expected: Expected

  init(_ what: String, _ body: String, _ headers: [(String, String)], _ expected: Expected) {
    (self.what, self.body, self.headers, self.expected) = (what, body, headers, expected)
  }

  var testDescription: String { what }
}

private func call(_ name: String = "whoami", version: String = "2026-07-28", method: String = "tools/call")
  -> String
{
  #"{"jsonrpc":"2.0","id":1,"method":"\#(method)","params":{"name":"\#(name)","_meta":{"io.modelcontextprotocol/protocolVersion":"\#(version)"}}}"#
}

private func headers(
  _ version: String? = "2026-07-28", _ method: String? = "tools/call", _ name: String? = "whoami"
) -> [(String, String)] {
  [("v", version), ("m", method), ("n", name)].compactMap { field, value in value.map { (field, $0) } }
}

private let old = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}"#
private let batch = #"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#

private let cases: [Case] = [
  Case("all three agree", call(), headers(), .modern),
  Case("no method", call(), headers("2026-07-28", nil), .mismatch),
  Case("another method", call(), headers("2026-07-28", "tools/list"), .mismatch),
  Case("a method in capitals", call(), headers("2026-07-28", "TOOLS/CALL"), .mismatch),
  Case("no name", call(), headers("2026-07-28", "tools/call", nil), .mismatch),
  Case("another name", call(), headers("2026-07-28", "tools/call", "other"), .mismatch),
  Case("a name in capitals", call(), headers("2026-07-28", "tools/call", "WHOAMI"), .mismatch),
  Case("a longer name", call(), headers("2026-07-28", "tools/call", "whoami2"), .mismatch),
  Case(
    "another name in base64", call(), headers("2026-07-28", "tools/call", "=?base64?b3RoZXI=?="), .mismatch),
  Case("broken base64", call(), headers("2026-07-28", "tools/call", "=?base64?!!?="), .mismatch),
  Case("half an encoding", call(), headers("2026-07-28", "tools/call", "=?base64?="), .mismatch),
  Case("another version", call(), headers("2025-11-25"), .mismatch),
  Case("no version", call(), headers(nil), .mismatch),
  Case("a version twice", call(), headers() + [("v", "2026-07-28")], .mismatch),
  Case("a method twice", call(), headers() + [("m", "tools/call")], .mismatch),
  Case("a name twice", call(), headers() + [("n", "whoami")], .mismatch),
  Case("a method twice in a legacy call", old, [("m", "tools/call"), ("m", "ping")], .mismatch),
  Case(
    "a name in base64", call("grüße"), headers("2026-07-28", "tools/call", "=?base64?Z3LDvMOfZQ==?="), .modern
  ),
  Case("a plain name in base64", call(), headers("2026-07-28", "tools/call", "=?base64?d2hvYW1p?="), .modern),
  Case("an escaped name", call(#"wh\u006fami"#), headers(), .modern),
  Case("an escaped name that differs", call(#"wh\u006fam"#), headers(), .mismatch),
  Case(
    "an escaped name in base64", call(#"gr\u00fc\u00dfe"#),
    headers("2026-07-28", "tools/call", "=?base64?Z3LDvMOfZQ==?="), .modern),
  Case("an escaped method", call(method: #"tools\/call"#), headers(), .modern),
  Case("a name that is half a surrogate", call(#"\ud83d"#), headers(), .mismatch),
  Case(
    "a name in the header alone",
    #"{"id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    headers(), .mismatch),
  Case(
    "a method without a name",
    #"{"id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    headers("2026-07-28", "tools/list", nil), .modern),
  Case(
    "a resource",
    #"{"id":1,"method":"resources/read","params":{"uri":"file:///a","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    headers("2026-07-28", "resources/read", "file:///a"), .modern),
  Case(
    "a version that is no text",
    #"{"id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":["2026-07-28"]}}}"#,
    headers("2026-07-28", "tools/list", nil), .mismatch),
  Case("a modern header over a legacy request", old, headers(), .mismatch),
  Case(
    "a modern header over a notification", #"{"method":"notifications/cancelled"}"#,
    headers("2026-07-28", nil, nil),
    .modern),
  Case("a legacy call without headers", old, [], .legacy),
  Case("a legacy call of 2025-03-26", old, [("v", "2025-03-26")], .legacy),
  Case("a legacy call of 2025-11-25", old, [("v", "2025-11-25")], .legacy),
  Case("a legacy call of a version nobody knows", old, [("v", "2099-01-01")], .legacy),
  Case("an answer to the server", #"{"id":1,"result":{}}"#, [("v", "2025-11-25")], .legacy),
  Case("a batch without a version", batch, [], .legacy),
  Case("a batch of 2025-03-26", batch, [("v", "2025-03-26")], .legacy),
  Case("a batch of 2025-06-18", batch, [("v", "2025-06-18")], .invalid),
  Case("a batch of 2025-11-25", batch, [("v", "2025-11-25")], .invalid),
  Case("a batch of 2026-07-28", batch, [("v", "2026-07-28")], .invalid),
  Case("no JSON", "hello", [("v", "2025-11-25")], .invalid),
  Case("two methods", #"{"id":1,"method":"ping","method":"tools/call"}"#, [], .invalid),
]

@Suite struct `Headers that repeat the body` {
  private func verdict(_ body: String, _ headers: [(String, String)]) -> MessageVerdict {
    var head = Buffer("POST /mcp ")
    var found: [String: (count: Int, first: Range<Int>?)] = [:]
    for (field, value) in headers {
      let start = head.count
      head.append(value)
      let range = start..<head.count
      found[field] = ((found[field]?.count ?? 0) + 1, found[field]?.first ?? range)
      head.append(" ")
    }
    func field(_ name: String) -> RoutingHeaders.Field {
      RoutingHeaders.Field(count: found[name]?.count ?? 0, first: found[name]?.first)
    }
    let bytes = Buffer(body)
    return HeaderRules.check(
      MessageEnvelope.scan(bytes, 0..<bytes.count), body: bytes,
      headers: RoutingHeaders(version: field("v"), method: field("m"), name: field("n")), head: head)
  }

  @Test(arguments: cases)
  private func `are judged by the table`(row: Case) {
    let verdict = verdict(row.body, row.headers)
    switch row.expected {
    case .modern: #expect(verdict == .accepted(.modern))
    case .legacy: #expect(verdict == .accepted(.legacy))
    case .mismatch:
      guard case .mismatch(let text) = verdict else {
        Issue.record("\(verdict)")
        return
      }
      #expect(text.hasSuffix(".") && !text.contains("whoami"), "says which field, repeats nothing")
    case .invalid:
      guard case .invalid = verdict else {
        Issue.record("\(verdict)")
        return
      }
    }
  }

  @Test func `of any bytes never trap`() {
    var random = Damage(seed: 11)
    for row in cases {
      for _ in 0..<50 {
        let body = String(decoding: random.damaged(Array(row.body.utf8)), as: UTF8.self)
        let headers = row.headers.map {
          ($0.0, String(decoding: random.damaged(Array($0.1.utf8)), as: UTF8.self))
        }
        _ = verdict(body, headers)
      }
    }
  }

  @Test func `count as they stand`() {
    #expect(RoutingHeaders.Field(count: 0, first: nil) == .absent)
    #expect(RoutingHeaders.Field(count: 1, first: 2..<3) == .once(2..<3))
    #expect(RoutingHeaders.Field(count: 2, first: 2..<3) == .repeated)
  }

  @Test func `are refused when repeated, whatever the body is`() {
    let (once, twice) = (RoutingHeaders.Field.once(0..<1), RoutingHeaders.Field.repeated)
    #expect(HeaderRules.repeated(RoutingHeaders()) == nil)
    #expect(HeaderRules.repeated(RoutingHeaders(version: once, method: once, name: once)) == nil)
    #expect(HeaderRules.repeated(RoutingHeaders(version: twice))?.contains("MCP-Protocol-Version") == true)
    #expect(HeaderRules.repeated(RoutingHeaders(method: twice))?.contains("Mcp-Method") == true)
    #expect(HeaderRules.repeated(RoutingHeaders(name: twice))?.contains("Mcp-Name") == true)
  }

  @Test func `and the eras differ in what a disconnect means`() {
    #expect(ProtocolEra.modern.disconnectCancels)
    #expect(!ProtocolEra.legacy.disconnectCancels)
  }
}
