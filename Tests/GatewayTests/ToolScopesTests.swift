import Basics
import Configuration
import JSON
import Testing

@testable import Gateway

@Suite struct ToolScopesTests {
  static func subject(_ tool: String, method: String = "tools/call", route: String = "/mcp")
    -> ToolScopes.Subject
  {
    ToolScopes.Subject(route: route, method: method, tool: tool)
  }

  static func entry(_ tool: String?, method: String? = nil, route: String? = nil, _ scope: [String])
    -> Configuration.Consent.ToolScope
  {
    var entry = Configuration.Consent.ToolScope()
    entry.tool = tool
    entry.method = method
    entry.route = route
    entry.scope = scope
    return entry
  }

  @Test func `a tool needs what stands for it, for its method, and what was learned`() {
    let scopes = ToolScopes(
      [
        Self.entry("send", ["mail.send"]), Self.entry(nil, method: "tools/call", ["use"]),
        Self.entry("send", route: "/other", ["other"]), Self.entry(nil, method: "tools/list", ["list"]),
      ], routes: ["/mcp", "/other"])
    #expect(scopes.needed(by: Self.subject("send")) == ["mail.send", "use"])
    #expect(scopes.needed(by: Self.subject("send", route: "/other")) == ["mail.send", "other", "use"])
    #expect(scopes.needed(by: Self.subject("read")) == ["use"])
    #expect(scopes.needed(by: Self.subject("", method: "tools/list")) == ["list"])
    #expect(scopes.needed(by: Self.subject("", method: "ping")) == [])
    #expect(scopes.learn(Self.subject("read"), scopes: ["files"], now: noon)?.scopes == ["files"])
    #expect(scopes.needed(by: Self.subject("read")) == ["use", "files"])
  }

  @Test func `what is known already is not learned again, and what is new is added`() {
    let scopes = ToolScopes([], routes: [])
    #expect(scopes.learn(Self.subject("a"), scopes: [], now: noon) == nil)
    #expect(scopes.learn(Self.subject("a"), scopes: ["x"], now: noon) != nil)
    #expect(scopes.learn(Self.subject("a"), scopes: ["x"], now: noon) == nil)
    #expect(scopes.learn(Self.subject("a"), scopes: ["y"], now: noon)?.scopes == ["x", "y"])
  }

  @Test func `learning is bounded in entries, scopes and names`() {
    let scopes = ToolScopes([], routes: [], capacity: 3)
    for i in 0..<10 { _ = scopes.learn(Self.subject("t\(i)"), scopes: ["s"], now: noon) }
    #expect(scopes.all.count == 3)
    #expect(
      scopes.learn(Self.subject("t0"), scopes: (0..<100).map { "s\($0)" }, now: noon)?.scopes.count == 32)
    #expect(scopes.learn(Self.subject(String(repeating: "t", count: 129)), scopes: ["s"], now: noon) == nil)
  }

  @Test func `it can be forgotten by route, by tool, or all at once`() {
    let scopes = ToolScopes([], routes: [])
    for (tool, route) in [("a", "/x"), ("b", "/x"), ("a", "/y")] {
      _ = scopes.learn(Self.subject(tool, route: route), scopes: ["s"], now: noon)
    }
    #expect(scopes.forget(route: "/x", tool: "a") == [Self.subject("a", route: "/x").key])
    #expect(scopes.forget(route: nil, tool: "a").count == 1)
    #expect(scopes.all.map(\.subject.tool) == ["b"])
    #expect(scopes.forget(route: nil, tool: nil).count == 1)
    #expect(scopes.all.isEmpty)
  }

  @Test func `what the store has takes the place of what was learned here`() {
    let scopes = ToolScopes([], routes: [])
    for tool in ["gone", "kept"] { _ = scopes.learn(Self.subject(tool), scopes: ["s"], now: noon) }
    scopes.replace(scopes.all.filter { $0.subject.tool == "kept" })
    #expect(scopes.all.map(\.subject.tool) == ["kept"])
  }

  @Test func `the stored form comes back`() throws {
    let entry = ToolScopes.Learned(subject: Self.subject("a\nb"), scopes: ["x", "y"], at: noon)
    let copy = try #require(ToolScopes.Learned(payload: entry.json.serializedBytes(), at: noon))
    #expect(copy.subject == entry.subject && copy.scopes == entry.scopes)
    #expect(ToolScopes.Learned(payload: Array("{}".utf8), at: noon) == nil)
    let restored = ToolScopes([], routes: [])
    restored.restore([copy])
    #expect(restored.needed(by: entry.subject) == ["x", "y"])
  }
}
