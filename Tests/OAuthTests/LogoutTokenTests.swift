import Basics
import JSON
import Testing

@testable import OAuth

/// One bad logout token and the one reason for which it must be refused.
struct LogoutMutant: Sendable, CustomTestStringConvertible {
  let name: String
  let reason: IDTokenRejection
  var header: [String: JSONValue?] = [:]
  var claims: [String: JSONValue?] = [:]
  var testDescription: String { name }

  static let event = "http://schemas.openid.net/event/backchannel-logout"

  static let all: [LogoutMutant] = [
    LogoutMutant(name: "alg none", reason: .unsigned, header: ["alg": "none"]),
    LogoutMutant(name: "HS256", reason: .algorithm, header: ["alg": "HS256"]),
    LogoutMutant(name: "kid of nobody", reason: .unknownKey, header: ["kid": "k9"]),
    LogoutMutant(name: "kid of another key", reason: .signature, header: ["kid": "k2"]),
    LogoutMutant(name: "crit", reason: .critical, header: ["crit": ["exp"]]),
    LogoutMutant(name: "typ of an ID token", reason: .type, header: ["typ": "id_token+jwt"]),
    LogoutMutant(name: "typ of an access token", reason: .type, header: ["typ": "at+jwt"]),
    LogoutMutant(name: "no iss", reason: .issuer, claims: ["iss": nil]),
    LogoutMutant(name: "iss of another", reason: .issuer, claims: ["iss": "https://evil.example"]),
    LogoutMutant(name: "no aud", reason: .audience, claims: ["aud": nil]),
    LogoutMutant(name: "aud of another", reason: .audience, claims: ["aud": "other"]),
    LogoutMutant(
      name: "an audience nobody trusts", reason: .untrustedAudience, claims: ["aud": ["proxy", "x"]]),
    LogoutMutant(name: "no exp", reason: .expiryMissing, claims: ["exp": nil]),
    LogoutMutant(name: "exp beyond the skew", reason: .expired, claims: ["exp": Mutant.seconds(-91)]),
    LogoutMutant(name: "no iat", reason: .issuedAtMissing, claims: ["iat": nil]),
    LogoutMutant(name: "iat in ten minutes", reason: .issuedInFuture, claims: ["iat": Mutant.seconds(600)]),
    LogoutMutant(name: "iat an hour ago", reason: .issuedTooLongAgo, claims: ["iat": Mutant.seconds(-3600)]),
    LogoutMutant(name: "no events", reason: .logoutEvent, claims: ["events": nil]),
    LogoutMutant(name: "events is a list", reason: .logoutEvent, claims: ["events": [.string(event)]]),
    LogoutMutant(name: "another event", reason: .logoutEvent, claims: ["events": ["urn:x": [:]]]),
    LogoutMutant(
      name: "the event is true", reason: .logoutEvent,
      claims: ["events": .object(JSONObject([(event, true)]))]),
    LogoutMutant(name: "nonce", reason: .logoutNonce, claims: ["nonce": "n-0S6_WzA2Mj"]),
    LogoutMutant(name: "nonce that is null", reason: .logoutNonce, claims: ["nonce": .some(.null)]),
    LogoutMutant(name: "no jti", reason: .logoutID, claims: ["jti": nil]),
    LogoutMutant(name: "jti is empty", reason: .logoutID, claims: ["jti": ""]),
    LogoutMutant(name: "jti is a number", reason: .logoutID, claims: ["jti": 7]),
    LogoutMutant(
      name: "jti of 256 bytes", reason: .logoutID,
      claims: ["jti": .string(String(repeating: "j", count: 256))]),
    LogoutMutant(name: "neither sub nor sid", reason: .logoutOfNobody, claims: ["sub": nil, "sid": nil]),
    LogoutMutant(name: "sub is empty", reason: .subject, claims: ["sub": ""]),
    LogoutMutant(name: "sub is a number", reason: .subject, claims: ["sub": 7]),
    LogoutMutant(name: "sid is empty", reason: .logoutSession, claims: ["sid": ""]),
    LogoutMutant(name: "sid is a number", reason: .logoutSession, claims: ["sid": 7]),
  ]
}

@Suite struct LogoutTokenTests {
  private static let header: JSONObject = ["alg": "RS256", "kid": "k1", "typ": "logout+jwt"]

