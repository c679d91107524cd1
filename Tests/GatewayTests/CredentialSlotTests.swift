import Basics
import Consent
import JSON
import Sessions
import Testing

@testable import Gateway
@testable import OAuth

@Suite struct CredentialSlotTests {
  static func slots(isEntra: Bool = false, _ wanted: [(scope: [String], resource: String?)])
    -> CredentialSlots
  {
    var slots = CredentialSlots(scopeNamesResource: isEntra, sessionClaims: ["email", "absent"])
    for want in wanted { _ = slots.slot(scope: want.scope, resource: want.resource) }
    return slots
  }

  static let user = UserKey(issuer: "https://idp.test", subject: "alice")

  static func arrival(
    resource: String? = nil, refreshToken: String? = "refresh", granted: [String]? = nil,
    purpose: SignInAttempt.Purpose = .signIn
  ) -> SignIn.Arrival {
    SignIn.Arrival(
      attempt: SignInAttempt(
        cookieName: "n", state: Secret("s"), nonce: "n", codeVerifier: Secret("v"),
        issuer: "https://idp.test",
        returnTo: "/", scope: ["openid", "asked"], resource: resource, purpose: purpose),
      claims: IDTokenClaims(
        issuer: "https://idp.test", subject: "alice", audience: ["c"], expiresAt: noon, issuedAt: noon,
        authTime: noon,
        raw: [
          "name": "Alice", "preferred_username": "alice@test", "email": "a@test", "secret": "x",
          "sid": "sid-1",
        ]),
      tokens: TokenResponse(
        accessToken: Secret("access"), tokenType: "Bearer", expiresIn: .seconds(60), refreshIn: nil,
        refreshToken: refreshToken.map { Secret($0) }, idToken: Secret("id"), scope: granted))
  }

  static func consent(_ scopes: [String], isWhole: Bool = false) -> SignInAttempt.Purpose {
    .consent(
      SignInAttempt.Consent(
        session: hash(1), user: user.digest, route: "/mcp0", scopes: scopes, claims: nil, acrValues: [],
        maxAge: nil, prompt: nil, isWhole: isWhole))
  }

