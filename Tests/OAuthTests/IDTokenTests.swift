import Basics
import Crypto
import JSON
import Testing

@testable import OAuth

/// One bad token and the one reason for which it must be refused.
struct Mutant: Sendable, CustomTestStringConvertible {
  let name: String
  let reason: IDTokenRejection
  var header: [String: JSONValue?] = [:]
  var claims: [String: JSONValue?] = [:]
  var expectation = IDTokenExpectation(nonce: World.nonce)
  var testDescription: String { name }

  static func seconds(_ offset: Int64) -> JSONValue { .number(JSONNumber(FakeClock().now.seconds + offset)) }

  static let all: [Mutant] = [
    // Header.
    Mutant(name: "alg none", reason: .unsigned, header: ["alg": "none"]),
    Mutant(name: "alg None", reason: .unsigned, header: ["alg": "None"]),
    Mutant(name: "HS256 named, RSA signature", reason: .algorithm, header: ["alg": "HS256"]),
    Mutant(name: "RS512 is not in the allow-list", reason: .algorithm, header: ["alg": "RS512"]),
    Mutant(name: "alg in lower case", reason: .algorithm, header: ["alg": "rs256"]),
    Mutant(name: "no alg", reason: .malformed, header: ["alg": nil]),
    Mutant(name: "ES256 with an RSA key", reason: .algorithmKeyMismatch, header: ["alg": "ES256"]),
    Mutant(name: "kid of nobody", reason: .unknownKey, header: ["kid": "k9"]),
    Mutant(name: "kid is a number", reason: .malformed, header: ["kid": 1]),
    Mutant(name: "kid of another key", reason: .signature, header: ["kid": "k2"]),
    Mutant(name: "PS256 named, PKCS1 signature", reason: .signature, header: ["alg": "PS256"]),
    Mutant(name: "crit", reason: .critical, header: ["crit": ["exp"]]),
    Mutant(name: "typ of an access token", reason: .type, header: ["typ": "at+jwt"]),
    Mutant(name: "typ of an access token, long form", reason: .type, header: ["typ": "application/at+jwt"]),
    Mutant(name: "typ of a logout token", reason: .type, header: ["typ": "logout+jwt"]),
    // Who made it, for whom.
    Mutant(name: "no iss", reason: .issuer, claims: ["iss": nil]),
    Mutant(name: "iss of another", reason: .issuer, claims: ["iss": "https://evil.example"]),
    Mutant(name: "iss with a slash", reason: .issuer, claims: ["iss": "https://id.example/"]),
    Mutant(name: "no aud", reason: .audience, claims: ["aud": nil]),
    Mutant(name: "aud of another", reason: .audience, claims: ["aud": "other"]),
    Mutant(name: "aud list without this client", reason: .audience, claims: ["aud": ["other"]]),
    Mutant(name: "aud list with a number", reason: .audience, claims: ["aud": ["proxy", 1]]),
    Mutant(
      name: "an audience nobody trusts", reason: .untrustedAudience,
      claims: ["aud": ["proxy", "other"], "azp": "proxy"]),
    Mutant(
      name: "two audiences, no azp", reason: .authorizedPartyMissing, claims: ["aud": ["proxy", "friend"]]),
    Mutant(name: "azp of another", reason: .authorizedParty, claims: ["azp": "other"]),
    // When.
    Mutant(name: "no exp", reason: .expiryMissing, claims: ["exp": nil]),
    Mutant(name: "exp as text", reason: .expiryMissing, claims: ["exp": "1999999999"]),
    Mutant(name: "exp ten minutes ago", reason: .expired, claims: ["exp": seconds(-600)]),
    Mutant(name: "exp beyond the skew", reason: .expired, claims: ["exp": seconds(-91)]),
    Mutant(name: "nbf in ten minutes", reason: .notYetValid, claims: ["nbf": seconds(600)]),
    Mutant(name: "nbf as text", reason: .notYetValid, claims: ["nbf": "0"]),
    Mutant(name: "no iat", reason: .issuedAtMissing, claims: ["iat": nil]),
    Mutant(name: "iat in ten minutes", reason: .issuedInFuture, claims: ["iat": seconds(600)]),
    Mutant(name: "iat an hour ago", reason: .issuedTooLongAgo, claims: ["iat": seconds(-3600)]),
    Mutant(
      name: "iat at the end of time", reason: .issuedInFuture, claims: ["iat": .number(JSONNumber(Int64.max))]
    ),
    // For what.
    Mutant(name: "no nonce", reason: .nonceMissing, claims: ["nonce": nil]),
    Mutant(name: "nonce of another attempt", reason: .nonce, claims: ["nonce": "n-other"]),
    Mutant(
      name: "at_hash of another token", reason: .accessTokenHash,
      claims: ["at_hash": "LDktKdoQak3Pk0cnXxCltA"],
      expectation: IDTokenExpectation(nonce: World.nonce, accessToken: Secret("token"))),
    Mutant(
      name: "c_hash of another code", reason: .codeHash, claims: ["c_hash": "LDktKdoQak3Pk0cnXxCltA"],
      expectation: IDTokenExpectation(nonce: World.nonce, code: Secret("code"))),
    // Who.
    Mutant(name: "no sub", reason: .subject, claims: ["sub": nil]),
    Mutant(name: "empty sub", reason: .subject, claims: ["sub": ""]),
    Mutant(name: "sub is a number", reason: .subject, claims: ["sub": 7]),
    Mutant(
      name: "sub of 256 bytes", reason: .subjectTooLong,
      claims: ["sub": .string(String(repeating: "a", count: 256))]),
    Mutant(
      name: "sub of another user", reason: .subjectChanged, claims: ["sub": "bob"],
      expectation: IDTokenExpectation(nonce: World.nonce, subject: "alice")),
    // How.
    Mutant(
      name: "max_age asked, no auth_time", reason: .authTimeMissing,
      expectation: IDTokenExpectation(nonce: World.nonce, maxAge: .seconds(300))),
    Mutant(
      name: "signed in too long ago", reason: .authTimeTooOld, claims: ["auth_time": seconds(-1000)],
      expectation: IDTokenExpectation(nonce: World.nonce, maxAge: .seconds(300))),
    Mutant(
      name: "weaker acr than required", reason: .authenticationContext, claims: ["acr": "1"],
      expectation: IDTokenExpectation(nonce: World.nonce, requiredACRValues: ["2", "3"])),
  ]
}

