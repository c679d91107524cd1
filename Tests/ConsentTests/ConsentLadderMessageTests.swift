import Consent
import Testing

private let link = "https://proxy.example/auth/continue?i=a_b-c"

@Suite struct `The sentence that asks for consent` {
  @Test func `says who wants what, and where to go`() {
    #expect(
      ConsentMessage.text(server: "files", tool: "list_files", scopes: ["mcp.read", "mcp.files"], link: link)
        == "The server `files` needs your consent for `list_files`: `mcp.read`, `mcp.files`. "
        + "Open this link, agree there, then try again: \(link)")
    #expect(
      ConsentMessage.text(server: "files", tool: nil, scopes: []) == "The server `files` needs your consent.")
    #expect(ConsentMessage.text(server: "\u{7}", tool: "", scopes: [" "]) == "The server needs your consent.")
  }

  @Test(arguments: [
    ("a`b", "a?b"), ("[x](https://evil.example)", "?x?(https://evil.example)"),
    ("<img src=x>", "?img src=x?"),
    ("<https://evil|ok>", "?https://evil?ok?"), ("**bold**", "??bold??"), ("a\nb\r\n# c", "a b # c"),
    ("a\u{1B}[31m\u{0}b\u{7F}", "a ?31m b"), ("ab\u{202E}cd\u{200B}\u{FEFF}", "abcd"), ("a\u{2028}b", "a b"),
    ("  a   b  ", "a b"), ("grüße 日本", "grüße 日本"), ("files/list.v2:read@x-y_z", "files/list.v2:read@x-y_z"),
    ("a\\", "a?"), ("&lt;", "?lt;"), ("\u{E000}x", "x"),
  ])
  func `shows names without what changes the reading of a text`(name: String, shown: String) {
    #expect(
      ConsentMessage.text(server: "s", tool: name, scopes: [name])
        == "The server `s` needs your consent for `\(shown)`: `\(shown)`.")
  }

  @Test(arguments: [1, 3, 10, 1000], ["x", "long-scope-name", String(repeating: "ü", count: 500), "\n"])
  func `stays within its bound and keeps the link whole`(count: Int, name: String) {
    let scopes = Array(repeating: name, count: count)
    for link in [link, "https://proxy.example/" + String(repeating: "x", count: 480)] {
      let text = ConsentMessage.text(server: name, tool: name, scopes: scopes, link: link)
      #expect(text.utf8.count <= ConsentMessage.maxBytes)
      #expect(text.hasSuffix(" " + link))
      #expect(text.utf8.count(where: { $0 == UInt8(ascii: "`") }) % 2 == 0, "every span is closed")
    }
  }

  @Test func `counts the scopes there is no room for`() {
    let scopes = (0..<200).map { "scope-number-\($0)" }
    let text = ConsentMessage.text(server: "s", tool: nil, scopes: scopes)
    let named = scopes.count(where: { text.contains("`\($0)`") })
    #expect(named > 20 && named < 200)
    #expect(text.hasSuffix(" and \(200 - named) more."))
  }

  @Test func `leaves out a link too long to be shown whole`() {
    let long = "https://proxy.example/" + String(repeating: "x", count: ConsentMessage.maxLinkBytes)
    #expect(
      ConsentMessage.text(server: "s", tool: nil, scopes: [], link: long)
        == "The server `s` needs your consent.")
  }
}
