import Consent
import JSON
import Testing

@Suite struct `The next authorization request` {
  private let need = ConsentNeed(
    .consent, source: .challenge, code: "insufficient_scope", scopes: ["files", "use"])

  @Test func `asks for the union, nothing twice, in a stable order`() {
    let additions = AuthorizationAdditions(
      for: need, signIn: ["openid", "profile", "offline_access"], granted: ["use", "mail"], requested: ["use"]
    )
    #expect(additions.scopes == ["openid", "profile", "offline_access", "use", "mail", "files"])
    #expect(
      additions.claims == nil && additions.maxAge == nil
        && additions.acrValues == [])
  }

  @Test func `carries context and age`() {
    let stepUp = ConsentNeed(.stepUp, source: .challenge, code: "", acrValues: ["phr", "mfa"], maxAge: 0)
    let additions = AuthorizationAdditions(for: stepUp, signIn: ["openid"], granted: [], requested: [])
    #expect(additions.acrValues == ["phr", "mfa"] && additions.maxAge == 0)
  }
}

@Suite struct `Scopes` {
  @Test(arguments: [
    ("a b", ["a", "b"]), ("a,b", ["a", "b"]), (" a  b a ", ["a", "b"]), ("", []), (",,", []),
    (
      "api://x/files.write https://r.example/.default", ["api://x/files.write", "https://r.example/.default"]
    ),
    ("a\"b c", ["c"]), ("é ok", ["ok"]), ("a\\b", []), ("a\u{0}b c", ["c"]),
  ])
  func `are read from text`(text: String, expected: [String]) { #expect(ScopeList.parse(text) == expected) }

  @Test func `that are missing keep their order and their case`() {
    #expect(ScopeList.missing(["b", "A", "a", "b"], from: ["a"]) == ["b", "A"])
    // A provider may leave the resource out in its answer; the other way round it is another one's scope.
    #expect(ScopeList.missing(["api://x/a", "api://x/b"], from: ["a"]) == ["api://x/b"])
    #expect(ScopeList.missing(["a"], from: ["api://x/a"]) == ["a"])
  }

  @Test func `are bounded in number and length`() {
    #expect(ScopeList.union((0..<500).map { "s\($0)" }).count == ScopeList.maxScopes)
    #expect(ScopeList.union([String(repeating: "x", count: ScopeList.maxScopeBytes + 1)]).isEmpty)
  }
}

@Suite struct `The answer` {
  @Test(arguments: ["7", #""7""#, "null"])
  func `to nobody has its fixed shape`(id: String) throws {
    let body = try JSONValue.parse(
      ConsentAnswer.loginRequired(id: Array(id.utf8), loginURL: "/auth/login?return_to=%2F"))
    #expect(try body["id"] == JSONValue.parse(id))
    #expect(body["jsonrpc"] == "2.0")
    #expect(body["error"]?["data"]?["reason"] == "login_required")
    #expect(body["error"]?["data"]?["login_url"] == "/auth/login?return_to=%2F")
    #expect(body["error"]?["message"]?.string?.isEmpty == false)
  }

  @Test func `to one who has to consent has its fixed shape`() throws {
    let bytes = ConsentAnswer.consentRequired(
      id: Array("41".utf8), scopes: ["mcp.use", "files.read"], interactionURL: "/auth/continue?i=x")
    let body = try JSONValue.parse(bytes)
    #expect(body["id"] == 41)
    #expect(body["error"]?["data"]?["reason"] == "consent_required")
    #expect(body["error"]?["data"]?["scopes"]?.strings == ["mcp.use", "files.read"])
    #expect(body["error"]?["data"]?["interaction_url"] == "/auth/continue?i=x")
    #expect(body["error"]?["message"]?.string?.contains("files.read") == true)
  }

  @Test func `to one who consented in vain says what is still wanted`() throws {
    let body = try JSONValue.parse(ConsentAnswer.consentFailed(id: [], scopes: ["a"]))
    #expect(body["id"] == .null && body["error"]?["data"]?["reason"] == "consent_failed")
    #expect(body["error"]?["data"]?["scopes"]?.strings == ["a"])
  }

  @Test(arguments: [
    ConsentAnswer.loginRequiredCode, ConsentAnswer.consentRequiredCode, ConsentAnswer.consentFailedCode,
  ])
  func `has a code outside the reserved range`(code: Int) { #expect(code > 0) }

  @Test func `as an event is one line of data`() {
    let event = ConsentAnswer.event(
      ConsentAnswer.consentRequired(id: [], scopes: [], interactionURL: "/a\n\nb"))
    let text = String(decoding: event, as: UTF8.self)
    #expect(text.hasPrefix("event: message\ndata: {") && text.hasSuffix("}\n\n"))
    #expect(text.split(separator: "\n").count == 2)
  }

  @Test func `is no demand in the eyes of the watch by its words alone`() {
    let text = String(decoding: ConsentAnswer.loginRequired(id: [], loginURL: "/auth/login"), as: UTF8.self)
    #expect(watch.finding(body: text) == nil)
  }
}
