import Basics
import HTTP
import Testing

@testable import Gateway

@Suite struct AnswerRewriteTests {
  static func write(
    _ line: String = "HTTP/1.1 200 OK", _ fields: [String] = [], route: Route? = nil,
    crossOrigin: String = "",
    isEventStream: Bool = false, dropsContentCoding: Bool = false, dropsMCPSessionID: Bool = false,
    strictTransport: Bool = false
  ) throws -> WrittenHead {
    let context = AnswerRewrite.Context(
      route: try route ?? makeRoute(), crossOrigin: Array(crossOrigin.utf8), isEventStream: isEventStream,
      dropsContentCoding: dropsContentCoding, dropsMCPSessionID: dropsMCPSessionID,
      cookies: CookieJar(
        isSecure: true, sessionName: "__Host-coatcheck", sameSite: .lax, attemptLifetime: .seconds(600)),
      variesByOrigin: false, strictTransport: strictTransport)
    return try withAnswer(line, fields) { head, buffer in
      var out = Buffer()
      AnswerRewrite.write(to: &out, head: head, input: buffer, context: context)
      return try WrittenHead(out)
    }
  }

  @Test(arguments: ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 202 Accepted", "HTTP/1.1 418 "])
  func `the status line passes`(line: String) throws {
    #expect(try Self.write(line).startLine == line)
  }

  @Test func `an answer in HTTP 1.0 is told in HTTP 1.1`() throws {
    #expect(try Self.write("HTTP/1.0 200 OK").startLine == "HTTP/1.1 200 OK")
  }

  @Test(
    arguments: [
      "Content-Type: application/json", "Mcp-Session-Id: 1868a90c", "MCP-Protocol-Version: 2025-11-25",
      "ETag: \"x\"",
      "Content-Encoding: gzip", "Retry-After: 5", "X-Custom: a", "Content-Disposition: attachment",
      "X-Accel-Buffering: yes",
    ]) func `what belongs to the answer passes`(line: String) throws
  {
    let colon = try #require(line.firstIndex(of: ":"))
    let head = try Self.write("HTTP/1.1 200 OK", [line])
    #expect(head.values(line[..<colon].lowercased()) == [line[line.index(after: colon)...].trimmingSpaces])
  }

  @Test(
    arguments: [
      "Set-Cookie: sid=upstream", "Set-Cookie2: a=b",
      "WWW-Authenticate: Bearer resource_metadata=\"https://u/x\"",
      "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Transfer-Encoding: chunked", "Trailer: x",
      "Upgrade: h2c",
      "Proxy-Authenticate: Basic", "Proxy-Authentication-Info: x", "Authorization: Bearer echoed",
      "Authentication-Info: nextnonce=x", "Cookie: echoed=1", "DPoP: x", "Server-Timing: token;desc=abc",
      "Date: Mon, 01 Jan 2024 00:00:00 GMT", "Strict-Transport-Security: max-age=0",
      "Access-Control-Allow-Origin: *",
      "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: *",
      "Access-Control-Allow-Methods: *",
      "Access-Control-Allow-Headers: *", "Access-Control-Max-Age: 1", "Clear-Site-Data: \"*\"",
    ]) func `what must not reach a browser is withheld`(line: String) throws
  {
    let colon = try #require(line.firstIndex(of: ":"))
    let name = line[..<colon].lowercased()
    let fields = name == "x-hop" ? ["Connection: x-HOP", line] : [line]
    for isBearer in [true, false] {
      let head = try Self.write(
        "HTTP/1.1 401 Unauthorized", fields, route: makeRoute(authorization: isBearer ? .bearer : .none))
      #expect(head.values(name).isEmpty)
    }
  }

  @Test func `cookies and challenges pass where the route says so`() throws {
    let route = try makeRoute(passResponseFields: ["Set-Cookie", "www-authenticate"])
    let head = try Self.write(
      "HTTP/1.1 401 Unauthorized",
      ["sEt-cOOkie: a=b", "Set-Cookie: c=d", "WWW-Authenticate: Basic", "Set-Cookie2: x=y"],
      route: route)
    #expect(head.values("set-cookie") == ["a=b", "c=d"])
    #expect(head.values("www-authenticate") == ["Basic"])
    #expect(head.values("set-cookie2").isEmpty)
  }

  @Test(
    arguments: [
      "Cache-Control: public, max-age=600", "Expires: Mon, 01 Jan 2044 00:00:00 GMT", "Pragma: cache",
      "Age: 3",
    ])
  func `an answer made with a user's token is stored by nobody`(line: String) throws {
    let head = try Self.write("HTTP/1.1 200 OK", [line, "Vary: Accept"])
    #expect(head.values("cache-control") == ["no-store"])
    #expect(head.values("expires").isEmpty && head.values("pragma").isEmpty && head.values("age").isEmpty)
    #expect(head.values("vary").joined(separator: ", ") == "Accept, Cookie, Origin")
  }

  @Test func `caching of an answer without a token is the upstream's to say`() throws {
    let head = try Self.write(
      "HTTP/1.1 200 OK", ["Cache-Control: max-age=5", "Age: 1"],
      route: makeRoute(authorization: .none, needsSession: false, isMCP: false, slot: nil))
    #expect(head.values("cache-control") == ["max-age=5"])
    #expect(head.values("age") == ["1"])
  }

  @Test func `an event stream is neither stored nor changed nor held back`() throws {
    let head = try Self.write(
      "HTTP/1.1 200 OK", ["Cache-Control: no-cache", "X-Accel-Buffering: yes", "Content-Encoding: gzip"],
      isEventStream: true, dropsContentCoding: true)
    #expect(head.values("cache-control") == ["no-store, no-transform"])
    #expect(head.values("x-accel-buffering") == ["no"])
    #expect(head.values("content-encoding").isEmpty)
  }

  @Test(arguments: [(true, []), (false, ["abc"])] as [(Bool, [String])])
  func `a session id reaches only clients whose protocol has sessions`(drops: Bool, expected: [String]) throws
  {
    let head = try Self.write("HTTP/1.1 200 OK", ["Mcp-Session-Id: abc"], dropsMCPSessionID: drops)
    #expect(head.values("mcp-session-id") == expected)
  }

  @Test func `our own fields are there once`() throws {
    let head = try Self.write(
      "HTTP/1.1 200 OK",
      ["X-Content-Type-Options: nosniff", "Access-Control-Allow-Origin: https://evil.test"],
      crossOrigin: "Access-Control-Allow-Origin: https://app.test\r\n", strictTransport: true)
    #expect(head.values("x-content-type-options") == ["nosniff"])
    #expect(head.values("access-control-allow-origin") == ["https://app.test"])
    #expect(head.values("strict-transport-security") == ["max-age=31536000"])
    #expect(try Self.write().values("x-content-type-options") == ["nosniff"])
    #expect(try Self.write().values("strict-transport-security").isEmpty)
  }
}

@Suite struct CrossOriginTests {
  static let policy = CrossOrigin(allowed: ["https://app.test", "http://localhost:5173"])

