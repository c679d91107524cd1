import Basics
import Consent
import JSON
import TestSupport
import Testing

@testable import OAuth

/// Links that must not be shown to anybody, whoever names them.
private let badLinks: [String] = [
  "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,<script>", "vbscript:x", "file:///etc/passwd",
  "ftp://files.example/", "blob:https://a.example/x", "about:blank", "mailto:a@a.example",
  "http://evil.example/", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/",
  "http://[2001:db8::1]/", "http://0.0.0.0/", "http://10.0.0.1/", "http://169.254.169.254/latest",
  "https://login.example@evil.example/", "https://login.example:443@evil.example/",
  "https://login.example%40evil.example/", "https://a:b@login.example/", "https://@login.example/",
  "https://login.example\\@evil.example/", "https:\\\\evil.example/", "https:/evil.example",
  "//evil.example/",
  "/auth/continue", "https://", "https:///path", "https://evil.example:0/", "https://evil.example:99999/",
  "https://evil.example/ x", "https://evil.example/\tx", "https://evil.example/\r\nSet-Cookie: a=b",
  "https://evil.example/\u{0}", "https://evil.example/\u{7F}", "https://evil.example/\u{202E}x",
  "https://ev\u{131}l.example/", " https://evil.example/", "https://evil.example/#fragment",
  "https://evil.example/%zz", "https://evil.example/\"onload=x", "https://evil.example/<script>",
  "https://evil.example/" + String(repeating: "a", count: 100_000), "",
]

private let goodLinks: [String] = [
  "https://consent.example/login?data=x", "https://consent.example:8443/a%20b?c=d&e=f@g",
  "http://127.0.0.1:9/a",
  "http://localhost/a", "http://[::1]:9/a", "HTTPS://CONSENT.EXAMPLE/",
]