@Suite struct IDTokenTests {
  private func world() throws -> World {
    try World(
      keySet: TokenMint.keySet(
        try TokenMint.rsaJWK("k1"), try TokenMint.rsaJWK("k2", pem: TestPEM.otherRSA),
        try TokenMint.p256JWK("k3"))
    ) { $0.trustedAudiences = ["friend"] }
  }

  @Test func `a good token says who the user is`() async throws {
    let world = try world()
    let claims = try await world.judge(
      try await TokenMint.rsa().token(header: World.header, claims: world.claims)
    ).get()
    #expect(claims.subject == "alice" && claims.issuer == World.issuer && claims.audience == ["proxy"])
    #expect(claims.name == "Alice" && claims.issuedAt == world.clock.now)
    #expect(claims.selected(["name", "none", "sub"]).serialized() == #"{"name":"Alice","sub":"alice"}"#)
  }

  @Test(arguments: Mutant.all) func `a mutant is refused for its own reason`(_ mutant: Mutant) async throws {
    let world = try world()
    let token = try await TokenMint.rsa().token(
      header: World.header.with(mutant.header), claims: world.claims.with(mutant.claims))
    let result = await world.judge(token, mutant.expectation)
    #expect(result.rejection == mutant.reason)
  }

  @Test(
    arguments: [
      ["iss": nil, "aud": "other", "exp": 1], ["nonce": nil, "sub": "", "exp": 1],
    ] as [[String: JSONValue?]])
  func `claims of a token with a bad signature are not looked at`(_ changes: [String: JSONValue?])
    async throws
  {
    let world = try world()
    let token = try await TokenMint.rsa(TestPEM.otherRSA).token(
      header: World.header, claims: world.claims.with(changes))
    #expect(await world.judge(token).rejection == .signature)
  }

