import Basics
import Testing

@testable import HTTP

/// Calls `body` with a parsed request that has these field lines.
func withRequest<R>(_ fields: [String], _ body: (borrowing RequestHead, borrowing Buffer) throws -> R) throws
  -> R
{
  let buffer = Buffer("GET / HTTP/1.1\r\nHost: h\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
  var head = RequestHead()
  guard try head.parse(buffer, limits: HeadLimits()) else { throw HTTPError(0, "incomplete") }
  return try body(head, buffer)
}

@Suite struct CookieTests {
  @Test(
    arguments: [
      (["Cookie: a=1; sid=abc; b=2"], "abc"), (["Cookie: sid=abc"], "abc"),
      (["Cookie: a=1", "Cookie: sid=x"], "x"),
      (["Cookie:  a=1 ;sid = abc ; b"], "abc"), (["Cookie: sid=1; sid=2"], "1"), (["Cookie: sid="], ""),
      (["Cookie: xsid=1; sidx=2; SID=3"], nil), (["Cookie: a=sid=1"], nil), (["Cookie: sid"], nil), ([], nil),
      (["Cookie: sid=a b"], nil), (["Cookie: sid=\"a\""], nil), (["Cookie: sid=a\\b"], nil),
      (["Cookie: =sid; ;;"], nil),
    ] as [([String], String?)]) func `a cookie is found by its exact name`(fields: [String], value: String?)
    throws
  {
    let found = try withRequest(fields) { head, buffer in
      Cookies.find(Array("sid".utf8), in: head, buffer).map { buffer.string($0) }
    }
    #expect(found == value)
  }

  @Test func `all cookies are listed and some passed on`() throws {
    let fields = ["Cookie: a=1; sid=x; b=2", "Cookie: sid=y; c=3=4"]
    let (all, count, kept) = try withRequest(fields) { head, buffer in
      var out = Buffer()
      Cookies.appendKept(of: head, buffer, to: &out) { buffer, name in !buffer.equals(name, "sid") }
      return (
        Cookies.all(in: head, buffer).map { "\($0.name)=\($0.value)" },
        Cookies.count(of: Array("sid".utf8), in: head, buffer), out.string()
      )
    }
    #expect(all == ["a=1", "sid=x", "b=2", "sid=y", "c=3=4"])
    #expect(count == 2)
    #expect(kept == "Cookie: a=1; b=2; c=3=4\r\n")
    let none = try withRequest(["Cookie: sid=x"]) { head, buffer in
      var out = Buffer()
      Cookies.appendKept(of: head, buffer, to: &out) { _, _ in false }
      return out.string()
    }
    #expect(none.isEmpty)
  }

  @Test func `a Set-Cookie line carries every attribute`() throws {
    var cookie = try #require(SetCookie(name: "__Host-x", value: "abc"))
    #expect(cookie.text == "__Host-x=abc; Path=/; Secure; HttpOnly; SameSite=Lax")
    cookie.maxAge = .seconds(600)
    cookie.isSecure = false
    cookie.isHTTPOnly = false
    cookie.sameSite = .strict
    cookie.path = "/auth"
    var line = Buffer()
    cookie.append(to: &line)
    let text = line.string()
    #expect(text == "Set-Cookie: __Host-x=abc; Path=/auth; Max-Age=600; SameSite=Strict\r\n")
    #expect(
      try #require(SetCookie.deleting("a")).text == "a=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
  }

  @Test(arguments: [
    ("", "x"), ("a b", "x"), ("a", "x;y"), ("a", "x\r\ny"), ("a", "x y"), ("a=", "x"), ("a", "\u{E9}"),
  ])
  func `a cookie that would break the line is refused`(name: String, value: String) {
    #expect(SetCookie(name: name, value: value) == nil)
  }
}

@Suite struct FieldValueTests {
  @Test(arguments: [
    ("a, b ,,c", ["a", "b", "c"]), ("", []), (",", []), ("\"a,b\", c", ["\"a,b\"", "c"]),
    ("x=\"a\\\",b\",d", ["x=\"a\\\",b\"", "d"]), ("\"open, end", ["\"open, end"]),
  ]) func `a list is split outside quotes`(text: String, elements: [String]) {
    #expect(FieldValue.elements(text) == elements)
  }

  @Test(
    arguments: [
      ("text/html; charset=utf-8", "utf-8"), ("a;b;CHARSET = \"x\\\"y;z\" ;q=1", "x\"y;z"),
      ("a; charset=", nil),
      ("a; charset=\"x", nil), ("a; xcharset=1", nil), ("a", nil), ("a;charset=a b", nil),
    ] as [(String, String?)]) func `a parameter is read`(text: String, value: String?)
  {
    let buffer = Buffer(text)
    let found = FieldValue.parameter("charset", buffer, 0..<buffer.count)
    #expect(found == value)
  }

  @Test func `quoting keeps a value inside its quotes`() {
    #expect(FieldValue.quoted("a\"b\\c\r\nd") == "\"a\\\"b\\\\cd\"")
    #expect(FieldValue.isToken("a-b") && !FieldValue.isToken("") && !FieldValue.isToken("a b"))
    #expect(
      FieldValue.isFieldValue("a b") && !FieldValue.isFieldValue(" a") && !FieldValue.isFieldValue("a\nb"))
  }

  @Test(arguments: [
    ("application/json", true), ("Application/JSON ; charset=utf-8", true), ("application/jsonx", false),
    ("text/plain; a=application/json", false), ("", false),
  ]) func `media types compare without parameters`(text: String, isJSON: Bool) {
    let buffer = Buffer(text)
    let found = FieldValue.isMediaType("application/json", buffer, 0..<buffer.count)
    #expect(found == isJSON)
  }

  @Test(arguments: [
    ([], 1000, false), (["Accept: text/html"], 1000, true), (["Accept: */*"], 1000, false),
    (["Accept: text/*;q=0.5"], 500, false),
    (["Accept: text/html;q=0, */*"], 0, false), (["Accept: */*;q=0.1, text/html;q=0.25"], 250, true),
    (["Accept: application/json", "Accept: text/html;q=0.001"], 1, true),
    (["Accept: application/json"], 0, false),
    (["Accept: text/html;q=2"], 0, false), (["Accept: text/html;level=1;q=0.3"], 300, true),
    (["Accept: */html"], 0, false),
  ]) func `the most specific range decides`(fields: [String], quality: Int, isNamed: Bool) throws {
    let found = try withRequest(fields) { head, buffer in
      (
        Negotiation.quality(of: "text", "html", in: head, buffer),
        Negotiation.names("text", "html", in: head, buffer)
      )
    }
    #expect(found.0 == quality)
    #expect(found.1 == isNamed)
  }

  @Test(arguments: [
    ([], 0, 1000), (["Accept-Encoding: gzip, br"], 1000, 1000), (["Accept-Encoding: *;q=0.5"], 500, 500),
    (["Accept-Encoding: gzip;q=0, *"], 0, 1000), (["Accept-Encoding: GZIP;q=0.2, identity;q=0"], 200, 0),
    (["Accept-Encoding:"], 0, 1000), (["Accept-Encoding: *;q=0"], 0, 0),
  ]) func `content codings are negotiated`(fields: [String], gzip: Int, identity: Int) throws {
    let found = try withRequest(fields) { head, buffer in
      (
        Negotiation.quality(ofCoding: "gzip", in: head, buffer),
        Negotiation.quality(ofCoding: "identity", in: head, buffer)
      )
    }
    #expect(found.0 == gzip)
    #expect(found.1 == identity)
  }

  @Test func `forwarding fields are ours, with a trusted proxy's in front`() throws {
    let fields = ForwardingFields(clientAddress: "2001:db8::1", isSecure: true, authority: "a.example:8443")
    var own = Buffer()
    fields.append(to: &own)
    let text = own.string()
    #expect(
      text
        == "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example:8443\r\n"
        + "Forwarded: for=\"[2001:db8::1]\";proto=https;host=\"a.example:8443\"\r\n")
    let extended = try withRequest(["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7"]) {
      head, buffer in
      var out = Buffer()
      ForwardingFields(clientAddress: "10.0.0.1", isSecure: false, authority: "a")
        .append(to: &out, extending: head, buffer)
      return out.string()
    }
    #expect(
      extended == "X-Forwarded-For: 192.0.2.7, 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
        + "Forwarded: for=192.0.2.7, for=10.0.0.1;proto=http;host=\"a\"\r\n")
  }
}

@Suite struct WritingTests {
  @Test func `a head is written line by line`() throws {
    var date = DateLine()
    let text = try withRequest(["x-a:  1 "]) { head, buffer in
      var out = Buffer()
      out.appendStatusLine(200)
      out.appendField("Server", "coatcheck")
      out.appendField("Content-Length", decimal: 12)
      out.appendField("X-B", "a\r\nEvil: \(1)")
      for slot in head.fields where slot.id == .other { out.appendField(slot, from: buffer) }
      date.append(to: &out, unixSecond: 784_111_777)
      date.append(to: &out, unixSecond: 784_111_778)
      return out.string()
    }
    #expect(
      text == "HTTP/1.1 200 OK\r\nServer: coatcheck\r\nContent-Length: 12\r\nX-B: a  Evil: 1\r\nx-a: 1\r\n"
        + "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n")
  }

  @Test func `response fields are found without case`() {
    let response = FetchResponse(status: 200, fields: [("Content-Type", "a"), ("x", "1"), ("X", "2")])
    #expect(response.first("content-type") == "a")
    #expect(response.all("x") == ["1", "2"])
    #expect(TransportError(.timeout).isTransient && !TransportError(.tls).isTransient)
  }
}
