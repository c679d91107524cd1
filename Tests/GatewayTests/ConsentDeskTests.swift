import Basics
import Configuration
import Consent
import HTTP
import JSON
import Sessions
import Testing

@testable import Gateway

@Suite struct ConsentDeskTests {
  static let alice = Bytes32(1, 0, 0, 0)
  static let bob = Bytes32(2, 0, 0, 0)

  static func subject(_ user: Bytes32, session: UInt64 = 100, route: Int = 0, _ tool: String = "files")
    -> ConsentDesk.Subject
  {
    ConsentDesk.Subject(
      user: user, session: hash(session), route: route, method: Array("tools/call".utf8),
      name: Array(tool.utf8))
  }

  static func ask(_ subject: ConsentDesk.Subject, at time: Timestamp = noon) -> ConsentDesk.Ask {
    ConsentDesk.Ask(subject: subject, askedAt: time)
  }

  @Test func `a question is open until it is answered, for its own call and person`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    #expect(desk.isEmpty)
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    #expect(!desk.isEmpty)
    #expect(desk.isOpen(Self.subject(Self.alice), now: noon))
    #expect(!desk.isOpen(Self.subject(Self.bob), now: noon))
    #expect(!desk.isOpen(Self.subject(Self.alice, "mail"), now: noon))
    #expect(!desk.isOpen(Self.subject(Self.alice, route: 1), now: noon))
    #expect(!desk.isOpen(Self.subject(Self.alice, session: 101), now: noon))
    #expect(desk.state(of: hash(1), user: Self.alice, now: noon) == .pending)
    #expect(desk.state(of: hash(1), user: Self.bob, now: noon) == nil)
    #expect(desk.answered(hash(1), .granted) != nil)
    #expect(!desk.isOpen(Self.subject(Self.alice), now: noon))
    #expect(desk.state(of: hash(1), user: Self.alice, now: noon) == .granted)
    #expect(desk.answered(hash(2), .granted) == nil)
  }

  @Test func `a yes answers all questions about that server, and none about others`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    desk.asked(hash(2), Self.ask(Self.subject(Self.alice, "mail")))
    desk.asked(hash(3), Self.ask(Self.subject(Self.alice, route: 1)))
    desk.asked(hash(4), Self.ask(Self.subject(Self.bob)))
    let answered = desk.answered(hash(1), .granted)
    #expect(answered.map { Set($0.all) } == [hash(1), hash(2)])
    #expect(!desk.isOpen(Self.subject(Self.alice, "mail"), now: noon))
    #expect(desk.isOpen(Self.subject(Self.alice, route: 1), now: noon))
    #expect(desk.isOpen(Self.subject(Self.bob), now: noon))
    #expect(desk.state(of: hash(2), user: Self.alice, now: noon) == .granted)
    #expect(desk.state(of: hash(3), user: Self.alice, now: noon) == .pending)
  }

  @Test func `a no answers its own question alone`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    desk.asked(hash(2), Self.ask(Self.subject(Self.alice, "mail")))
    #expect(desk.answered(hash(1), .declined)?.all == [hash(1)])
    #expect(!desk.isOpen(Self.subject(Self.alice), now: noon))
    #expect(desk.isOpen(Self.subject(Self.alice, "mail"), now: noon))
    #expect(desk.state(of: hash(2), user: Self.alice, now: noon) == .pending)
  }

  @Test func `a question is over when its link is, and forgotten later`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    let end = noon + .seconds(600)
    #expect(!desk.isOpen(Self.subject(Self.alice), now: end))
    desk.sweep(now: end + .seconds(1))
    #expect(desk.isEmpty)
    #expect(desk.state(of: hash(1), user: Self.alice, now: end) == .pending)
    desk.sweep(now: noon + .seconds(1201))
    #expect(desk.state(of: hash(1), user: Self.alice, now: end) == nil)
  }

  @Test func `one person cannot push out the questions of others`() {
    let desk = ConsentDesk(lifetime: .seconds(600), capacity: 100, perUser: 8)
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    for i in 0..<500 as Range<UInt64> {
      desk.asked(hash(100 + i), Self.ask(Self.subject(Self.bob, "t\(i)"), at: noon + .milliseconds(Int64(i))))
    }
    #expect(desk.isOpen(Self.subject(Self.alice), now: noon))
    let open = (0..<500).filter { desk.isOpen(Self.subject(Self.bob, "t\($0)"), now: noon + .seconds(1)) }
    #expect(open == Array(492..<500))
  }

  @Test func `the number of questions is bounded, the oldest go first`() {
    let desk = ConsentDesk(lifetime: .seconds(600), capacity: 100, perUser: 8)
    for i in 0..<1000 as Range<UInt64> {
      desk.asked(
        hash(i), Self.ask(Self.subject(Bytes32(i, 0, 0, 1)), at: noon + .milliseconds(Int64(i))))
    }
    let open = (0..<1000 as Range<UInt64>).filter {
      desk.isOpen(Self.subject(Bytes32($0, 0, 0, 1)), now: noon + .seconds(1))
    }
    #expect((50...100).contains(open.count))
    #expect(open.contains(999) && !open.contains(0))
  }

  @Test func `a question that is told of twice, or after its answer, changes nothing`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    desk.asked(hash(1), Self.ask(Self.subject(Self.bob)))
    #expect(!desk.isOpen(Self.subject(Self.bob), now: noon))
    _ = desk.answered(hash(1), .declined)
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    #expect(desk.isEmpty)
    #expect(desk.state(of: hash(1), user: Self.alice, now: noon) == .declined)
  }

  @Test func `the answer to a question that was asked elsewhere can be told, and holds no call`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    var ask = Self.ask(Self.subject(Self.alice))
    ask.state = .granted
    desk.asked(hash(1), ask)
    #expect(desk.isEmpty)
    #expect(!desk.isOpen(Self.subject(Self.alice), now: noon))
    #expect(desk.state(of: hash(1), user: Self.alice, now: noon) == .granted)
    #expect(desk.state(of: hash(1), user: Self.bob, now: noon) == nil)
  }

  @Test func `what nobody has answered can be gone through, as long as its link works`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    desk.asked(hash(2), Self.ask(Self.subject(Self.bob), at: noon + .seconds(60)))
    _ = desk.answered(hash(3), .granted)
    desk.asked(hash(3), Self.ask(Self.subject(Self.bob, "mail")))
    _ = desk.answered(hash(3), .declined)
    #expect(Set(desk.pending(now: noon).map(\.id)) == [hash(1), hash(2)])
    #expect(desk.pending(now: noon + .seconds(600)).map(\.id) == [hash(2)])
  }

  @Test func `after sign-out nothing of a person is left`() {
    let desk = ConsentDesk(lifetime: .seconds(600))
    desk.asked(hash(1), Self.ask(Self.subject(Self.alice)))
    desk.asked(hash(2), Self.ask(Self.subject(Self.bob)))
    desk.forget(user: Self.alice)
    #expect(!desk.isOpen(Self.subject(Self.alice), now: noon))
    #expect(desk.state(of: hash(1), user: Self.alice, now: noon) == nil)
    #expect(desk.isOpen(Self.subject(Self.bob), now: noon))
  }
}

