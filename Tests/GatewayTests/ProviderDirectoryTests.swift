import Basics
import HTTP
import Reactor
import Sessions
import Testing

@testable import Gateway
@testable import OAuth

@Suite struct ProviderDirectoryTests {
  /// A provider is looked up, never talked to.
  struct NoTransport: HTTPTransport {
    func send(_ request: FetchRequest) async throws(TransportError) -> FetchResponse {
      throw TransportError(.connect, "nobody is asked")
    }
  }

  struct Given {
    var name: String
    var issuer: String
    var tenants: Set<String> = []
    var profile: ProviderProfile?
  }

  static let loop = EventLoop(name: "directory")

  static func directory(_ given: Given...) -> ProviderDirectory {
    ProviderDirectory(
      all: given.enumerated().map { index, given in
        var settings = ProviderSettings(issuer: given.issuer, clientID: "c", authentication: .none)
        settings.allowedTenants = given.tenants
        settings.profile = given.profile ?? settings.profile
        let provider = Provider(settings: settings, transport: NoTransport(), executor: loop)
        return ConfiguredProvider(
          index: index, name: given.name, sessionName: given.name == "default" ? nil : given.name,
          title: given.name, provider: provider,
          signIn: SignIn(
            provider: provider, store: MemorySessionStore(),
            settings: SignIn.Settings(
              provider: given.name, redirectURI: "", issuer: given.issuer, scope: [], routeScopes: [],
              resource: nil, acrValues: [], prompt: nil,
              cookies: CookieJar(
                isSecure: true, sessionName: "__Host-c", sameSite: .lax, attemptLifetime: .seconds(600))),
            clock: { noon }),
          slots: CredentialSlots(scopeNamesResource: false, sessionClaims: []), origin: given.issuer,
          callbackPath: "/auth/callback/" + given.name, postLogoutRedirectURI: "/", frontChannel: .off)
      })
  }

  static func session(_ provider: String?, issuer: String, tenant: String? = nil) -> Session {
    Session(
      hash: Ticket.make().hash,
      user: tenant.map { UserKey(issuer: issuer, tenant: $0, objectID: "o") }
        ?? UserKey(issuer: issuer, subject: "s"),
      provider: provider, createdAt: noon, lastSeenAt: noon)
  }

  static let two = directory(
    Given(name: "a", issuer: "https://a.test"), Given(name: "b", issuer: "https://b.test"))

  @Test(
    arguments: [
      ("a", "https://a.test", "a"), ("b", "https://b.test", "b"),
      // The issuer decides where there is no name, and both must fit where there is one.
      (nil, "https://b.test", "b"), (nil, "https://c.test", nil), ("a", "https://b.test", nil),
      ("b", "https://a.test", nil), ("c", "https://a.test", nil), ("a", "https://a.test/", nil),
      ("a", "https://A.test", nil),
    ] as [(String?, String, String?)])
  func `a session belongs to the provider of its name and issuer`(
    name: String?, issuer: String, expected: String?
  ) {
    let session = Self.session(name, issuer: issuer)
    #expect(Self.two.of(session)?.name == expected)
    #expect(Self.two.snapshot(of: session)?.provider == Self.two.of(session)?.index)
  }

  @Test func `two clients of one issuer are told apart by name, and not without one`() {
    let same = Self.directory(
      Given(name: "a", issuer: "https://a.test"), Given(name: "b", issuer: "https://a.test"))
    #expect(same.of(Self.session("b", issuer: "https://a.test"))?.name == "b")
    #expect(same.of(Self.session(nil, issuer: "https://a.test")) == nil)
    #expect(same.of(issuer: "https://a.test").map(\.name) == ["a", "b"])
  }

  @Test func `the only provider is that of sessions without a name, if they are its own`() {
    let one = Self.directory(Given(name: "default", issuer: "https://a.test"))
    #expect(one.of(Self.session(nil, issuer: "https://a.test")) != nil)
    #expect(one.of(Self.session(nil, issuer: "https://before.test")) == nil)
    #expect(one.of(Self.session("a", issuer: "https://a.test")) == nil)
    #expect(!one.isSeveral && Self.two.isSeveral)
  }

