import Basics
import HTTP
import Testing

@testable import Gateway

/// What a request must be taken for, by the fields it came with.
struct CallerCase: Sendable, CustomTestStringConvertible {
  var line = "GET / HTTP/1.1"
  var fields: [String]
  var isNavigation: Bool
  var isDeclared = false
  var testDescription: String { "\(line) \(fields)" }
}

@Suite struct CallerEvidenceTests {
  static let policy = OriginPolicy(
    own: "https://proxy.test", allowed: ["https://app.test", "http://localhost:5173"])

  static func evidence(_ line: String = "GET / HTTP/1.1", _ fields: [String]) throws -> CallerEvidence {
    try withRequest(line, fields) { CallerEvidence($0, $1, policy: policy) }
  }

  static let html = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
  static let streamable = "Accept: application/json, text/event-stream"

  @Test(
    arguments: [
      // A browser says so itself.
      CallerCase(fields: ["Sec-Fetch-Mode: navigate", html], isNavigation: true, isDeclared: true),
      CallerCase(fields: ["Sec-Fetch-Mode: navigate"], isNavigation: true, isDeclared: true),
      CallerCase(fields: ["Sec-Fetch-Mode: navigate", "Accept: */*"], isNavigation: true, isDeclared: true),
      CallerCase(
        line: "HEAD / HTTP/1.1", fields: ["Sec-Fetch-Mode: navigate"], isNavigation: true, isDeclared: true),
      CallerCase(fields: ["Sec-Fetch-Mode: cors", html], isNavigation: false),
      CallerCase(fields: ["Sec-Fetch-Mode: no-cors", html], isNavigation: false),
      CallerCase(fields: ["Sec-Fetch-Mode: same-origin", html], isNavigation: false),
      CallerCase(fields: ["Sec-Fetch-Mode: websocket"], isNavigation: false),
      CallerCase(fields: ["Sec-Fetch-Mode: NAVIGATE", html], isNavigation: false),
      CallerCase(fields: ["Sec-Fetch-Mode: navigate, cors", html], isNavigation: false),
      // Older browsers and programs: only what asks for HTML by name.
      CallerCase(fields: [html], isNavigation: true),
      CallerCase(line: "HEAD / HTTP/1.1", fields: [html], isNavigation: true),
      CallerCase(fields: ["Accept: */*"], isNavigation: false),
      CallerCase(fields: [], isNavigation: false),
      CallerCase(fields: [streamable], isNavigation: false),
      CallerCase(fields: ["Accept: text/event-stream"], isNavigation: false),
      CallerCase(fields: ["Accept: application/json"], isNavigation: false),
      // What looks like a page but is a script, a message or a change.
      CallerCase(fields: [html, "X-Requested-With: XMLHttpRequest"], isNavigation: false),
      CallerCase(fields: [html, "x-requested-with: xmlhttprequest"], isNavigation: false),
      CallerCase(
        fields: ["Sec-Fetch-Mode: navigate", "X-Requested-With: XMLHttpRequest"], isNavigation: false),
      CallerCase(fields: [html, "X-Requested-With: com.example.app"], isNavigation: true),
      CallerCase(fields: [html, "Content-Type: application/json"], isNavigation: false),
      CallerCase(
        fields: ["Sec-Fetch-Mode: navigate", "Content-Type: application/json"], isNavigation: false),
      CallerCase(line: "POST / HTTP/1.1", fields: [html], isNavigation: false),
      CallerCase(line: "POST / HTTP/1.1", fields: ["Sec-Fetch-Mode: navigate", html], isNavigation: false),
      CallerCase(line: "DELETE / HTTP/1.1", fields: ["Sec-Fetch-Mode: navigate"], isNavigation: false),
      CallerCase(
        line: "PROPFIND / HTTP/1.1", fields: ["Sec-Fetch-Mode: navigate", html], isNavigation: false),
    ]) func `a page that is opened is told from a script`(_ example: CallerCase) throws
  {
    let evidence = try Self.evidence(example.line, example.fields)
    #expect(evidence.isNavigation == example.isNavigation)
    #expect(evidence.isDeclaredNavigation == example.isDeclared)
  }