  @Test func `routes that want the same token share a slot`() {
    var slots = CredentialSlots(scopeNamesResource: false, sessionClaims: [])
    #expect(slots.slot(scope: ["a", "b"], resource: nil) == 0)
    #expect(slots.slot(scope: ["a", "b"], resource: nil) == 0)
    #expect(slots.slot(scope: ["a"], resource: nil) == 1)
    #expect(slots.slot(scope: ["a"], resource: "https://r.test") == 2)
    #expect(slots.slot(scope: ["a"], resource: "https://r.test") == 2)
    #expect(slots.slot(scope: [], resource: "https://r.test") == 3)
    #expect(slots.slot(scope: [], resource: nil) == 4)
    #expect(Set(slots.slots.map(\.key)).count == 5)
    for index in 0..<5 { #expect(slots.slot(of: slots.key(index)) == slots.slots[index]) }
  }

  @Test func `with one slot the code's token is that slot's`() {
    for (resource, refresh) in [(nil, nil), (nil, "r"), ("https://r.test", "r")] as [(String?, String?)] {
      let slots = Self.slots([(["a"], resource)])
      let grant = slots.grant(
        Self.arrival(resource: resource, refreshToken: refresh), user: Self.user, previous: nil,
        consentSlot: nil)
      #expect(Array(grant.tokens.keys) == [slots.key(0)])
    }
  }

  @Test func `with several slots and no resource the code's token goes to nobody`() {
    let slots = Self.slots([(["a"], nil), (["b"], nil)])
    let grant = slots.grant(Self.arrival(), user: Self.user, previous: nil, consentSlot: nil)
    #expect(grant.tokens.isEmpty)
    #expect(grant.refreshToken == Secret("refresh"))
  }

  @Test func `with a resource the code's token is for the slot it was asked for`() {
    let slots = Self.slots([(["a"], "https://a.test"), (["b"], "https://b.test")])
    let first = slots.grant(
      Self.arrival(resource: "https://a.test"), user: Self.user, previous: nil, consentSlot: nil)
    #expect(Array(first.tokens.keys) == [slots.key(0)])
    let second = slots.grant(
      Self.arrival(resource: "https://b.test", purpose: Self.consent(["c"])), user: Self.user, previous: nil,
      consentSlot: 1)
    #expect(Array(second.tokens.keys) == [slots.key(1)])
  }

  @Test func `where the scope names the resource the code is redeemed for one, and its token is that one's`()
  {
    let slots = Self.slots(isEntra: true, [(["api://a/x"], nil), (["api://b/x"], nil)])
    for (consentSlot, expected) in [(nil, 0), (0, 0), (1, 1)] as [(Int?, Int)] {
      let grant = slots.grant(Self.arrival(), user: Self.user, previous: nil, consentSlot: consentSlot)
      #expect(Array(grant.tokens.keys) == [slots.key(expected)])
    }
  }

  @Test func `a token with less than before is not kept, and all that was granted stays in mind`() {
    let slots = Self.slots([(["a"], nil)])
    let before = AccessToken(
      secret: Secret("old"), scopes: ["a", "b"], issuedAt: noon, softExpiry: noon, hardExpiry: noon,
      expiresAt: noon)
    let previous = Session(
      hash: hash(1), user: Self.user, createdAt: noon, lastSeenAt: noon, grantedScopes: ["openid", "a", "b"],
      tokens: [slots.key(0): before])
    let arrival = Self.arrival(granted: ["openid", "a", "c"], purpose: Self.consent(["c"]))
    #expect(slots.narrowed(arrival, previous: previous) == ["b"])
    let grant = slots.grant(arrival, user: Self.user, previous: previous, consentSlot: 0)
    #expect(grant.tokens.isEmpty)
    #expect(Set(grant.grantedScopes) == ["openid", "a", "b", "c"])
  }

  @Test func `an exchanged token has a slot of its own beside the one it is made of`() {
    var slots = CredentialSlots(scopeNamesResource: false, sessionClaims: [])
    let subject = slots.slot(scope: ["self"], resource: nil)
    let exchange = CredentialSlots.Exchange(form: .tokenExchange, subject: subject, audience: ["tools"])
    let exchanged = slots.slot(scope: ["tools.use"], resource: nil, exchange: exchange)
    #expect(slots.slot(scope: ["tools.use"], resource: nil, exchange: exchange) == exchanged)
    #expect(slots.slot(scope: ["tools.use"], resource: nil) != exchanged)
    var other = exchange
    other.audience = ["others"]
    #expect(slots.slot(scope: ["tools.use"], resource: nil, exchange: other) != exchanged)
    #expect(slots.askedScope(exchanged) == ["self", "tools.use"])
    #expect(slots.redeemed(exchanged) == subject)
  }

  @Test func `an exchanged token is never the code's own`() {
    var slots = CredentialSlots(scopeNamesResource: false, sessionClaims: [])
    let exchange = CredentialSlots.Exchange(form: .tokenExchange, subject: nil, audience: ["tools"])
    let index = slots.slot(scope: ["tools.use"], resource: nil, exchange: exchange)
    for (refresh, consentSlot) in [("r", nil), (nil, nil), ("r", index), (nil, index)] as [(String?, Int?)] {
      let grant = slots.grant(
        Self.arrival(refreshToken: refresh), user: Self.user, previous: nil, consentSlot: consentSlot)
      #expect(grant.tokens.isEmpty)
    }
  }

  @Test func `what was asked for as a whole is not taken for what can be exchanged`() {
    var slots = CredentialSlots(scopeNamesResource: true, sessionClaims: [])
    let subject = slots.slot(scope: ["api://self/use"], resource: nil)
    let exchange = CredentialSlots.Exchange(form: .onBehalfOf, subject: subject, audience: [])
    let exchanged = slots.slot(scope: ["api://tools/use"], resource: nil, exchange: exchange)
    for (isWhole, expected) in [(true, []), (false, [slots.key(subject)])] {
      let purpose = Self.consent(["api://tools/.default"], isWhole: isWhole)
      let grant = slots.grant(
        Self.arrival(purpose: purpose), user: Self.user, previous: nil, consentSlot: exchanged)
      #expect(Array(grant.tokens.keys) == expected)
    }
  }

  @Test func `a code is redeemed for the resource that its consent is about`() {
    let plain = Self.slots([(["a"], "https://a.test"), (["b"], nil)])
    #expect(plain.askedResource(0) == "https://a.test" && plain.askedResource(1) == nil)
    var entra = Self.slots(isEntra: true, [(["api://a/x"], nil), (["api://b/x"], nil)])
    #expect(entra.askedResource(0) == "api://a" && entra.askedResource(1) == "api://b")
    let exchange = CredentialSlots.Exchange(form: .onBehalfOf, subject: 0, audience: [])
    let exchanged = entra.slot(scope: ["api://c/x"], resource: nil, exchange: exchange)
    #expect(entra.askedResource(exchanged) == "api://a")
  }

  @Test func `new consent is remembered for its slot beside what was there`() {
    let slots = Self.slots([(["a"], nil), (["b"], nil)])
    let previous = Session(
      hash: hash(1), user: Self.user, createdAt: noon, lastSeenAt: noon,
      extraScopes: [slots.key(0): ["old"], slots.key(1): ["other"]])
    // What the token answer does not name was not granted, whatever was asked.
    let arrival = Self.arrival(
      granted: ["a", "old", "new"], purpose: Self.consent(["new", "old", "declined"]))
    let grant = slots.grant(arrival, user: Self.user, previous: previous, consentSlot: 0)
    #expect(grant.extraScopes == [slots.key(0): ["old", "new"], slots.key(1): ["other"]])
  }

  @Test func `nothing of another person's session is carried over`() {
    let slots = Self.slots([(["a"], nil)])
    let bob = UserKey(issuer: "https://idp.test", subject: "bob")
    let previous = Session(
      hash: hash(1), user: bob, createdAt: noon, lastSeenAt: noon, extraScopes: [slots.key(0): ["bobs"]])
    let grant = slots.grant(Self.arrival(), user: Self.user, previous: previous, consentSlot: nil)
    #expect(grant.extraScopes.isEmpty)
  }

  @Test func `what was granted is what the provider says, else what was asked`() {
    let slots = Self.slots([(["a"], nil)])
    let told = slots.grant(
      Self.arrival(granted: ["openid"]), user: Self.user, previous: nil, consentSlot: nil)
    #expect(told.grantedScopes == ["openid"])
    let silent = slots.grant(Self.arrival(), user: Self.user, previous: nil, consentSlot: nil)
    #expect(silent.grantedScopes == ["openid", "asked"])
  }

  @Test func `a profile has only the claims that are listed`() throws {
    let grant = Self.slots([]).grant(Self.arrival(), user: Self.user, previous: nil, consentSlot: nil)
    #expect(grant.profile.name == "Alice")
    #expect(grant.profile.claims == "{\"email\":\"a@test\"}")
    #expect(grant.sid == "sid-1")
  }

  @Test func `a person is issuer and subject, with Entra tenant and object`() {
    var claims = Self.arrival().claims
    #expect(Self.slots([]).user(of: claims) == Self.user)
    #expect(Self.slots(isEntra: true, []).user(of: claims) == Self.user)
    claims = IDTokenClaims(
      issuer: "https://i", subject: "pairwise", audience: [], expiresAt: noon, issuedAt: noon, authTime: nil,
      raw: ["tid": "t", "oid": "o"])
    #expect(
      Self.slots(isEntra: true, []).user(of: claims)
        == UserKey(issuer: "https://i/t", tenant: "t", objectID: "o"))
    #expect(Self.slots([]).user(of: claims) == UserKey(issuer: "https://i", subject: "pairwise"))
  }