  @Test func `a changed byte of any part breaks the signature`() async throws {
    let world = try world()
    let token = try await TokenMint.rsa().token(header: World.header, claims: world.claims).reveal()
    let parts = token.split(separator: ".").map(String.init)
    let payload = Base64URL.encode(
      Array(JSONValue.object(world.claims.with(["sub": "mallory"])).serialized().utf8))
    #expect(await world.judge(Secret("\(parts[0]).\(payload).\(parts[2])")).rejection == .signature)
    #expect(
      await world.judge(Secret("\(parts[0]).\(parts[1]).\(parts[2].dropLast(4))AAAA")).rejection == .signature
    )
    #expect(await world.judge(Secret("\(parts[0]).\(parts[1]).AAAA")).rejection == .signature)
    #expect(await world.judge(Secret("\(parts[0]).\(parts[1]).")).rejection == .signature)
  }

  @Test func `the public key is no HMAC secret`() async throws {
    let world = try world()
    let secret = SymmetricKey(data: Array(TestPEM.rsaCertificate.utf8))
    let input = [World.header.with(["alg": "HS256"]), world.claims]
      .map { Base64URL.encode(JSONValue.object($0).serializedBytes()) }.joined(separator: ".")
    let code = HMAC<SHA256>.authenticationCode(for: Array(input.utf8), using: secret)
    #expect(await world.judge(Secret(input + "." + Base64URL.encode(Array(code)))).rejection == .algorithm)
  }

  @Test(arguments: ["jwk", "jku", "x5u", "x5c"]) func `a key that a token brings along is not used`(
    _ name: String
  ) async throws {
    let world = try world()
    world.transport.script("/evil", TokenMint.keySet(try TokenMint.rsaJWK("k1", pem: TestPEM.otherRSA)))
    let value: JSONValue =
      switch name {
      case "jwk": try TokenMint.rsaJWK("k1", pem: TestPEM.otherRSA)
      case "x5c": ["AAAA"]
      default: "https://id.example/evil"
      }
    let mint = try await TokenMint.rsa(TestPEM.otherRSA)
    let forged = try mint.token(header: World.header.with([name: value]), claims: world.claims)
    #expect(await world.judge(forged).rejection == .signature)
    let unknown = try mint.token(
      header: World.header.with([name: value, "kid": "evil"]), claims: world.claims)
    #expect(await world.judge(unknown).rejection == .unknownKey)
    #expect(world.transport.count("/evil") == 0)
    // The same header field on a good token does no harm.
    let good = try await TokenMint.rsa().token(header: World.header.with([name: value]), claims: world.claims)
    #expect(await world.judge(good).error == nil)
  }

  @Test(arguments: [
    ("", IDTokenRejection.malformed), ("a.b", .malformed), ("e30.e30.", .malformed), ("..", .malformed),
    ("a.b.c.d", .malformed),
    ("a.b.c.d.e", .encrypted), ("a.b.c.d.e.f", .malformed), ("W10.e30.AA", .malformed),
    ("e30=.e30.AA", .malformed),
    ("e30.e30.A", .malformed), ("!!!.e30.AA", .malformed), ("bnVsbA.e30.AA", .malformed),
  ]) func `what is no token is malformed`(_ text: String, _ reason: IDTokenRejection) async throws {
    #expect(await (try world()).judge(Secret(text)).rejection == reason)
  }

  @Test func `a key that occurs twice is refused in header and payload`() async throws {
    let world = try world()
    let mint = try await TokenMint.rsa()
    let claims = JSONValue.object(world.claims).serialized()
    let twice = try mint.token(
      header: JSONValue.object(World.header).serialized(),
      payload: #"{"sub":"mallory","# + String(claims.dropFirst()))
    #expect(await world.judge(twice).rejection == .duplicateMember)
    let header = try mint.token(header: #"{"alg":"none","alg":"RS256","kid":"k1"}"#, payload: claims)
    #expect(await world.judge(header).rejection == .duplicateMember)
  }

  @Test func `a token beyond 64 KiB is refused unread`() async throws {
    let world = try world()
    let token = try await TokenMint.rsa().token(
      header: World.header,
      claims: world.claims.with(["pad": .string(String(repeating: "x", count: 64 << 10))]))
    #expect(await world.judge(token).rejection == .tooLarge)
  }

  @Test func `without kid exactly one key must fit`() async throws {
    let world = try world()
    let header = World.header.with(["kid": nil])
    let rsa = try await TokenMint.rsa().token(header: header, claims: world.claims)
    #expect(await world.judge(rsa).rejection == .ambiguousKey)
    let ec = try await TokenMint.p256().token(header: header.with(["alg": "ES256"]), claims: world.claims)
    #expect(await world.judge(ec).error == nil)
  }

  @Test func `a key's own alg binds`() async throws {
    let world = try World(keySet: TokenMint.keySet(try TokenMint.rsaJWK("k1", extra: ["alg": "RS256"])))
    let pss = try await TokenMint.pss().token(
      header: World.header.with(["alg": "PS256"]), claims: world.claims)
    #expect(await world.judge(pss).rejection == .algorithmKeyMismatch)
    let rs = try await TokenMint.rsa().token(header: World.header, claims: world.claims)
    #expect(await world.judge(rs).error == nil)
  }

  @Test func `metadata narrows the algorithms and cannot widen them`() async throws {
    let narrow = try World(
      metadata: World.metadata(
        World.issuer, ["id_token_signing_alg_values_supported": ["PS256", "none", "HS256"]]))
    let rs = try await TokenMint.rsa().token(header: World.header, claims: narrow.claims)
    #expect(await narrow.judge(rs).rejection == .algorithm)
    let pss = try await TokenMint.pss().token(
      header: World.header.with(["alg": "PS256"]), claims: narrow.claims)
    #expect(await narrow.judge(pss).error == nil)
    let none = try await TokenMint.rsa().token(
      header: World.header.with(["alg": "none"]), claims: narrow.claims)
    #expect(await narrow.judge(none).rejection == .unsigned)
  }

  @Test func `all allowed families of keys verify`() async throws {
    let set = TokenMint.keySet(
      try TokenMint.p256JWK("p256"), try TokenMint.p384JWK("p384"), try TokenMint.ed25519JWK("ed"),
      try TokenMint.rsaJWK("rsa"))
    let world = try World(keySet: set) { $0.allowedAlgorithms = Set(SigningAlgorithm.allCases) }
    for (mint, alg, kid) in [
      (try await TokenMint.p256(), "ES256", "p256"), (try await TokenMint.p384(), "ES384", "p384"),
      (try await TokenMint.ed25519(), "EdDSA", "ed"), (try await TokenMint.pss(), "PS256", "rsa"),
    ] {
      let token = try mint.token(header: ["alg": .string(alg), "kid": .string(kid)], claims: world.claims)
      #expect(await world.judge(token).error == nil, "\(alg)")
    }
  }

  @Test(arguments: [-90, 90] as [Int64]) func `ninety seconds of skew are tolerated either way`(_ skew: Int64)
    async throws
  {
    let world = try world()
    let token = try await TokenMint.rsa().token(
      header: World.header,
      claims: world.claims.with([
        "exp": Mutant.seconds(skew), "iat": Mutant.seconds(skew), "nbf": Mutant.seconds(skew),
      ]))
    #expect(await world.judge(token).error == nil)
  }

  @Test func `hashes of the access token and the code fit`() async throws {
    let world = try world()
    let expectation = IDTokenExpectation(
      nonce: World.nonce, accessToken: Secret("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
      code: Secret("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"))
    // The values of OpenID Connect Core 1.0, appendix A.
    let token = try await TokenMint.rsa().token(
      header: World.header,
      claims: world.claims.with(["at_hash": "77QmUPtjPfzWtF2AnpK9RQ", "c_hash": "LDktKdoQak3Pk0cnXxCltA"]))
    #expect(await world.judge(token, expectation).error == nil)
  }

  @Test func `a refreshed token needs no nonce and may be old, but must not be expired`() async throws {
    let world = try world()
    let claims = world.claims.with(["nonce": nil, "iat": Mutant.seconds(-7200)])
    let mint = try await TokenMint.rsa()
    let expectation = IDTokenExpectation(nonce: nil, subject: "alice")
    #expect(await world.judge(try mint.token(header: World.header, claims: claims), expectation).error == nil)
    let expired = try mint.token(header: World.header, claims: claims.with(["exp": Mutant.seconds(-600)]))
    #expect(await world.judge(expired, expectation).rejection == .expired)
  }

  @Test func `every reason for claims and header has a mutant`() {
    let elsewhere: Set<IDTokenRejection> = [
      .missing, .tooLarge, .encrypted, .duplicateMember, .ambiguousKey, .tenant, .tenantNotAllowed,
      .keyIssuer,
    ]
    let mutants = Mutant.all.map(\.reason) + LogoutMutant.all.map(\.reason)
    #expect(Set(mutants).union(elsewhere) == Set(IDTokenRejection.allCases))
  }
}