@Suite struct `A link` {
  /// The links that come of `link`, wherever a server may name one.
  private func links(_ link: String) -> [[String]] {
    let text = JSONValue.string(link).serialized()
    let rule = ConsentRule(code: ["/error/data/x"], values: ["y"], link: "/error/data/go")
    let ruled = ConsentWatch(rules: [rule]).finding(
      body: rpcError(1, "no", data: #"{"x":"y","go":\#(text)}"#))
    let parsed = Challenge(
      scheme: "Bearer",
      parameters: [
        Challenge.Parameter(name: "consenturi", value: link), Challenge.Parameter(name: "scopes", value: "a"),
        Challenge.Parameter(name: "proposedaction", value: "consent"),
      ])
    let plain = Buffer(#"{"error":"consent_required","consent_url":\#(text)}"#)
    return [
      watch.finding(body: rpcError(-32042, "x", data: #"{"elicitations":[{"mode":"url","url":\#(text)}]}"#))?
        .need.links,
      watch.finding(body: rpcError(1, "no", data: #"{"error":"consent_required","consent_url":\#(text)}"#))?
        .need.links,
      watch.finding(body: failed(more: #","structuredContent":{"code":"consent_required","url":\#(text)}"#))?
        .need.links,
      watch.finding(body: foundryError(text))?.need.links ?? [],
      watch.finding(body: #"{"output":[{"type":"oauth_consent_request","consent_link":\#(text)}]}"#)?
        .need.links ?? [],
      watch.finding(
        event: #"data: {"type":"response.oauth_consent_requested","consent_link":\#(text)}"# + "\n\n")?
        .need.links ?? [],
      watch.finding(inBody: plain, 0..<plain.count, status: 403)?.need.links,
      ruled?.need.links, ConsentNeed.from(challenges: [parsed], status: 403)?.links,
    ].map { $0 ?? ["not recognised"] }
  }

  private func foundryError(_ text: String) -> String {
    #"{"jsonrpc":"2.0","id":1,"error":{"code":-32006,"message":\#(text)}}"#
  }

  @Test(arguments: badLinks) func `that is hostile is named by nobody`(link: String) {
    for found in links(link) { #expect(found == [], "\(link.prefix(100))") }
  }

  @Test(arguments: goodLinks) func `that is none stays as it is`(link: String) {
    for found in links(link) { #expect(found == [link]) }
  }

  @Test(arguments: badLinks) func `inside a text is taken whole or not at all`(link: String) {
    let need = watch.finding(body: failed(text: "consent_required: scope=a; open \(link)"))?.need
    #expect(need?.scopes == ["a"])
    #expect(need.map { $0.links.allSatisfy { !$0.contains("@") && $0.utf8.count <= 4096 } } ?? true)
  }

  @Test func `counts once, and only so many count`() {
    let urls = (0..<20).map { #"{"mode":"url","url":"https://a.example/\#($0 / 2)"}"# }
    let need = watch.finding(
      body: rpcError(-32042, "x", data: #"{"elicitations":[\#(urls.joined(separator: ","))]}"#))?.need
    #expect(need?.links == (0..<ConsentNeed.maxLinks).map { "https://a.example/\($0)" })
    #expect(need?.link == "https://a.example/0" && need?.isElicitation == true)
  }
}

@Suite struct `A hostile answer` {
  @Test(arguments: [8192 * 2 + 4, 100_000, 1 << 20])
  func `with claims beyond the bound demands none`(count: Int) {
    let long = #"{"a":"\#(String(repeating: "x", count: count))"}"#
    for claims in [long, Base64.encode(Array(long.utf8))] {
      let fields = [#"Bearer error="insufficient_claims", claims=\#(quoted(claims))"#]
      #expect(ConsentNeed.from(challenges: Challenge.parse(fields), status: 401)?.claims == nil)
      let body = rpcError(1, "no", data: #"{"error":"insufficient_claims","claims":\#(quoted(claims))}"#)
      #expect(watch.finding(body: body) == nil)
    }
    let error = TokenEndpointError(status: 400, error: "interaction_required", claims: long)
    #expect(ConsentNeed.from(error).claims == nil && ConsentNeed.from(error).kind == .stepUp)
  }

  @Test func `with challenges beyond the bound is read up to it`() {
    let long = #"Bearer error="insufficient_scope", scope="\#(String(repeating: "s ", count: 50_000))""#
    #expect(ConsentNeed.from(challenges: Challenge.parse([long]), status: 403) == nil)
    let many = (0..<10_000).map { #"Bearer error="insufficient_scope", scope="s\#($0)""# }
    let need = ConsentNeed.from(challenges: Challenge.parse(many), status: 403)
    #expect((1...ScopeList.maxScopes).contains(need?.scopes.count ?? 0))
  }

  @Test(arguments: [49, 100, 1000, 100_000])
  func `that is deep is passed on`(depth: Int) {
    let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    for body in [
      rpcError(1, "consent_required", data: deep), failed(text: "consent_required", more: #","x":\#(deep)"#),
      failed(text: "consent_required: \(deep)"), #"{"error":"consent_required","x":\#(deep)}"#,
    ] {
      let buffer = Buffer(body)
      let found = watch.finding(inBody: buffer, 0..<buffer.count, status: 403)
      #expect(found == nil || body.contains("consent_required: ["))
    }
    let objects = String(repeating: #"{"error":"#, count: depth) + "1" + String(repeating: "}", count: depth)
    let buffer = Buffer(objects)
    #expect(watch.finding(inBody: buffer, 0..<buffer.count, status: 403) == nil)
  }

  @Test func `with thousands of scopes is cut to what a page can show`() {
    let names = (0..<5000).map { "s\($0)" }
    let list = names.map { "\"\($0)\"" }.joined(separator: ",")
    let rule = ConsentRule(code: ["/error/data/code"], values: ["x"], scopes: "/error/data/list")
    let ruled = ConsentWatch(rules: [rule])
    for (watch, body) in [
      (watch, rpcError(1, "no", data: #"{"error":"consent_required","scopes":[\#(list)]}"#)),
      (watch, rpcError(1, "no", data: #"{"error":"consent_required","details":[{"scopes":[\#(list)]}]}"#)),
      (ruled, rpcError(1, "no", data: #"{"code":"x","list":[\#(list)]}"#)),
    ] { #expect(watch.finding(body: body)?.need.scopes.count == ScopeList.maxScopes) }
    // A text that long is no list of scopes, and the need stays without.
    let text = String(repeating: "s ", count: 100_000)
    let body = rpcError(1, "no", data: #"{"error":"consent_required","scope":"\#(text)"}"#)
    #expect(watch.finding(body: body)?.need.scopes == [])
  }

  @Test(
    arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]] as [[UInt8]]
  )
  func `that is no UTF-8 is passed on`(bytes: [UInt8]) {
    for (head, tail) in [
      (#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"consent_required"#, #""}}"#),
      (
        #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"consent_required","data":{"scope":""#, #""}}}"#
      ),
      (#"{"error":"consent_required","x":""#, #""}"#),
    ] {
      let body = Buffer(Array(head.utf8) + bytes + Array(tail.utf8))
      #expect(watch.finding(inBody: body, 0..<body.count, status: 403) == nil)
      let event = Buffer(Array("data: \(head)".utf8) + bytes + Array("\(tail)\n\n".utf8))
      #expect(watch.finding(inEvent: event, 0..<event.count) == nil)
    }
  }

  @Test(arguments: Fixture.all)
  func `made of a good one by damage never traps`(fixture: Fixture) {
    var random = Damage(seed: 11)
    let text = fixture.message()
    let watch = fixture.watch
    for _ in 0..<40 {
      let body = Buffer(random.damaged(text))
      _ = watch.finding(inBody: body, 0..<body.count, status: 403)
      let event = Buffer(random.damaged("event: \(fixture.eventType ?? "message")\ndata: \(text)\n\n"))
      _ = watch.finding(inEvent: event, 0..<event.count)
      let fields = fixture.headers.map { String(decoding: random.damaged($0), as: UTF8.self) }
      _ = ConsentNeed.from(challenges: Challenge.parse(fields), status: fixture.status)
    }
  }

  @Test(arguments: Fixture.of(.rpcError, .toolResult, .result, .body, .event))
  func `cut short anywhere is none`(fixture: Fixture) {
    let bytes = Array(fixture.message().utf8)
    let watch = fixture.watch
    for end in stride(from: 0, to: bytes.count, by: 3) {
      let body = Buffer(Array(bytes[..<end]))
      #expect(watch.finding(inBody: body, 0..<end, status: 403) == nil, "cut at \(end)")
    }
  }
}