  @Test func `a snapshot holds each slot's ready line and nothing for an empty slot`() throws {
    let slots = Self.slots([(["a"], nil), (["b"], nil), (["c"], nil)])
    func token(_ text: String) -> AccessToken {
      AccessToken(
        secret: Secret(text), scopes: nil, issuedAt: noon, softExpiry: noon + .seconds(10),
        hardExpiry: noon + .seconds(20), expiresAt: noon + .seconds(30))
    }
    let session = Session(
      hash: hash(4), user: Self.user, createdAt: noon, lastSeenAt: noon + .seconds(1),
      tokens: [slots.key(0): token("t0"), slots.key(2): token("t2"), ResourceKey("gone"): token("stale")],
      generation: 9)
    let snapshot = slots.snapshot(of: session)
    #expect(
      snapshot.credentials.map(\.?.token) == [Secret("t0"), nil, Secret("t2")])
    #expect(snapshot.credentials[2]?.softExpiry == noon + .seconds(10))
    #expect(snapshot.credentials[2]?.expiry == noon + .seconds(20))
    #expect(snapshot.hash == hash(4) && snapshot.generation == 9 && snapshot.userDigest == Self.user.digest)
    #expect(snapshot.lastSeen == noon + .seconds(1))
  }

  @Test func `the scopes of a token are those named, else those asked`() {
    let slots = Self.slots([(["a"], nil), (["b"], nil), (["c"], nil)])
    func token(_ scopes: [String]?) -> AccessToken {
      AccessToken(
        secret: Secret("t"), scopes: scopes, issuedAt: noon, softExpiry: noon, hardExpiry: noon,
        expiresAt: noon)
    }
    let session = Session(
      hash: hash(4), user: Self.user, createdAt: noon, lastSeenAt: noon,
      tokens: [slots.key(0): token(["named"]), slots.key(1): token(nil)],
      extraScopes: [slots.key(0): ["x"], slots.key(1): ["y", "b"]])
    #expect(slots.scopes(of: session, slot: 0) == ["named"])
    #expect(slots.scopes(of: session, slot: 1) == ["b", "y"])
    #expect(slots.scopes(of: session, slot: 2) == [])
  }
}