@Suite struct RouteConsentTests {
  static func route(
    _ downstream: Configuration.DownstreamConsent, hosts: Set<String> = [], whole: String? = nil
  ) -> RouteConsent {
    RouteConsent(
      server: "Files", watch: ConsentWatch(), downstream: downstream, linkHosts: hosts,
      requiresPreConsent: false, wholeScope: whole)
  }

  static func need(
    _ kind: ConsentNeed.Kind = .consent, scopes: [String] = [], link: String? = nil,
    target: ConsentNeed.Target = .downstream
  ) -> ConsentNeed {
    ConsentNeed(kind, source: .rpcError, code: "x", scopes: scopes, target: target, link: link)
  }

  static func name(_ treatment: RouteConsent.Treatment) -> String {
    switch treatment {
    case .ask: "ask"
    case .askWhole: "whole"
    case .show(let link): link
    case .deny: "deny"
    case .pass: "pass"
    }
  }

  @Test func `what we lack is asked for, and what nobody can repair here passes`() {
    let route = Self.route(.deny)
    #expect(Self.name(route.treatment(of: Self.need(scopes: ["a"], target: .upstream))) == "ask")
    #expect(Self.name(route.treatment(of: Self.need(.stepUp))) == "ask")
    for kind in [.adminConsent, .blocked, .config, .transient(retryAfter: nil)] as [ConsentNeed.Kind] {
      #expect(Self.name(route.treatment(of: Self.need(kind))) == "pass")
    }
  }

