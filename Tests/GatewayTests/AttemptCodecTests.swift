import Basics
import JSON
import Testing

@testable import Gateway

@Suite struct AttemptCodecTests {
  static let consent = SignInAttempt.Consent(
    session: hash(7), user: Bytes32(1, 2, 3, 4), route: "/mcp3", scopes: ["a", "api://x/y"],
    claims: "{\"access_token\":{\"nbf\":{\"essential\":true}}}", acrValues: ["phr", "mfa"], maxAge: 0,
    prompt: "consent")

  static let plainConsent = SignInAttempt.Consent(
    session: hash(7), user: Bytes32(.max, 0, .max, 1), route: "/mcp0", scopes: [], claims: nil, acrValues: [],
    maxAge: nil,
    prompt: nil)

  static func attempt(_ purpose: SignInAttempt.Purpose, resource: String? = nil) -> SignInAttempt {
    SignInAttempt(
      cookieName: "m1-ab", state: Secret("m1-ab.state\"\\\u{1F511}"), nonce: "nonce",
      codeVerifier: Secret("verifier"),
      issuer: "https://idp.test/\u{E9}", returnTo: "/a?b=\"c\"&d=%0A", scope: ["openid", "profile"],
      resource: resource,
      purpose: purpose)
  }

  static func check(_ a: SignInAttempt, _ b: SignInAttempt) {
    #expect(a.cookieName == b.cookieName && a.state == b.state && a.nonce == b.nonce)
    #expect(a.codeVerifier == b.codeVerifier && a.issuer == b.issuer && a.returnTo == b.returnTo)
    #expect(a.scope == b.scope && a.resource == b.resource && a.purpose == b.purpose)
  }

  @Test(
    arguments: [.signIn, .consent(consent), .consent(plainConsent)] as [SignInAttempt.Purpose],
    [nil, "https://r.test/"])
  func `an attempt comes back as it was stored`(purpose: SignInAttempt.Purpose, resource: String?) throws {
    let attempt = Self.attempt(purpose, resource: resource)
    Self.check(try #require(SignInAttempt(encoded: attempt.encoded())), attempt)
  }

  @Test(arguments: [consent, plainConsent]) func `a continuation comes back as it was stored`(
    consent: SignInAttempt.Consent
  ) throws {
    let stored = Continuation(consent: consent, returnTo: "/page?x=1#y").encoded()
    let back = try #require(Continuation(encoded: stored))
    #expect(back.consent == consent)
    #expect(back.returnTo == "/page?x=1#y")
  }

  @Test func `no part of a stored form is a stored form`() {
    let attempt = Self.attempt(.consent(Self.consent)).encoded()
    for count in 0..<attempt.count { #expect(SignInAttempt(encoded: Array(attempt.prefix(count))) == nil) }
    let continuation = Continuation(consent: Self.consent, returnTo: "/").encoded()
    for count in 0..<continuation.count {
      #expect(Continuation(encoded: Array(continuation.prefix(count))) == nil)
    }
  }

  @Test(
    arguments: [
      "", "{}", "[]", "null", "x", "{\"consent\":{}}", "{\"consent\":null,\"return_to\":\"/\"}",
      "{\"consent\":{\"session\":\"AA\",\"user\":\"AA\",\"route\":0,\"scopes\":[],\"acr_values\":[]},\"return_to\":\"/\"}",
    ]) func `garbage is neither an attempt nor a continuation`(text: String)
  {
    #expect(SignInAttempt(encoded: Array(text.utf8)) == nil)
    #expect(Continuation(encoded: Array(text.utf8)) == nil)
  }

  @Test(arguments: ["cookie", "state", "nonce", "verifier", "issuer", "return_to", "scope"])
  func `an attempt without one of its parts is none`(missing: String) throws {
    let stored = try #require(try JSONValue.parse(Self.attempt(.signIn).encoded()).object)
    let rest = JSONObject(stored.members.filter { $0.key != missing }.map { ($0.key, $0.value) })
    #expect(rest.count == stored.count - 1)
    #expect(SignInAttempt(encoded: JSONValue.object(rest).serializedBytes()) == nil)
  }

  @Test(arguments: ["session", "user", "route", "scopes", "acr_values"])
  func `a consent without one of its parts is none`(missing: String) throws {
    let stored = try #require(Self.consent.json.object)
    for replacement in [nil, .null, .string("?"), .bool(true)] as [JSONValue?] {
      // Any text may be the path of a route; whether there is one is looked up later.
      if missing == "route", replacement?.string != nil { continue }
      let members = stored.members.compactMap { member in
        member.key == missing ? replacement.map { (member.key, $0) } : (member.key, member.value)
      }
      #expect(SignInAttempt.Consent(json: .object(JSONObject(members))) == nil)
    }
  }

  @Test func `a stored attempt prints no secret`() {
    let text = "\(Self.attempt(.signIn))"
    #expect(!text.contains("verifier\"") && !text.contains("m1-ab.state"))
  }
}