  static func head(_ lines: [UInt8]) throws -> WrittenHead {
    try WrittenHead(Buffer(Array("x\r\n".utf8) + lines))
  }

  @Test(arguments: [.absent, .own, .foreign, .allowed(2), .allowed(-1)] as [CallerEvidence.Origin])
  func `nobody but a listed origin gets an answer`(origin: CallerEvidence.Origin) {
    #expect(Self.policy.lines(for: origin).isEmpty)
    #expect(Self.policy.preflight(for: origin, requestedFields: "content-type").isEmpty)
  }

  @Test(arguments: [(0, "https://app.test"), (1, "http://localhost:5173")])
  func `a listed origin gets itself back and never a star`(index: Int, origin: String) throws {
    let lines = try Self.head(Self.policy.lines(for: .allowed(index)))
    let preflight = try Self.head(Self.policy.preflight(for: .allowed(index), requestedFields: ""))
    for head in [lines, preflight] {
      #expect(head.values("access-control-allow-origin") == [origin])
      #expect(head.values("access-control-allow-credentials") == ["true"])
      #expect(!head.fields.contains { $0.value.contains("*") })
    }
    let exposed = try #require(lines.values("access-control-expose-headers").first).lowercased()
    for name in [
      "mcp-session-id", "mcp-protocol-version", "www-authenticate", "last-event-id", "x-request-id",
    ] {
      #expect(exposed.components(separatedBy: ", ").contains(name))
    }
    #expect(preflight.values("access-control-allow-methods") == ["GET, POST, DELETE, OPTIONS"])
    #expect(preflight.values("vary") == ["Origin"])
  }

  @Test func `a preflight allows the fields of the transport`() throws {
    let head = try Self.head(Self.policy.preflight(for: .allowed(0), requestedFields: ""))
    let names = try #require(head.values("access-control-allow-headers").first).components(separatedBy: ", ")
    for name in [
      "content-type", "accept", "authorization", "mcp-session-id", "mcp-protocol-version", "mcp-method",
      "mcp-name",
      "last-event-id",
    ] { #expect(names.contains(name), "\(name)") }
  }

  @Test(
    arguments: [
      ("mcp-param-region", ["mcp-param-region"]),
      ("Mcp-Param-A,MCP-PARAM-B", ["mcp-param-a", "mcp-param-b"]),
      ("content-type, mcp-param-x ,\tx-evil", ["mcp-param-x"]), ("x-evil", []), ("mcp-param-a:b", []),
      ("mcp-param-a\u{E9}", []), ("mcp-param-a;b, mcp-param-\"", []), (", ,,", []), ("xmcp-param-a", []),
    ] as [(String, [String])])
  func `a preflight allows requested parameter fields and nothing else`(requested: String, extra: [String])
    throws
  {
    let plain = try Self.head(Self.policy.preflight(for: .allowed(0), requestedFields: ""))
    let head = try Self.head(Self.policy.preflight(for: .allowed(0), requestedFields: requested))
    let base = try #require(plain.values("access-control-allow-headers").first)
    #expect(head.values("access-control-allow-headers") == [([base] + extra).joined(separator: ", ")])
  }

  @Test func `a preflight's echo is bounded and cannot break the line`() throws {
    let many = (0..<500).map { "mcp-param-\($0)" }.joined(separator: ",")
    let head = try Self.head(Self.policy.preflight(for: .allowed(0), requestedFields: many))
    let names = try #require(head.values("access-control-allow-headers").first).components(separatedBy: ", ")
    #expect(names.filter { $0.hasPrefix("mcp-param-") }.count == 32)
    let broken = try Self.head(
      Self.policy.preflight(for: .allowed(0), requestedFields: "mcp-param-a\r\nX-Evil: 1"))
    #expect(!broken.names.contains("x-evil"))
  }
}
