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