  private static let tenant = "11111111-2222-3333-4444-555555555555"
  private static let other = "99999999-2222-3333-4444-555555555555"

  private static func entra(_ tenant: String) -> String { "https://login.microsoftonline.com/\(tenant)/v2.0" }

  @Test func `an issuer for many tenants stands for each of them, and for those alone that are listed`() {
    for name in ["common", "organizations"] {
      let all = Self.directory(Given(name: "e", issuer: Self.entra(name)))
      #expect(all.of(Self.session("e", issuer: Self.entra(Self.tenant), tenant: Self.tenant)) != nil)
      for foreign in [
        "https://login.microsoftonline.us/\(Self.tenant)/v2.0", Self.entra(Self.tenant) + "/",
        Self.entra("x" + Self.tenant.dropFirst()), "https://login.microsoftonline.com/\(Self.tenant)/v1.0",
        "https://login.microsoftonline.com.evil.test/\(Self.tenant)/v2.0",
      ] { #expect(all.of(issuer: foreign).isEmpty, "\(foreign)") }
    }
    let listed = Self.directory(
      Given(name: "e", issuer: Self.entra("organizations"), tenants: [Self.tenant]))
    #expect(listed.of(Self.session("e", issuer: Self.entra(Self.tenant), tenant: Self.tenant)) != nil)
    #expect(listed.of(Self.session("e", issuer: Self.entra(Self.other), tenant: Self.other)) == nil)
    // Also where the person is known by subject.
    #expect(listed.of(Self.session("e", issuer: Self.entra(Self.other))) == nil)
    #expect(
      listed.of(issuer: Self.entra(Self.other)).isEmpty && !listed.of(issuer: Self.entra(Self.tenant)).isEmpty
    )
  }

  @Test func `an issuer for one tenant stands for no other`() {
    let one = Self.directory(Given(name: "e", issuer: Self.entra(Self.tenant)))
    #expect(one.of(issuer: Self.entra(Self.tenant)).count == 1)
    #expect(one.of(issuer: Self.entra(Self.other)).isEmpty)
    #expect(one.of(issuer: Self.entra("common")).isEmpty)
  }

  @Test func `names and callback paths are compared letter by letter`() {
    #expect(Self.two.named("a")?.index == 0 && Self.two.named("A") == nil && Self.two.named("") == nil)
    #expect(Self.two.at(callbackPath: "/auth/callback/b")?.name == "b")
    for path in ["/auth/callback", "/auth/callback/", "/auth/callback/B", "/auth/callback/b/"] {
      #expect(Self.two.at(callbackPath: path) == nil)
    }
  }

  @Test func `a provider asks for the scopes of its own routes and reads its own slots`() {
    var all = CredentialSlots(scopeNamesResource: false, sessionClaims: [])
    let shared = all.slot(scope: ["shared"], resource: nil)
    let first = all.slot(scope: ["first"], resource: "https://r.test")
    let own = CredentialSlots(all, scopeNamesResource: true, used: [first])
    #expect(own.routeScopes == ["first"] && own.isSingle && own.firstRefreshed == first)
    #expect(own.slots == all.slots && own.key(shared) == all.key(shared))
    #expect(all.routeScopes == ["shared", "first"] && !all.isSingle)
    let none = CredentialSlots(all, scopeNamesResource: false, used: [])
    #expect(none.routeScopes.isEmpty && none.firstRefreshed == nil && !none.isSingle)
  }

  @Test func `the page to choose from shows names as text and leads nowhere else`() {
    let page = Pages.choice([(title: "<b>Staff</b> & co", href: "/auth/login?provider=staff&return_to=%2F")])
    #expect(page.contains("&lt;b&gt;Staff&lt;/b&gt; &amp; co"))
    #expect(page.contains("href=\"/auth/login?provider=staff&amp;return_to=%2F\""))
  }
}
