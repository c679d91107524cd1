import Basics
import Consent
import JSON
import TestSupport
import Testing

@Suite struct `A demand for consent` {
  private func check(_ finding: ConsentFinding?, _ dialect: Dialect) {
    guard let need = finding?.need else {
      Issue.record("not recognised: \(dialect.body)")
      return
    }
    #expect(need.kind == dialect.kind)
    #expect(need.source == dialect.source)
    #expect(need.scopes == dialect.scopes)
    #expect(need.target == dialect.target)
    #expect(need.link == dialect.link)
    #expect(need.claims == dialect.claims)
    #expect(need.acrValues == dialect.acrValues)
    #expect(need.maxAge == dialect.maxAge)
    #expect(need.code == dialect.code)
  }

  @Test(arguments: sdkDialects + otherDialects)
  func `is understood in a body`(dialect: Dialect) { check(watch.finding(body: dialect.body), dialect) }

  @Test(arguments: sdkDialects + otherDialects)
  func `is understood as an event`(dialect: Dialect) {
    for event in [
      "event: message\r\ndata: \(dialect.body)\r\n\r\n", "data:\(dialect.body)\n\n",
      "id: 7\ndata: \(dialect.body)\r\r",
      ": comment\nevent: message\nid: 1\nretry: 10\ndata: \(dialect.body)\n\n",
      "\u{FEFF}data: \(dialect.body)\n\n", "event:\ndata: \(dialect.body)\n\n",
    ] { check(watch.finding(event: event), dialect) }
    // Line breaks between members, where JSON allows them, become data lines.
    let broken = dialect.body.replacingCommas(with: ",\ndata: ")
    if (try? JSONValue.parse(dialect.body.replacingCommas(with: ",\n"))) != nil {
      check(watch.finding(event: "data: \(broken)\n\n"), dialect)
    }
  }

  @Test(arguments: sdkDialects + otherDialects)
  func `is found whatever white space is used`(dialect: Dialect) throws {
    let pretty = try JSONValue.parse(dialect.body).serialized(pretty: true)
    #expect(watch.finding(body: pretty)?.need == watch.finding(body: dialect.body)?.need)
  }

  @Test(arguments: oddSpellings)
  func `is understood in odd spellings`(body: String) {
    #expect(watch.finding(body: body)?.need.kind == .consent)
  }

  @Test(arguments: negatives)
  func `is not seen where there is none`(name: String, body: String) {
    #expect(watch.finding(body: body) == nil, "\(name)")
    #expect(watch.finding(event: "event: message\ndata: \(body)\n\n") == nil, "\(name)")
  }

  @Test(arguments: ["ping", "error", "Message", "message2"])
  func `in an event of another type is somebody else's`(type: String) {
    let body = sdkDialects[0].body
    #expect(watch.finding(event: "event: \(type)\ndata: \(body)\n\n") == nil)
  }

  @Test func `in an event without data is none`() {
    #expect(watch.finding(event: ": \"error\" consent_required\n\n") == nil)
    #expect(watch.finding(event: "id: \"error\"\n\n") == nil)
    #expect(watch.finding(event: "\n") == nil)
  }

