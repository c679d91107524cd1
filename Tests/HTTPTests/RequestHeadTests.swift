import Basics
import Testing

@testable import HTTP

/// Feeds a head whole, split in two at every offset, and byte by byte; all three must agree.
private func parse(
  _ text: String, limits: HeadLimits = HeadLimits(), minor: Bool = true
) -> Result<[String], HTTPError> {
  func summary(_ head: borrowing RequestHead, _ buffer: borrowing Buffer) -> [String] {
    var lines = [
      "\(head.method)", buffer.string(head.methodRange), buffer.string(head.path),
      head.query.map { buffer.string($0) } ?? "-", buffer.string(head.authority), "\(head.minorVersion)",
      "\(head.framing)", "\(head.isKeepAlive)", "\(head.expectsContinue)", "\(head.byteCount)",
    ]
    for slot in head.fields {
      lines.append("\(slot.id)|\(buffer.string(slot.name))|\(buffer.string(slot.value))|\(slot.isHopByHop)")
    }
    return lines
  }
  func run(_ cuts: [Int]) -> Result<[String], HTTPError> {
    let bytes = Array(text.utf8)
    var buffer = Buffer()
    var head = RequestHead()
    var start = 0
    do throws(HTTPError) {
      for cut in cuts + [bytes.count] {
        buffer.append(bytes[start..<cut])
        start = cut
        if try head.parse(buffer, limits: limits) { break }
      }
      guard head.isComplete else { return .failure(HTTPError(0, "incomplete")) }
    } catch { return .failure(error) }
    return .success(summary(head, buffer))
  }
  let whole = run([])
  let count = text.utf8.count
  #expect(run(Array(0..<count)) == whole, "byte by byte")
  for cut in 0..<count { #expect(run([cut]) == whole, "split at \(cut)") }
  return whole
}

private func status(_ text: String, limits: HeadLimits = HeadLimits()) -> Int {
  switch parse(text, limits: limits) {
  case .success: 200
  case .failure(let error): error.status
  }
}

@Suite struct RequestHeadTests {
  @Test func `an MCP call is taken apart`() throws {
    let lines = try parse(
      """
      POST /mcp?x=1 HTTP/1.1\r\nHost: a.example:8443\r\nContent-Type:application/json \t\r\n\
      Content-Length: 100\r\nMcp-Session-Id: abc\r\nX-Other:\r\nmcp-param-region: eu\r\n\r\n
      """
    ).get()
    #expect(
      lines == [
        "post", "POST", "/mcp", "x=1", "a.example:8443", "1", "length(100)", "true", "false", "155",
        "host|Host|a.example:8443|false", "contentType|Content-Type|application/json|false",
        "contentLength|Content-Length|100|true", "mcpSessionID|Mcp-Session-Id|abc|false",
        "other|X-Other||false", "mcpParam|mcp-param-region|eu|false",
      ])
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "none", true),
    ("GET / HTTP/1.0\r\n\r\n", "none", false),
    ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "none", true),
    ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", "none", false),
    ("GET / HTTP/1.9\r\nHost: h\r\n\r\n", "none", true),
    ("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "none", true),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "length(0)", true),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n", "chunked", true),
  ]) func `framing and persistence follow RFC 9112`(text: String, framing: String, isKeepAlive: Bool) throws {
    let lines = try parse(text).get()
    #expect(lines[6] == framing)
    #expect(lines[7] == "\(isKeepAlive)")
  }

  @Test(arguments: [
    ("GET /a?b?c HTTP/1.1\r\nHost: h\r\n\r\n", "/a", "b?c", "h"),
    ("GET /? HTTP/1.1\r\nHost: h\r\n\r\n", "/", "", "h"),
    ("GET http://H.example/x HTTP/1.1\r\nHost: h.EXAMPLE\r\n\r\n", "/x", "-", "h.EXAMPLE"),
    ("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n", "/", "q", "h"),
    ("GET https://h HTTP/1.1\r\nHost: h\r\n\r\n", "/", "-", "h"),
    ("OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "*", "-", "[::1]:80"),
    ("GET /%7Euser/{x}|y HTTP/1.1\r\nHost: h\r\n\r\n", "/%7Euser/{x}|y", "-", "h"),
  ]) func `all target forms lead to a path`(text: String, path: String, query: String, authority: String)
    throws
  {
    let lines = try parse(text).get()
    #expect(lines[2] == path)
    #expect(lines[3] == query)
    #expect(lines[4] == authority)
  }

  @Test(arguments: [
    (400, "GET / HTTP/1.1\nHost: h\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\nA(b: c\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{0}b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{7F}b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h:0\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h:\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"),
    (400, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (400, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /\u{E9} HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    (400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /\r\n\r\n"),
    (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/11\r\nHost: a\r\n\r\n"),
    (400, "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    (400, "\u{16}\u{3}\u{1}\u{2}\u{0}"),
    (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (501, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    (501, "ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\n\r\n"),
  ]) func `an ambiguous or malformed head is refused`(expected: Int, text: String) {
    #expect(status(text) == expected)
  }

  @Test(arguments: [
    (400, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    (400, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    (400, "Content-Length: 5\r\nContent-Length: 5\r\n"),
    (400, "Content-Length: 5\r\nContent-Length: 6\r\n"),
    (400, "Content-Length: 5, 5\r\n"),
    (400, "Content-Length: +5\r\n"),
    (400, "Content-Length: -5\r\n"),
    (400, "Content-Length: 5 \u{B} \r\n"),
    (400, "Content-Length: 0x5\r\n"),
    (400, "Content-Length: \r\n"),
    (400, "Content-Length: 99999999999999999999\r\n"),
    (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    (501, "Transfer-Encoding: gzip, chunked\r\n"),
    (501, "Transfer-Encoding: chunked, chunked\r\n"),
    (501, "Transfer-Encoding: identity\r\n"),
    (501, "Transfer-Encoding: xchunked\r\n"),
    (501, "Transfer-Encoding: \"chunked\"\r\n"),
    (501, "Transfer-Encoding:\r\n"),
    (400, "Transfer-Encoding : chunked\r\n"),
    (400, "Transfer-Encoding\u{0}: chunked\r\n"),
  ]) func `framing that could smuggle a request is refused`(expected: Int, fields: String) {
    #expect(status("POST / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n") == expected)
  }

  @Test func `Transfer-Encoding in HTTP 1 0 is refused`() {
    #expect(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400)
  }

  @Test func `limits are answered with their own status`() {
    let limits = HeadLimits(headBytes: 200, fieldCount: 3, targetBytes: 40)
    let fields = "Host: h\r\nA: 1\r\nB: 2\r\n"
    #expect(status("GET / HTTP/1.1\r\n\(fields)\r\n", limits: limits) == 200)
    #expect(status("GET / HTTP/1.1\r\n\(fields)C: 3\r\n\r\n", limits: limits) == 431)
    #expect(
      status("GET / HTTP/1.1\r\nHost: \(String(repeating: "h", count: 200))\r\n\r\n", limits: limits) == 431)
    #expect(
      status("GET /\(String(repeating: "a", count: 40)) HTTP/1.1\r\n\(fields)\r\n", limits: limits) == 414)
    #expect(status("GET /\(String(repeating: "a", count: 300))", limits: limits) == 414)
    #expect(
      status("GET / HTTP/1.1\r\nHost: h\r\nX: \(String(repeating: "a", count: 300))", limits: limits) == 431)
  }

  @Test func `a field that Connection names does not pass`() throws {
    let lines = try parse(
      "GET / HTTP/1.1\r\nHost: h\r\nX-Drop: 1\r\nConnection: x-drop , Upgrade\r\nX-Keep: 2\r\nupgrade: h2c\r\n\r\n"
    ).get()
    #expect(lines[11] == "other|X-Drop|1|true")
    #expect(lines[13] == "other|X-Keep|2|false")
    #expect(lines[14] == "upgrade|upgrade|h2c|true")
  }

  @Test func `an expectation counts only with a body`() throws {
    let fields = "Host: h\r\nExpect: 100-Continue\r\n"
    #expect(try parse("POST / HTTP/1.1\r\n\(fields)Content-Length: 3\r\n\r\n").get()[8] == "true")
    #expect(try parse("POST / HTTP/1.1\r\n\(fields)\r\n").get()[8] == "false")
  }

  @Test func `a reused head starts afresh`() throws {
    var buffer = Buffer("POST /a?b HTTP/1.0\r\nConnection: close, x\r\nContent-Length: 3\r\nX: 1\r\n\r\n")
    var head = RequestHead()
    let isFirstComplete = try head.parse(buffer, limits: HeadLimits())
    #expect(isFirstComplete)
    buffer.removeAll()
    buffer.append("GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\nrest" as StaticString)
    head.reset()
    let isSecondComplete = try head.parse(buffer, limits: HeadLimits())
    #expect(isSecondComplete)
    #expect(head.framing == .none && head.isKeepAlive && head.query == nil && head.minorVersion == 1)
    #expect(head.fields.allSatisfy { !$0.isHopByHop })
    let headCount = buffer.count - 4
    #expect(head.byteCount == headCount)
    #expect(!head.contains(.contentLength) && head.count(of: .host) == 1 && head.only(.host) != nil)
  }
}

@Suite struct FieldIDTests {
  @Test func `every name is found in any case and again as itself`() {
    for id in FieldID.allCases where id.name.utf8CodeUnitCount > 0 {
      for text in [id.name.description, id.name.description.uppercased(), id.name.description.lowercased()] {
        let buffer = Buffer(text)
        let found = FieldID.lookup(buffer, 0..<buffer.count)
        #expect(found == id, "\(text)")
      }
    }
  }

  @Test func `ids fit the presence bits`() {
    #expect(FieldID.allCases.count <= 128)
  }

  @Test(arguments: [
    ("X-MS-CLIENT-PRINCIPAL-NAME", FieldID.identityAssertion),
    ("x-ms-token-aad-access-token", .identityAssertion),
    ("Remote-User", .identityAssertion), ("X-Auth-Request-Email", .identityAssertion),
    ("X-Forwarded-User", .identityAssertion), ("X-Forwarded-Foo", .xForwardedOther),
    ("x-http-method-override", .requestOverride), ("X-Original-URL", .requestOverride),
    ("Mcp-Param-Region", .mcpParam), ("Mcp-Param-", .other), ("Hos", .other), ("Hostt", .other),
    ("h", .other),
  ]) func `families are recognised`(name: String, id: FieldID) {
    let buffer = Buffer(name)
    let found = FieldID.lookup(buffer, 0..<buffer.count)
    #expect(found == id)
  }

  @Test func `classes hold what must not pass`() {
    for id: FieldID in [
      .connection, .keepAlive, .te, .upgrade, .transferEncoding, .host, .proxyAuthorization,
    ] {
      #expect(id.isHopByHop == (id != .host), "\(id)")
    }
    for id: FieldID in [
      .authorization, .cookie, .dpop, .proxyAuthorization, .identityAssertion, .wwwAuthenticate,
    ] {
      #expect(id.isCredential, "\(id)")
    }
    for id: FieldID in [.forwarded, .xForwardedFor, .xRealIP, .via, .xForwardedOther] {
      #expect(id.isForwarding, "\(id)")
    }
    #expect(!FieldID.requestOverride.isCredential && FieldID.requestOverride.isRequestOverride)
    #expect(!FieldID.contentType.isForwarding && !FieldID.mcpSessionID.isCredential)
    #expect(FieldID.ifMatch.isConditional && FieldID.ifRange.isConditional && !FieldID.range.isConditional)
    #expect(
      FieldID.accessControlAllowOrigin.isCrossOriginAnswer && FieldID.accessControlMaxAge.isCrossOriginAnswer)
    #expect(!FieldID.accessControlRequestMethod.isCrossOriginAnswer)
  }
}

@Suite struct ByteClassTests {
  @Test func `the table is what the grammar says`() {
    for byte in UInt8(0)...255 {
      let isAlphanumeric =
        (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
      let isPrintable = byte > 32 && byte < 127
      var classes: UInt8 = 0
      if isAlphanumeric || "!#$%&'*+-.^_`|~".utf8.contains(byte) { classes |= ByteClass.token }
      if byte == 9 || byte >= 32 && byte != 127 { classes |= ByteClass.fieldValue }
      if isPrintable && !"\"#<>".utf8.contains(byte) { classes |= ByteClass.target }
      if isAlphanumeric || "-._~".utf8.contains(byte) { classes |= ByteClass.host }
      if isPrintable && !"\",;\\".utf8.contains(byte) { classes |= ByteClass.cookieValue }
      if isAlphanumeric || byte == UInt8(ascii: "-") { classes |= ByteClass.plainName }
      #expect(ByteClass.table[Int(byte)] == classes, "\(byte)")
    }
  }
}