  @Test(
    arguments: [
      ([], .absent), (["Origin: https://proxy.test"], .own), (["Origin: https://app.test"], .allowed(0)),
      (["Origin: http://localhost:5173"], .allowed(1)),
      // Compared byte for byte: nothing is normalised into being allowed.
      (["Origin: https://PROXY.test"], .foreign), (["Origin: https://proxy.test/"], .foreign),
      (["Origin: https://proxy.test:443"], .foreign), (["Origin: http://proxy.test"], .foreign),
      (["Origin: https://proxy.test.evil.test"], .foreign), (["Origin: https://sub.app.test"], .foreign),
      (["Origin: https://evil.test#https://app.test"], .foreign), (["Origin: null"], .hidden),
      (["Origin:"], .foreign), (["Origin: http://localhost:51730"], .foreign),
      (["Origin: https://app.test", "Origin: https://app.test"], .foreign),
      (["Origin: https://proxy.test, https://evil.test"], .foreign),
    ] as [([String], CallerEvidence.Origin)])
  func `an origin is the own one, a listed one, or foreign`(fields: [String], expected: CallerEvidence.Origin)
    throws
  {
    #expect(try Self.evidence("POST / HTTP/1.1", fields).origin == expected)
  }

  @Test(
    arguments: [
      ([], .absent), (["Sec-Fetch-Site: same-origin"], .sameOrigin),
      (["Sec-Fetch-Site: same-site"], .sameSite),
      (["Sec-Fetch-Site: cross-site"], .crossSite), (["Sec-Fetch-Site: none"], .none),
      (["Sec-Fetch-Site: Same-Origin"], .unknown), (["Sec-Fetch-Site:"], .unknown),
      (["Sec-Fetch-Site: something-new"], .unknown),
      (["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin"], .unknown),
      (["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"], .unknown),
    ] as [([String], CallerEvidence.FetchSite)])
  func `the site a request was made from is read as it is written`(
    fields: [String], expected: CallerEvidence.FetchSite
  ) throws {
    #expect(try Self.evidence("POST / HTTP/1.1", fields).site == expected)
  }

  @Test(
    arguments: [
      ([], .absent), (["Content-Type: application/json"], .json), (["Content-Type: Application/JSON"], .json),
      (["Content-Type: application/json; charset=utf-8"], .json),
      (["Content-Type: application/json;x"], .json),
      (["Content-Type: application/json ; charset=utf-8"], .json),
      // A page can send these three without a preflight, so none may pass for JSON.
      (["Content-Type: text/plain"], .other), (["Content-Type: application/x-www-form-urlencoded"], .other),
      (["Content-Type: multipart/form-data; boundary=application/json"], .other),
      (["Content-Type: text/plain; application/json"], .other),
      (["Content-Type: application/json-rpc"], .other),
      (["Content-Type: application/jsonp"], .other), (["Content-Type: application/json, text/plain"], .other),
      (["Content-Type: application/jso"], .other), (["Content-Type:"], .other),
    ] as [([String], CallerEvidence.Content)])
  func `only application json counts as JSON`(fields: [String], expected: CallerEvidence.Content) throws {
    #expect(try Self.evidence("POST / HTTP/1.1", fields).content == expected)
  }

  @Test(
    arguments: [
      ("GET", .get), ("HEAD", .head), ("POST", .post), ("DELETE", .delete), ("OPTIONS", .options),
      ("PUT", .other),
      ("PATCH", .other), ("get", .other), ("POSTS", .other),
    ] as [(String, CallerEvidence.Verb)])
  func `the verb is compared with case`(method: String, expected: CallerEvidence.Verb) throws {
    #expect(try Self.evidence("\(method) / HTTP/1.1", []).verb == expected)
  }
}
