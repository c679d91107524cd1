import Crypto
import Foundation
import Testing

@testable import Gateway

@Suite struct PageTests {
  static let payloads = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg/onload=alert(1)>",
    "</style><script>x</script>",
    "</title><script>x</script>", "<!--", "&lt;b&gt;", "javascript:alert(1)", "\u{0}<b>", "<\u{200B}script>",
  ]

  static func account(_ text: String) -> String {
    Pages.account(
      Pages.Account(
        name: text, username: text, issuer: text, signedInAt: text, endsAt: text,
        grants: [(route: text, scopes: [text, text]), (route: text, scopes: [])],
        given: [Pages.Account.Given(key: text, server: text, scopes: [text], tool: text, at: text)],
        notice: text))
  }

  static func consent(_ text: String) -> String {
    ConsentPage(
      server: text, tool: text, scopes: [text], isStepUp: false, isWhole: false, user: text, provider: text,
      upstreamLink: text, action: text
    ).html
  }

  /// The tags of a page, in order, with their attributes.
  static func tags(_ page: String) -> [String] {
    page.components(separatedBy: "<").dropFirst().map { String($0.prefix { $0 != ">" }) }
  }

  @Test(arguments: payloads) func `nothing from outside becomes markup`(payload: String) {
    let pages: [(String) -> String] = [
      Self.account, Self.consent, { Pages.signedOut(notice: $0) },
      { Pages.problem(title: $0, explanation: $0, requestID: $0, action: (label: $0, href: "/x?y=" + $0)) },
    ]
    for page in pages {
      // The same tags with the same attributes' names as with harmless text.
      let (harmless, hostile) = (Self.tags(page("plain")), Self.tags(page(payload)))
      #expect(harmless.map { $0.prefix { $0 != " " } } == hostile.map { $0.prefix { $0 != " " } })
      #expect(!page(payload).contains(payload) || !payload.contains { "<>\"'&".contains($0) })
      #expect(
        !hostile.contains {
          $0.lowercased().hasPrefix("script") || $0.contains("onerror=") && !$0.contains("&")
        })
    }
  }

  @Test(
    arguments: [
      ("", ""), ("plain", "plain"), ("<>&\"'", "&lt;&gt;&amp;&quot;&#39;"), ("&amp;", "&amp;amp;"),
      ("é\u{1F511}", "é\u{1F511}"),
      ("a\u{301}<", "a\u{301}&lt;"), ("<\u{301}", "&lt;\u{301}"),
    ]) func `the five characters are escaped and no others`(text: String, expected: String)
  {
    #expect(Array(HTML.escape(text).unicodeScalars) == Array(expected.unicodeScalars))
    let html: HTML = "<p title=\"\(text)\">\(text)</p>"
    #expect(html.markup == "<p title=\"\(expected)\">\(expected)</p>")
  }

  @Test func `markup goes in as it is only where it is markup already`() {
    let bold: HTML = "<b>\("<")</b>"
    let page: HTML = "<p>\(bold)\(3)</p>"
    #expect(page.markup == "<p><b>&lt;</b>3</p>")
    #expect((bold + bold).markup == HTML.joined([bold, bold]).markup)
  }

  static var pages: [String] {
    [
      account("x"), Pages.signedOut(notice: nil), Pages.signedOut(notice: "Bye"),
      Pages.problem(title: "t", explanation: "e", requestID: "abc", action: nil),
      Pages.problem(
        title: "t", explanation: "e", requestID: "abc", action: (label: "Sign in", href: "/auth/login")),
    ]
  }

  @Test(arguments: pages) func `the policy allows exactly the style that is on the page`(page: String) throws
  {
    let style = try #require(
      page.components(separatedBy: "<style>").dropFirst().first?.components(separatedBy: "</style>").first)
    #expect(page.components(separatedBy: "<style").count == 2)
    let digest = Data(SHA256.hash(data: Data(style.utf8))).base64EncodedString()
    let policy = try #require(
      SecurityFields.page(formTargets: []).first { $0.name == "Content-Security-Policy" }?.value)
    #expect(policy.contains("style-src 'sha256-\(digest)'"))
  }

  @Test(arguments: pages) func `a page is whole, readable without script and loads nothing`(page: String) {
    let tags = Self.tags(page)
    #expect(page.hasPrefix("<!doctype html><html lang=\"en\">"))
    #expect(page.hasSuffix("</html>"))
    #expect(tags.filter { $0.hasPrefix("h1") }.count == 1)
    #expect(tags.filter { $0.hasPrefix("main") }.count == 1)
    #expect(tags.filter { $0.hasPrefix("title") }.count == 1)
    for tag in tags {
      let name = tag.prefix { $0 != " " }
      #expect(!["script", "link", "img", "iframe", "object", "embed", "base"].contains(name))
      // The policy forbids inline styles and handlers.
      #expect(!tag.contains(" style=") && !tag.contains(" on"))
    }
  }

  @Test func `an error page names the request`() {
    #expect(Pages.problem(title: "t", explanation: "e", requestID: "00ff").contains("<code>00ff</code>"))
  }

  @Test func `pages are stored, framed and sniffed by nobody`() throws {
    let fields = OwnResponse.page(200, "x").fields
    func value(_ name: String) -> String? { fields.first { $0.name == name }?.value }
    #expect(value("Cache-Control") == "no-store")
    #expect(value("X-Content-Type-Options") == "nosniff")
    #expect(value("X-Frame-Options") == "DENY")
    #expect(value("Content-Type") == "text/html; charset=utf-8")
    let policy = try #require(value("Content-Security-Policy"))
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
      #expect(policy.contains(part))
    }
    #expect(!policy.contains("unsafe"))
    let wide = OwnResponse.page(200, "x", formTargets: ["https://idp.test"]).fields
    #expect(
      wide.first { $0.name == "Content-Security-Policy" }?.value.contains(
        "form-action 'self' https://idp.test") == true)
  }

  @Test func `a form on a page is sent with its origin`() {
    // With `no-referrer` a browser sends `Origin: null` along with a POST (Fetch standard, append a request `Origin` field),
    // and the sign-out button would be refused.
    let policy = OwnResponse.page(200, "x").fields.filter { $0.name == "Referrer-Policy" }.map(\.value)
    #expect(policy == ["same-origin"])
  }

  @Test func `a redirect becomes a GET that nobody stores`() {
    let response = OwnResponse.seeOther("/x").adding("Set-Cookie", "a").adding("Set-Cookie", "b")
    #expect(response.status == 303)
    #expect(response.fields.first { $0.name == "Location" }?.value == "/x")
    #expect(response.fields.first { $0.name == "Cache-Control" }?.value == "no-store")
    #expect(response.fields.filter { $0.name == "Set-Cookie" }.map(\.value) == ["a", "b"])
  }
}
