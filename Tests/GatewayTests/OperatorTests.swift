import Basics
import HTTP
import JSON
import Reactor
import Sessions
import Testing

@testable import Gateway

/// What operators name and read.
@Suite struct OperatorTests {
  private let session = Session(
    hash: Ticket.make().hash, user: UserKey(issuer: "https://id.example", subject: "s-1"),
    profile: UserProfile(name: "Kim Wexler", username: "kim", email: "kim@example.com"),
    createdAt: Timestamp(seconds: 0), lastSeenAt: Timestamp(seconds: 0))

  @Test(
    arguments: [
      (["user": "s-1"], true), (["user": "kim"], true), (["user": "kim@example.com"], true),
      (["user": "Kim Wexler"], false), (["user": "KIM"], false), (["user": "ki"], false), ([:], true),
      (["user": "kim", "issuer": "https://id.example"], true),
      (["user": "kim", "issuer": "https://x"], false),
      (["tenant": "t"], false), (["provider": "p"], false),
    ] as [([String: String], Bool)])
  func `a user is meant by subject, user name or address, exactly`(_ query: [String: String], _ matches: Bool)
    throws
  {
    let filter = try #require(SessionFilter(query.map { ($0.key, $0.value) }, others: []))
    #expect(filter.matches(session) == matches)
  }

  @Test func `a user who is named in full is looked up, not searched for`() {
    #expect(SessionFilter(user: "s-1", issuer: "https://id.example").key == session.user)
    #expect(
      SessionFilter(user: "o", tenant: "t").key == UserKey(issuer: "", tenant: "t", objectID: "o"))
    #expect(SessionFilter(user: "s-1").key == nil && SessionFilter(issuer: "i").key == nil)
    #expect(SessionFilter(user: "s-1", issuer: "i", provider: "p").key == nil)
  }

  @Test(
    arguments: [
      [("usr", "kim")], [("user", "")], [("user", "a"), ("user", "b")], [("all", "true")], [("User", "kim")],
    ] as [[(String, String)]])
  func `a query that is misspelt means nobody`(_ query: [(String, String)]) {
    #expect(SessionFilter(query, others: ["cursor"]) == nil)
  }

  @Test func `a filter is the same after a query`() {
    let filter = SessionFilter(user: "a b&c", issuer: "https://i/?x=1", tenant: "t", provider: "p")
    let text = PercentEncoding.formEncode(filter.query)
    #expect(SessionFilter(PercentEncoding.parseQuery(text), others: []) == filter)
  }

  @Test func `nothing in a session steers the terminal`() {
    let evil: JSONValue = [
      "username": "kim\u{1B}[2J\n\u{202E}", "subject": "s\u{7}", "id": "0", "state": "active",
      "resources": [["routes": ["/mcp"], "scopes": ["a\u{1B}b"], "token_expires_at": "t"]],
    ]
    for text in [SessionTable.text([evil]), SessionTable.detail(evil)] {
      let bad = text.unicodeScalars.filter { $0 != "\n" && ($0.value < 0x20 || $0 == "\u{202E}") }
      #expect(bad.isEmpty && text.contains("kim"))
    }
    #expect(SessionTable.text([evil]).split(separator: "\n").count == 2)
    #expect(SessionTable.text([]) == "No sessions.\n")
  }

  @Test func `looking at a rate does not use it up`() throws {
    var rate = AttemptRate(perMinute: 2)
    let key = AttemptRate.Key.session(Ticket.make().hash)
    let now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    for _ in 0..<10 { #expect(rate.wait(key, now: now) == nil) }
    for _ in 0..<2 { #expect(rate.attempt(key, now: now) == nil) }
    let wait = try #require(rate.wait(key, now: now))
    let again = rate.attempt(key, now: now)
    #expect(again == wait && rate.wait(key, now: now) == wait)
  }

  @Test func `the provider's pages alone may frame what the provider frames`() {
    let framed = SecurityFields.framedPage(by: ["https://id.example"])
    let policy = framed.first { $0.name == "Content-Security-Policy" }?.value ?? ""
    #expect(policy.hasSuffix("frame-ancestors https://id.example"))
    #expect(!framed.contains { $0.name == "X-Frame-Options" })
    #expect(SecurityFields.framedPage(by: []).contains { $0.value.hasSuffix("frame-ancestors 'none'") })
  }
}
