import Basics
import HTTP
import Testing

@testable import Gateway

@Suite struct RouteTests {
  static func table(_ paths: [String]) throws -> RouteTable {
    RouteTable(try paths.enumerated().map { try makeRoute(index: $0.offset, $0.element, to: "http://u:1/x") })
  }

  static func match(_ path: String, _ paths: [String]) throws -> (path: String, rest: String)? {
    let buffer = Buffer(path)
    return try table(paths).match(buffer, 0..<buffer.count).map { ($0.0.path, buffer.string($0.1)) }
  }

  @Test(
    arguments: [
      ("/mcp", "/mcp", ""), ("/mcp/", "/mcp", "/"), ("/mcp/x/y", "/mcp", "/x/y"), ("/mcp/v2", "/mcp/v2", ""),
      ("/mcp/v2/x", "/mcp/v2", "/x"), ("/mcp/v23", "/mcp", "/v23"), ("/mcp/v", "/mcp", "/v"),
      // Nothing but whole segments: `/mcpx` is another address.
      ("/mcpx", "/", "/mcpx"), ("/mcp-2", "/", "/mcp-2"), ("/mc", "/", "/mc"), ("/", "/", "/"),
      ("/a", "/", "/a"),
      ("/a/b", "/a/b", ""), ("/a/b/", "/a/b", "/"), ("/a/bc", "/", "/a/bc"), ("/MCP", "/", "/MCP"),
      // An escape does not hide a prefix.
      ("/%6dcp/x", "/mcp", "/x"), ("/mcp/%76%32", "/mcp/v2", ""),
    ]) func `the longest prefix of whole segments wins`(path: String, route: String, rest: String) throws
  {
    for paths in [
      ["/", "/mcp", "/mcp/v2", "/a/b"], ["/a/b", "/mcp/v2", "/mcp", "/"], ["/mcp", "/", "/a/b", "/mcp/v2"],
    ] {
      let found = try #require(try Self.match(path, paths))
      #expect(found.path == route)
      #expect(found.rest == rest)
    }
  }

  @Test(arguments: ["/", "/mcpx", "/m", "/other", "*", "mcp", ""])
  func `a path that no prefix covers has no route`(path: String) throws {
    #expect(try Self.match(path, ["/mcp", "/mcp/v2"]) == nil)
  }

  @Test func `the table keeps the order of the configuration`() throws {
    let table = try Self.table(["/a", "/a/b/c", "/"])
    #expect(table.all.map(\.path) == ["/a", "/a/b/c", "/"])
    #expect(table.all.map(\.index) == [0, 1, 2])
  }

  @Test(
    arguments: [
      ("http://127.0.0.1:3000/mcp/", "/mcp/"), ("http://127.0.0.1:3000/mcp/?a=b", "/mcp/?a=b"),
      ("/mcp/", "/mcp/"),
      ("/mcp/?a=b#frag", "/mcp/?a=b"), ("HTTP://127.0.0.1:3000/x", "/x"),
      // Another host, port or scheme would see the token.
      ("https://127.0.0.1:3000/mcp/", nil), ("http://127.0.0.1:3001/mcp/", nil),
      ("http://evil.test/mcp", nil),
      ("//evil.test/mcp", nil), ("http://127.0.0.1:3000@evil.test/", nil), ("javascript:alert(1)", nil),
      ("mcp/", nil),
      ("", nil), ("/mcp\r\nX: y", nil), ("/m cp", nil), ("/mcp\u{E9}", nil), ("http://127.0.0.1:30000/", nil),
    ] as [(String, String?)])
  func `a redirect is followed on the upstream's own origin only`(location: String, target: String?) throws {
    #expect(try makeRoute().localTarget(of: location) == target)
  }

  @Test(
    arguments: [
      ("http://127.0.0.1:3000/mcp", "127.0.0.1:3000"), ("https://mcp.test/", "mcp.test"),
      ("https://mcp.test:443/", "mcp.test"), ("http://mcp.test:443/", "mcp.test:443"),
      ("http://[::1]:80/", "[::1]"),
    ]) func `the host field is the upstream's authority`(upstream: String, host: String) throws
  {
    let text = String(decoding: try makeRoute(to: upstream).fixedFields, as: UTF8.self)
    #expect(text == "Host: \(host)\r\nVia: 1.1 coatcheck\r\n")
  }
}
