import Basics
import HTTP
import Testing

@testable import Gateway

@Suite struct UpstreamRequestTests {
  /// The head that an upstream gets.
  static func write(
    _ line: String = "POST /mcp HTTP/1.1", _ fields: [String] = [], route: Route? = nil,
    target: String? = nil,
    token: String? = "ours", forwarding: String = ""
  ) throws -> WrittenHead {
    let route = try route ?? makeRoute()
    return try withRequest(line, fields) { head, buffer in
      guard let (_, rest) = RouteTable([route]).match(buffer, head.path) else {
        throw HTTPError(404, "no route")
      }
      var out = Buffer()
      UpstreamRequest.write(
        to: &out, head: head, input: buffer, route: route,
        additions: UpstreamRequest.Additions(
          token: token.map { Secret($0) }, forwarding: Array(forwarding.utf8), requestID: 0xABC,
          pathRest: rest, target: target, dropsMCPSessionID: false))
      return try WrittenHead(out)
    }
  }

  @Test(
    arguments: [
      "Accept: application/json, text/event-stream", "Accept-Language: de", "User-Agent: test/1.0",
      "Content-Type: application/json; charset=utf-8", "Mcp-Session-Id: 1868a90c",
      "MCP-Protocol-Version: 2025-11-25",
      "Mcp-Method: tools/call", "Mcp-Name: =?base64?w6k=?=", "Last-Event-ID: 42", "traceparent: 00-aa-bb-01",
      "tracestate: a=b", "X-Custom-Thing: a, b; c=\"d\"", "If-None-Match: \"x\"", "Range: bytes=0-1",
      "Prefer: wait=1",
    ]) func `what belongs to the message passes unchanged and once`(line: String) throws
  {
    let head = try Self.write("POST /mcp HTTP/1.1", [line])
    let colon = try #require(line.firstIndex(of: ":"))
    #expect(head.values(line[..<colon].lowercased()) == [line[line.index(after: colon)...].trimmingSpaces])
  }

  @Test(
    arguments: [
      "Authorization: Bearer attacker", "authorization: Basic x", "Cookie: __Host-coatcheck=secret",

      "Set-Cookie: a=b", "DPoP: eyJ", "Proxy-Authorization: Basic x", "Proxy-Authenticate: Basic",
      "Proxy-Connection: close",
      "Forwarded: for=6.6.6.6;host=evil", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil",
      "X-Forwarded-Proto: http",
      "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil", "X-Forwarded-Server: evil",
      "X-Forwarded-User: admin",
      "X-Forwarded-Email: a@b", "X-Forwarded-Groups: admin", "X-Forwarded-Access-Token: t",
      "X-Forwarded-Something: x",
      "X-Forwarded-Preferred-Username: admin", "X-Forwarded-Client-Cert: x", "X-Real-IP: 6.6.6.6",
      "True-Client-IP: 6.6.6.6",
      "CF-Connecting-IP: 6.6.6.6", "X-Client-IP: 6.6.6.6", "Via: 1.1 evil", "Remote-User: admin",
      "X-Remote-User: admin",
      "X-User: admin", "X-Email: a@b", "X-Auth-Request-User: admin", "X-Auth-Request-Email: a@b",
      "X-MS-CLIENT-PRINCIPAL: e30=", "X-MS-CLIENT-PRINCIPAL-NAME: admin", "X-MS-TOKEN-AAD-ACCESS-TOKEN: t",
      "X-Goog-IAP-JWT-Assertion: j", "Cf-Access-Jwt-Assertion: j", "X-WebAuth-User: admin",
      "X-SSL-Client-Cert: x",
      "Client-Cert: :AA==:", "X-Access-Token: t", "X-Id-Token: t", "X-HTTP-Method-Override: DELETE",
      "X-HTTP-Method: DELETE",
      "X-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-Host: evil",
      "X-Original-Host: evil", "Proxy: http://evil", "Client-IP: 6.6.6.6", "Fastly-Client-IP: 6.6.6.6",
      "X-Original-Forwarded-For: 6.6.6.6", "Remote_User: admin", "X_Forwarded_For: 6.6.6.6",
      "Origin: https://proxy.test", "Referer: https://proxy.test/secret?code=1",
      "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-User: ?1",
      "X-Request-ID: forged", "Connection: keep-alive", "Keep-Alive: timeout=5", "TE: trailers", "Trailer: X",
      "Upgrade: websocket", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x",
      "HTTP2-Settings: AAA", "Content-Length: 0", "Expect: 100-continue",
    ]) func `what a client must not say to an upstream never passes`(line: String) throws
  {
    let colon = try #require(line.firstIndex(of: ":"))
    let (name, value) = (line[..<colon].lowercased(), line[line.index(after: colon)...].trimmingSpaces)
    for spelling in [line, name.uppercased() + ":" + value] {
      let head = try Self.write("POST /mcp HTTP/1.1", [spelling])
      #expect(!head.values(name).contains(value), "\(spelling)")
      if name != "authorization", name != "via", name != "x-request-id" { #expect(head.values(name).isEmpty) }
    }
  }

  @Test func `the token is ours and there once however often the client sends one`() throws {
    let head = try Self.write(
      "POST /mcp HTTP/1.1", ["Authorization: Bearer a", "AUTHORIZATION: Bearer b", "authorization: Basic x"])
    #expect(head.values("authorization") == ["Bearer ours"])
    #expect(
      try Self.write("POST /mcp HTTP/1.1", ["Authorization: Bearer a"], token: nil).values(
        "authorization"
      ).isEmpty)
  }

