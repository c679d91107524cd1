import Basics
import Testing

@testable import HTTP

/// The head of a request with `fields`, or the error that refuses it, handed to `body` with its buffer.
private func withHead<R>(
  _ line: String = "GET / HTTP/1.1", _ fields: [String],
  _ body: (borrowing RequestHead, borrowing Buffer) throws -> R
) throws -> R {
  let buffer = Buffer(([line, "Host: h"] + fields).joined(separator: "\r\n") + "\r\n\r\n")
  var head = RequestHead()
  let isWhole = try head.parse(buffer, limits: HeadLimits())
  try #require(isWhole)
  return try body(head, buffer)
}

private func status(_ line: String = "GET / HTTP/1.1", _ fields: [String]) throws -> Int {
  do { return try withHead(line, fields) { _, _ in 200 } } catch let error as HTTPError {
    return error.status
  }
}

@Suite struct StrictRequestTests {
  @Test(arguments: ["TRACE / HTTP/1.1", "CONNECT h:1 HTTP/1.1"])
  func `a method whose answer would show the token is not offered`(line: String) throws {
    #expect(try status(line, []) == 501)
    #expect(try status("TRACES / HTTP/1.1", []) == 200)
  }

  @Test(
    arguments: [
      ("Content-Type", true), ("Range", true), ("If-Range", true), ("If-Modified-Since", true),
      ("If-Unmodified-Since", true), ("User-Agent", true), ("Last-Event-ID", true),
      ("Content-Location", true), ("Content-Range", true), ("Max-Forwards", true),
      ("Accept", false), ("Cookie", false), ("X-Forwarded-For", false), ("Authorization", false),
      ("X-Other", false), ("If-Match", false), ("Accept-Language", false),
    ])
  func `two lines of a field with one value are refused`(name: String, isRefused: Bool) throws {
    #expect(try status("GET / HTTP/1.1", ["\(name): 1"]) == 200)
    #expect(
      try status("GET / HTTP/1.1", ["\(name): 1", "X: y", "\(name.lowercased()): 1"])
        == (isRefused ? 400 : 200))
  }

  @Test func `an answer may say its type twice`() throws {
    let buffer = Buffer("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Type: a/b\r\nX_User: a\r\n\r\n")
    var head = ResponseHead()
    let isWhole = try head.parse(buffer, limits: HeadLimits(), requestMethod: .get)
    #expect(isWhole)
    #expect(head.fields.allSatisfy { !$0.isHopByHop })
  }

  @Test(
    arguments: [
      ("Remote_User", true), ("REMOTE_USER", true), ("X_Forwarded_For", true), ("X.Forwarded.For", true),
      ("Content_Length", true), ("Transfer_Encoding", true), ("X_Auth_Request-User", true),
      ("Mcp_Session_Id", true), ("X_Original+URL", true), ("Authorization_", false), ("X_Some_Thing", false),
      ("X-Some-Thing", false), ("_", false), ("Content__Length", false),
    ])
  func `a field that a gateway interface would take for a known one does not pass`(
    name: String, isHidden: Bool
  )
    throws
  {
    try withHead("GET / HTTP/1.1", ["\(name): 5", "X-Kept: 1"]) { head, buffer in
      #expect(head.fields[1].isHopByHop == isHidden)
      #expect(head.fields[1].id == .other)
      #expect(!head.fields[2].isHopByHop)
      #expect(head.framing == .none)
      let isLookalike = FieldID.isLookalike(buffer, head.fields[1].name)
      #expect(isLookalike == isHidden)
    }
  }

  @Test(arguments: ["close;x=1", "\"X-Hop\"", "\"x, close", "X Hop", "a/b", "x:y"])
  func `a Connection that is no list of tokens is refused`(value: String) throws {
    #expect(try status("GET / HTTP/1.1", ["Connection: \(value)"]) == 400)
  }

  @Test func `Connection names fields of the trailer too`() throws {
    let names = Buffer("x-HOP X-Two X-Three")
    try withHead("GET / HTTP/1.1", ["Connection: X-Hop, close", "Connection: x-two"]) { head, buffer in
      var found: [Bool] = []
      for range in [0..<5, 6..<11, 12..<19, 0..<4] {
        found.append(head.connectionNames(names, range, buffer))
      }
      #expect(found == [true, true, false, false])
    }
    try withHead("GET / HTTP/1.1", ["Connection: keep-alive"]) { head, buffer in
      let isNamed = head.connectionNames(names, 0..<5, buffer)
      #expect(!isNamed)
    }
  }

  @Test func `a cookie that Connection names stays here`() throws {
    let kept = try withHead("GET / HTTP/1.1", ["Cookie: theme=dark", "Connection: cookie"]) { head, buffer in
      var out = Buffer()
      Cookies.appendKept(of: head, buffer, to: &out) { _, _ in true }
      let found = Cookies.find(Array("theme".utf8), in: head, buffer)
      #expect(found != nil)
      return out.string()
    }
    #expect(kept.isEmpty)
  }

  @Test(
    arguments: [
      (["Max-Forwards: 0"], 0, ""), (["Max-Forwards: 1"], 1, "Max-Forwards: 0\r\n"),
      (["Max-Forwards: 070"], 70, "Max-Forwards: 69\r\n"), (["Max-Forwards:"], nil, ""),
      (["Max-Forwards: -1"], nil, ""), (["Max-Forwards: 1.5"], nil, ""),
      (["Max-Forwards: 1234567890"], nil, ""),
      ([], nil, ""),
    ] as [([String], UInt64?, String)])
  func `Max-Forwards is counted down`(fields: [String], left: UInt64?, next: String) throws {
    try withHead("OPTIONS / HTTP/1.1", fields) { head, buffer in
      var out = Buffer()
      MaxForwards.appendNext(to: &out, head, buffer)
      let found = MaxForwards.left(head, buffer)
      #expect(found == left)
      #expect(out.string() == next)
    }
  }
}