  @Test(arguments: ["1", "-7", "1.50", #""a""#, #""7""#, #""\u00e4\n""#, "null"])
  func `keeps the id of what it refuses`(id: String) throws {
    let finding = watch.finding(body: rpcError(1, "consent_required", id: id))
    #expect(try finding.map { try JSONValue.parse($0.id) } == JSONValue.parse(id))
  }

  @Test func `without an id is answered with null`() {
    let finding = watch.finding(body: #"{"jsonrpc":"2.0","error":{"code":1,"message":"consent_required"}}"#)
    #expect(finding?.id == Array("null".utf8))
  }

  @Test func `that only leads to a stranger cannot be repaired by us`() {
    let stranger = otherDialects.first { $0.name == "a stranger's elicitation" }
    #expect(stranger.flatMap { watch.finding(body: $0.body)?.need.isRepairable } == false)
    for dialect in sdkDialects { #expect(watch.finding(body: dialect.body)?.need.isRepairable == true) }
    #expect(watch.finding(body: rpcError(1, "consent_required"))?.need.isRepairable == true)
  }

  @Test func `names no scopes from a provider that is not ours`() {
    let other = ConsentWatch(providerOrigins: ["https://127.0.0.1:4593"])
    for dialect in sdkDialects where dialect.source == .elicitation {
      #expect(other.finding(body: dialect.body)?.need.scopes == [])
    }
  }

  @Test func `beyond the bound is not looked at`() {
    let body = failed(text: "consent_required", more: #","x":"\#(String(repeating: "a", count: 1000))""#)
    #expect(ConsentWatch(maxBytes: body.utf8.count).finding(body: body) != nil)
    #expect(ConsentWatch(maxBytes: body.utf8.count - 1).finding(body: body) == nil)
    let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
    #expect(watch.finding(body: failed(text: "consent_required", more: #","x":\#(deep)"#)) == nil)
  }

  @Test func `with a thousand scopes is cut to what a page can show`() {
    let many = (0..<1000).map { "\"s\($0)\"" }.joined(separator: ",")
    let need = watch.finding(
      body: rpcError(1, "no", data: #"{"error":"consent_required","scopes":[\#(many)]}"#))?.need
    #expect(need?.scopes.count == ScopeList.maxScopes)
    let bad = rpcError(1, "no", data: #"{"error":"consent_required","scopes":["a b","","ok","x\"y","é"]}"#)
    #expect(watch.finding(body: bad)?.need.scopes == ["ok"])
  }

  @Test func `cut short anywhere is none`() {
    for dialect in sdkDialects + otherDialects {
      let bytes = Array(dialect.body.utf8)
      for end in 0..<bytes.count {
        let buffer = Buffer(Array(bytes[..<end]))
        #expect(watch.finding(inBody: buffer, 0..<end) == nil, "\(dialect.name) cut at \(end)")
      }
    }
  }

  @Test func `damaged at any byte never traps`() {
    var random = Damage(seed: 3)
    for text in (sdkDialects + otherDialects).map(\.body) + negatives.map(\.1) {
      for _ in 0..<60 {
        let body = Buffer(random.damaged(text))
        _ = watch.finding(inBody: body, 0..<body.count)
        let event = Buffer(random.damaged("event: message\r\ndata: \(text)\r\n\r\n"))
        _ = watch.finding(inEvent: event, 0..<event.count)
      }
    }
  }
}

@Suite struct `The first look at an answer` {
  private func might(_ text: String) -> Bool {
    let buffer = Buffer("x" + text + "y")
    return ConsentWatch.mightNeedConsent(buffer, 1..<buffer.count - 1)
  }

  @Test(arguments: sdkDialects + otherDialects)
  func `lets no demand pass`(dialect: Dialect) throws {
    #expect(might(dialect.body))
    #expect(might(try JSONValue.parse(dialect.body).serialized(pretty: true)))
  }

  @Test(arguments: [
    #"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}],"isError":false}}"#,
    #"{"result":{"isError" : false,"x":{"isError":false}}}"#,
    #"{"result":{"content":[{"type":"text","text":"{\"error\":\"consent_required\"}"}],"isError":false}}"#,
    "",
    #"{"result":{"tools":[{"description":"error handling, consent_required"}]}}"#,
  ])
  func `ends the matter for ordinary answers`(text: String) { #expect(!might(text)) }

  @Test func `looks no further than its range`() {
    let buffer = Buffer(#"{}"error""isError":true"#)
    for range in [0..<0, 0..<2, 0..<8] {
      let might = ConsentWatch.mightNeedConsent(buffer, range)
      #expect(!might)
    }
  }
}

extension String {
  func replacingCommas(with text: String) -> String {
    split(separator: ",", omittingEmptySubsequences: false).joined(separator: text)
  }
}