  @Test func `fields that Connection names do not pass`() throws {
    let head = try Self.write(
      "POST /mcp HTTP/1.1",
      ["Connection: X-Hop, close, x-other", "X-Hop: 1", "x-OTHER: 2", "X-Kept: 3", "X-Hop: 4"])
    #expect(head.values("x-hop").isEmpty)
    #expect(head.values("x-other").isEmpty)
    #expect(head.values("x-kept") == ["3"])
  }

  @Test func `host is the upstream's and there exactly once`() throws {
    let head = try Self.write("POST /mcp HTTP/1.1", route: makeRoute(to: "https://mcp.test:8443/a"))
    #expect(head.values("host") == ["mcp.test:8443"])
    #expect(head.values("via") == ["1.1 coatcheck"])
    #expect(head.values("x-request-id") == ["abc"] || head.values("x-request-id") == ["0000000000000abc"])
  }

  @Test func `a parameter field passes unchanged and once`() throws {
    let head = try Self.write(
      "POST /mcp HTTP/1.1", ["Mcp-Param-Region: eu  west", "mCp-PaRaM-x: =?base64?w6k=?="])
    #expect(head.values("mcp-param-region") == ["eu  west"])
    #expect(head.values("mcp-param-x") == ["=?base64?w6k=?="])
  }

  @Test func `forwarding fields are the ones handed in`() throws {
    let head = try Self.write(
      "POST /mcp HTTP/1.1", ["X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6"],
      forwarding: "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n")
    #expect(head.values("x-forwarded-for") == ["192.0.2.1"])
    #expect(head.values("forwarded") == ["for=192.0.2.1"])
  }

  @Test func `nothing a head can carry makes a second line`() throws {
    // What could end a line never survives the parser: the request is refused as a whole.
    for value in ["a\rX-Evil: 1", "a\nX-Evil: 1", "a\u{0}b"] {
      #expect(throws: HTTPError.self) { try Self.write("POST /mcp HTTP/1.1", ["X-Custom: \(value)"]) }
      #expect(throws: HTTPError.self) { try Self.write("POST /mcp HTTP/1.1", ["Mcp-Session-Id: \(value)"]) }
    }
    #expect(throws: HTTPError.self) { try Self.write("POST /mcp?a=\rX HTTP/1.1") }
    let escaped = try Self.write("POST /mcp/%0d%0aX-Evil:%201?q=%0d%0aY:%201 HTTP/1.1")
    #expect(escaped.startLine == "POST /mcp/%0d%0aX-Evil:%201?q=%0d%0aY:%201 HTTP/1.1")
    #expect(!escaped.names.contains("x-evil"))
  }

  @Test(
    arguments: [
      ("/mcp", "http://u:1/mcp", "/mcp", "/mcp"), ("/mcp", "http://u:1/mcp", "/mcp/", "/mcp/"),
      ("/mcp", "http://u:1/mcp", "/mcp/a/b", "/mcp/a/b"), ("/mcp", "http://u:1/", "/mcp", "/"),
      ("/mcp", "http://u:1", "/mcp", "/"), ("/mcp", "http://u:1/", "/mcp/", "/"),
      ("/mcp", "http://u:1/", "/mcp/a", "/a"),
      ("/mcp", "http://u:1/x/y", "/mcp/a", "/x/y/a"), ("/mcp", "http://u:1/x/", "/mcp/a", "/x/a"),
      ("/", "http://u:1/", "/", "/"), ("/", "http://u:1/", "/a", "/a"),
      ("/", "http://u:1/base", "/a/", "/base/a/"),
      ("/", "http://u:1/base", "/", "/base/"), ("/a/b", "http://u:1/c", "/a/b/d", "/c/d"),
      ("/mcp", "http://u:1/mcp", "/mcp?x=1&y=%20", "/mcp?x=1&y=%20"),
      ("/mcp", "http://u:1/mcp", "/mcp?", "/mcp?"),
      ("/mcp", "http://u:1/", "/mcp?a=/../b", "/?a=/../b"), ("/mcp", "http://u:1/x", "/%6dcp/%41", "/x/%41"),
    ])
  func `the prefix is replaced and the rest of the target kept`(
    path: String, upstream: String, target: String, expected: String
  ) throws {
    let head = try Self.write("GET \(target) HTTP/1.1", route: makeRoute(path, to: upstream))
    #expect(head.startLine == "GET \(expected) HTTP/1.1")
  }

  @Test func `an absolute target loses its origin`() throws {
    let head = try Self.write("GET http://proxy.test/mcp/a?b HTTP/1.1")
    #expect(head.startLine == "GET /mcp/a?b HTTP/1.1")
    #expect(head.values("host") == ["127.0.0.1:3000"])
  }

  @Test func `a redirect's target stands instead of the request's`() throws {
    #expect(try Self.write("POST /mcp?a=b HTTP/1.1", target: "/mcp/?c").startLine == "POST /mcp/?c HTTP/1.1")
  }

  @Test(
    arguments: [
      ([], []), (["theme"], ["theme=dark"]), (["theme", "lang"], ["theme=dark; lang=de"]), (["Theme"], []),
      (["them"], []), (["theme", "__Host-coatchec"], ["theme=dark"]),
    ] as [([String], [String])])
  func `cookies pass by exact name only`(names: [String], expected: [String]) throws {
    let head = try Self.write(
      "POST /mcp HTTP/1.1",
      ["Cookie: theme=dark; __Host-coatcheck=s3cret; x=1", "Cookie: lang=de; __Host-coatcheck=s3cret"],
      route: makeRoute(passCookies: names))
    #expect(head.values("cookie") == expected)
    #expect(!head.fields.contains { $0.value.contains("s3cret") })
  }
}