  private func world() throws -> World {
    try World(
      keySet: TokenMint.keySet(
        try TokenMint.rsaJWK("k1"), try TokenMint.rsaJWK("k2", pem: TestPEM.otherRSA)))
  }

  private func claims(_ world: World) -> JSONObject {
    world.claims.with([
      "nonce": nil, "name": nil, "sid": "s1", "jti": "t1",
      "events": .object(JSONObject([(LogoutMutant.event, .object([:]))])),
    ])
  }

  private func judge(_ world: World, _ token: Secret) async -> Result<LogoutTokenClaims, OAuthError> {
    do throws(OAuthError) {
      return .success(try await world.provider.validate(logoutToken: token))
    } catch {
      return .failure(error)
    }
  }

  private func refusal(_ world: World, _ token: Secret) async -> IDTokenRejection? {
    if case .failure(.idToken(let rejection)) = await judge(world, token) { return rejection }
    return nil
  }

  @Test(
    arguments: [
      (["typ": "logout+jwt"], [:]), (["typ": "application/logout+jwt"], [:]), (["typ": "JWT"], ["sub": nil]),
      (["typ": nil], ["sid": nil]),
    ] as [([String: JSONValue?], [String: JSONValue?])])
  func `a good token says whom to sign out`(_ header: [String: JSONValue?], _ changes: [String: JSONValue?])
    async throws
  {
    let world = try world()
    let token = try await TokenMint.rsa().token(
      header: Self.header.with(header), claims: claims(world).with(changes))
    let found = try await judge(world, token).get()
    #expect(found.issuer == World.issuer && found.id == "t1")
    #expect(found.subject == (changes.keys.contains("sub") ? nil : "alice"))
    #expect(found.sid == (changes.keys.contains("sid") ? nil : "s1"))
    #expect(found.usableUntil == world.clock.now + .seconds(300) + world.provider.settings.clockSkew)
  }

  @Test func `however late it expires, it is usable for as long only as its age is accepted`() async throws {
    let world = try world()
    let token = try await TokenMint.rsa().token(
      header: Self.header, claims: claims(world).with(["exp": Mutant.seconds(400 * 86_400)]))
    let until = try await judge(world, token).get().usableUntil
    #expect(until <= world.clock.now + .seconds(700))
    world.clock.advance(by: until + .seconds(1) - world.clock.now)
    #expect(await refusal(world, token) == .issuedTooLongAgo)
  }

  @Test(arguments: LogoutMutant.all)
  func `a mutant is refused for its own reason`(_ mutant: LogoutMutant) async throws {
    let world = try world()
    let token = try await TokenMint.rsa().token(
      header: Self.header.with(mutant.header), claims: claims(world).with(mutant.claims))
    #expect(await refusal(world, token) == mutant.reason)
  }

  @Test func `an ID token is no logout token, and a logout token no ID token`() async throws {
    let world = try world()
    let mint = try await TokenMint.rsa()
    #expect(
      await refusal(world, try mint.token(header: World.header, claims: world.claims)) == .logoutEvent)
    let logout = try mint.token(header: World.header, claims: claims(world))
    #expect(await world.judge(logout).rejection == .nonceMissing)
  }

  @Test func `claims of a token with a bad signature are not looked at`() async throws {
    let world = try world()
    let token = try await TokenMint.rsa(TestPEM.otherRSA).token(
      header: Self.header, claims: claims(world).with(["iss": nil]))
    #expect(await refusal(world, token) == .signature)
  }

  @Test func `unknown keys in tokens that anybody sent leave sign-ins their own look at the key set`()
    async throws
  {
    let world = try world()
    let mint = try await TokenMint.rsa()
    for _ in 0..<3 {
      let token = try mint.token(header: Self.header.with(["kid": "k9"]), claims: claims(world))
      #expect(await refusal(world, token) == .unknownKey)
    }
    #expect(world.transport.count("/jwks") == 2)
    let rotated = TokenMint.keySet(try TokenMint.rsaJWK("k7"))
    world.transport.script("/jwks", rotated)
    let signIn = try mint.token(header: World.header.with(["kid": "k7"]), claims: world.claims)
    #expect(try await world.judge(signIn).get().subject == "alice")
  }
}
