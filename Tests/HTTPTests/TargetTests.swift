import Basics
import Testing

@testable import HTTP

@Suite struct PathRulesTests {
  @Test(arguments: [
    "/", "/a", "/a/", "/a/b.c/d", "/...", "/..a", "/a..", "/.well-known/x", "/%7Eu", "/a%20b", "/%C3%A9",
    "/a;b=c/d", "/%F0%9F%98%80", "/a%25b", "/a:b@c!$&'()*+,=",
  ]) func `a plain path is safe`(path: String) {
    #expect(PathRules.problem(path) == nil)
  }

  @Test(arguments: [
    ("", PathRules.Problem.notAbsolute), ("a", .notAbsolute), ("*", .notAbsolute),
    ("/.", .dotSegment), ("/..", .dotSegment), ("/a/../b", .dotSegment), ("/a/./b", .dotSegment),
    ("/%2e%2E/b", .dotSegment), ("/.%2e", .dotSegment), ("/..;x/b", .dotSegment), ("/a/.;", .dotSegment),
    ("//", .emptySegment), ("//a", .emptySegment), ("/a//b", .emptySegment), ("/;x/a", .emptySegment),
    ("/a%2fb", .escapedSeparator), ("/a%2Fb", .escapedSeparator), ("/a%5cb", .escapedSeparator),
    ("/a%252fb", .escapedSeparator), ("/a%255cb", .escapedSeparator), ("/%252e%252e/b", .escapedSeparator),
    ("/a%25252f", .escapedSeparator), ("/a\\b", .backslash),
    ("/a%00", .controlCharacter), ("/a%0d%0ab", .controlCharacter), ("/a%7f", .controlCharacter),
    ("/a\u{1}", .controlCharacter), ("/a%", .brokenEscape), ("/a%2", .brokenEscape), ("/a%zz", .brokenEscape),
    ("/%c0%af", .invalidUTF8), ("/%e0%80%af", .invalidUTF8), ("/%ff", .invalidUTF8), ("/%c3", .invalidUTF8),
    ("/%c3/a", .invalidUTF8), ("/%ed%a0%80", .invalidUTF8), ("/%80", .invalidUTF8),
    ("/%f4%90%80%80", .invalidUTF8),
    ("/a b", .forbiddenByte), ("/\u{E9}", .forbiddenByte),
  ]) func `a path that two readers could take differently is refused`(
    path: String, problem: PathRules.Problem
  ) {
    #expect(PathRules.problem(path) == problem)
  }

  @Test(
    arguments: [
      ("/mcp", "/mcp", 4), ("/mcp", "/mcp/", 4), ("/mcp", "/mcp/x", 4), ("/mcp/", "/mcp/x", 4),
      ("/", "/x", 0),
      ("/", "/", 0), ("/mcp", "/%6dcp/x", 6), ("/a%20b", "/a%20b", 6), ("/mcp", "/mcpx", nil),
      ("/mcp", "/mc", nil),
      ("/mcp", "/MCP", nil), ("/mcp", "/", nil), ("/mcp", "/x/mcp", nil), ("/mcp", "/mcp%78", nil),
      ("/mcp", "/mc%7", nil),
    ] as [(String, String, Int?)]) func `a route matches whole segments`(
      route: String, path: String, rest: Int?
    ) throws
  {
    let route = try #require(RoutePath(route))
    #expect(route.match(path) == rest)
  }

  @Test(arguments: ["", "mcp", "/a/../b", "//", "/a?b", "/a#b", "/%"]) func `a bad route is refused`(
    text: String
  ) {
    #expect(RoutePath(text) == nil)
  }
}