  @Test func `what the upstream lacks is met as configured`() {
    let bare = Self.need(link: "https://consent.example/x")
    let named = Self.need(scopes: ["mail"])
    #expect(Self.name(Self.route(.combined).treatment(of: named)) == "ask")
    #expect(Self.name(Self.route(.combined).treatment(of: bare)) == "deny")
    #expect(Self.name(Self.route(.combined, whole: "api://m/.default").treatment(of: bare)) == "whole")
    #expect(Self.name(Self.route(.deny).treatment(of: named)) == "deny")
    let link = Self.route(.upstreamLink, hosts: ["consent.example"])
    #expect(Self.name(link.treatment(of: bare)) == "https://consent.example/x")
    #expect(Self.name(link.treatment(of: named)) == "deny")
  }

  @Test(arguments: [
    "https://consent.example.evil.test/x", "https://evil.test/consent.example", "http://consent.example/x",
    "javascript:alert(1)//consent.example", "https://consent.example@evil.test/", "//consent.example/x",
  ]) func `a link elsewhere is not shown`(link: String) {
    let route = Self.route(.upstreamLink, hosts: ["consent.example"])
    var need = Self.need()
    need.links = [link]
    #expect(Self.name(route.treatment(of: need)) == "deny")
  }
}

@Suite struct ConsentCodecTests {
  static let consent = SignInAttempt.Consent(
    session: hash(1), user: Bytes32(2, 0, 0, 0), route: "/mcp3", scopes: ["a", "b"], claims: "{}",
    acrValues: ["mfa"], maxAge: 60, prompt: "consent", tool: "send \u{1F4E7}", ask: hash(4), isWhole: true)

  @Test func `a link's meaning comes back`() throws {
    for link in [nil, "https://consent.example/x"] {
      let continuation = Continuation(consent: Self.consent, returnTo: "/x", upstreamLink: link)
      #expect(try #require(Continuation(encoded: continuation.encoded())) == continuation)
    }
    #expect(Continuation(encoded: []) == nil)
    #expect(Continuation(encoded: Array(#"{"consent":{},"return_to":"/"}"#.utf8)) == nil)
  }

  @Test func `an entry of the ledger comes back, and the same consent is the same entry`() throws {
    let route = try makeRoute()
    let given = GivenConsent(route: route, consent: Self.consent, at: noon)
    let note = Note(kind: .consent, key: given.key, payload: given.note.serialized(), updatedAt: noon)
    let copy = try #require(GivenConsent(note))
    #expect(copy.scopes == ["a", "b"] && copy.tool == Self.consent.tool && copy.at == noon)
    var other = Self.consent
    other.scopes = ["b", "a"]
    #expect(GivenConsent(route: route, consent: other, at: noon + .seconds(1)).key == given.key)
    other.tool = nil
    #expect(GivenConsent(route: route, consent: other, at: noon).key != given.key)
  }

  @Test func `the elicitation's name does not give the link away`() {
    let id = Ticket.make()
    let name = ConsentQuestion.elicitationID(id.hash)
    #expect(name.utf8.count == 22)
    #expect(!id.reveal().contains(name))
  }
}

extension JSONObject {
  fileprivate func serialized() -> [UInt8] { JSONValue.object(self).serializedBytes() }
}