@Suite struct ReturnTargetTests {
  /// Values that some browser or some server takes for another place.
  static let bad = [
    "", " ", "a", "a/b", "?x", "#x", "http://evil.example", "https://evil.example/", "HTTPS://evil.example",
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", "/ /evil.example",
    "/\u{0}/evil.example", "/%2f/evil.example", "/%2F%2Fevil.example", "/%5cevil.example", "/%5Cevil.example",
    "/%09/evil.example", "/%0d%0aLocation:%20//evil.example", "/%00", "/./\\evil.example", "/.//evil.example",
    "/..//evil.example", "/../evil", "/a/../..//evil.example", "/a/..", "/./a", "/%2e%2e/a", "/%2e/a",
    "javascript:alert(1)", "data:text/html,x", "/a\u{2028}b", "/\u{FF0F}evil.example", "/a b", "/a%", "/a%zz",
    "/a\\b",
    "/a?x=%0a", "/a?\\evil", "/%252f%252fevil.example", "/;//evil.example", "/a\r\nSet-Cookie: x=y",
    ".evil.example",
    "@evil.example", ":80", "/<script>", "/a\"b", "/%c0%afevil.example", "/a?x=\u{7F}",
    "/" + String(repeating: "a", count: 2048),
  ]

  @Test(arguments: bad) func `a value that could leave the origin is refused`(text: String) {
    #expect(ReturnTarget.accept(text) == nil)
  }

  @Test func `the corpus is large enough`() {
    #expect(Self.bad.count >= 40)
  }

  @Test(arguments: [
    "/", "/demo/", "/a/b?x=1&y=%20z#part", "/a?next=https://other.example/", "/a?x=//y", "/%C3%A9", "/a#b/c",
    "/a?x=../y",
  ]) func `a path on our origin is kept as it is`(text: String) {
    #expect(ReturnTarget.accept(text) == text)
  }
}

@Suite struct URLReferenceTests {
  @Test(arguments: [
    ("https://a.example", "https://a.example", "/", 443),
    ("HTTP://A.Example:8080/X?q=1", "http://a.example:8080", "/X?q=1", 8080),
    ("https://a.example:443/x", "https://a.example", "/x", 443),
    ("http://[::1]:3000/mcp", "http://[::1]:3000", "/mcp", 3000),
    ("http://127.0.0.1?x", "http://127.0.0.1", "/?x", 80), ("http://a:80/%20", "http://a", "/%20", 80),
  ]) func `a URL is taken apart`(text: String, origin: String, target: String, port: Int) throws {
    let url = try #require(URLReference(text))
    #expect(url.origin == origin)
    #expect(url.requestTarget == target)
    #expect(Int(url.port) == port)
    #expect(URLReference(url.description) == url)
  }

  @Test(arguments: [
    "", "a", "/x", "//a/x", "ftp://a", "http:/a", "http://", "http:///x", "http://u@a/", "http://u:p@a/",
    "http://a:0/",
    "http://a:99999/", "http://a:/", "http://a b/", "http://a/ b", "http://a/#f", "http://a/%",
    "http://a/%zz",
    "http://a\\b/", "http://a/\\b", "http://[::1/", "http://::1/", "http://[g]/", "http://a/\n",
    "http://\u{E9}/", "https//a",
  ]) func `what is not an absolute web address is refused`(text: String) {
    #expect(URLReference(text) == nil)
  }

  @Test(arguments: [
    ("http://localhost", true), ("http://x.localhost", true), ("http://127.9.0.1", true),
    ("http://[::1]", true),
    ("http://127.0.0.1.evil.example", false), ("http://128.0.0.1", false), ("http://localhost.evil", false),
    ("http://127.1", false), ("http://[::2]", false),
  ]) func `loopback is recognised by the host alone`(text: String, isLoopback: Bool) throws {
    #expect(try #require(URLReference(text)).isLoopback == isLoopback)
  }

  @Test func `query pairs are appended encoded`() throws {
    let url = try #require(URLReference("https://a/authorize?x=1"))
    let longer = url.appending(query: [("scope", "openid profile"), ("u", "a&b")])
    #expect(longer.description == "https://a/authorize?x=1&scope=openid%20profile&u=a%26b")
    #expect(url.hasSameOrigin(as: longer))
    #expect(!url.hasSameOrigin(as: try #require(URLReference("http://a:443/"))))
  }
}
