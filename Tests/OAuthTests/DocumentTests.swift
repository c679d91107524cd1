import Basics
import HTTP
import JSON
import Testing

@testable import OAuth

@Suite struct DiscoveryTests {
  private let path = "/.well-known/openid-configuration"

  private func error(_ world: World) async -> OAuthError? {
    await failure { () async throws(OAuthError) in try await world.provider.metadata() }
  }

  @Test(arguments: [
    ("https://id.example", "/.well-known/openid-configuration"),
    ("https://id.example/", "/.well-known/openid-configuration"),
    ("https://id.example/realms/a", "/realms/a/.well-known/openid-configuration"),
    ("https://id.example/realms/a/", "/realms/a/.well-known/openid-configuration"),
  ]) func `the document lies under the issuer`(_ issuer: String, _ path: String) async throws {
    let world = try World(
      issuer: issuer, metadata: World.metadata(World.issuer, ["issuer": .string(issuer)]))
    let metadata = try await world.provider.metadata()
    #expect(metadata.issuer == issuer && metadata.tokenEndpoint.path == "/token")
    #expect(world.transport.count(path) == 1)
  }

  @Test(
    arguments: [
      (
        ["issuer": "https://id.example/"],
        MetadataFault.issuerMismatch(configured: World.issuer, document: "https://id.example/")
      ),
      (
        ["issuer": "https://evil.example"],
        .issuerMismatch(configured: World.issuer, document: "https://evil.example")
      ),
      (["issuer": nil], .missing("issuer")), (["token_endpoint": nil], .missing("token_endpoint")),
      (["jwks_uri": nil], .missing("jwks_uri")),
      (["authorization_endpoint": nil], .missing("authorization_endpoint")),
      (["token_endpoint": "http://id.example/token"], .insecure("token_endpoint")),
      (["jwks_uri": "http://127.0.0.1/jwks"], .insecure("jwks_uri")),
      (["authorization_endpoint": "javascript:alert(1)"], .invalidURL("authorization_endpoint")),
      (["end_session_endpoint": "http://id.example/logout"], .insecure("end_session_endpoint")),
      (["revocation_endpoint": 5], .invalidURL("revocation_endpoint")),
    ] as [([String: JSONValue?], MetadataFault)])
  func `a document that does not fit is refused`(_ changes: [String: JSONValue?], _ fault: MetadataFault)
    async throws
  {
    let world = try World(metadata: World.metadata(World.issuer, changes))
    #expect(await error(world) == .metadata(fault))
  }

  @Test func `hosts outside the allow-list are refused`() async throws {
    let world = try World(
      metadata: World.metadata(World.issuer, ["token_endpoint": "https://evil.example/token"])
    ) {
      $0.allowedEndpointHosts = ["id.example"]
    }
    #expect(await error(world) == .metadata(.foreignHost("token_endpoint", host: "evil.example")))
  }

  @Test func `oversized, redirected and damaged documents are refused`() async throws {
    let world = try World()
    world.transport.script(path, String(repeating: " ", count: 256 << 10) + "{}")
    #expect(await error(world) == .metadata(.tooLong(limit: 256 << 10)))
    world.clock.advance(by: .seconds(6))
    world.transport.script(path, status: 302, fields: [("Location", "https://evil.example/")], "")
    #expect(await error(world) == .metadata(.status(302)))
    world.clock.advance(by: .seconds(6))
    world.transport.script(path, #"{"issuer":"a","issuer":"b"}"#)
    if case .metadata(.notJSON)? = await error(world) {} else { Issue.record("accepted") }
    world.clock.advance(by: .seconds(6))
    world.transport.script(path, "[]")
    if case .metadata(.notJSON)? = await error(world) {} else { Issue.record("accepted") }
  }

  @Test(arguments: [
    "http://id.example", "ftp://id.example", "https://id.example/?a=b", "id.example", "http://10.0.0.1",
  ])
  func `an issuer without TLS is never asked`(_ issuer: String) async throws {
    let world = try World(issuer: issuer)
    #expect(await error(world) == .metadata(.issuerURL))
    #expect(world.transport.all.isEmpty)
  }

  @Test func `loopback may do without TLS, endpoints elsewhere may not`() async throws {
    let base = "http://127.0.0.1:8080"
    let world = try World(issuer: base, metadata: World.metadata(base))
    #expect(await error(world) == nil)
    let mixed = try World(
      issuer: base, metadata: World.metadata(base, ["token_endpoint": "http://id.example/token"]))
    #expect(await error(mixed) == .metadata(.insecure("token_endpoint")))
    let strict = try World(issuer: base, metadata: World.metadata(base)) { $0.allowsInsecureLoopback = false }
    #expect(await error(strict) == .metadata(.issuerURL))
  }

  @Test func `a hundred callers cause one fetch`() async throws {
    let world = try World()
    world.transport.closeGate()
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<100 {
        group.addTask { (try? await world.provider.metadata()) != nil }
      }
      while !world.transport.isWaiting { await Task.yield() }
      world.transport.openGate()
      for await isFine in group { #expect(isFine) }
    }
    #expect(world.transport.count(path) == 1)
  }

  @Test func `the document is kept, renewed, and survives a provider that is down`() async throws {
    let world = try World()
    _ = try await world.provider.metadata()
    world.clock.advance(by: .seconds(11 * 3600))
    _ = try await world.provider.metadata()
    #expect(world.transport.count(path) == 1)
    world.transport.script(path, .failure(TransportError(.connect)))
    world.clock.advance(by: .seconds(30 * 3600))
    #expect(try await world.provider.metadata().issuer == World.issuer)
    #expect(world.transport.count(path) == 2)
    // While it is down it is not asked for every sign-in.
    for _ in 0..<50 { _ = try await world.provider.metadata() }
    #expect(world.transport.count(path) == 2)
    world.clock.advance(by: .seconds(61))
    world.transport.script(
      path,
      JSONValue.object(World.metadata(World.issuer, ["token_endpoint": "https://id.example/token2"]))
        .serialized())
    #expect(try await world.provider.metadata().tokenEndpoint.path == "/token2")
  }

  @Test func `without any document a failure is not repeated for five seconds`() async throws {
    let world = try World()
    let good = JSONValue.object(World.metadata()).serialized()
    world.transport.script(path, .failure(TransportError(.dns, "no such host")))
    for _ in 0..<20 {
      #expect(await error(world) == .transport(TransportError(.dns, "no such host"), .discovery))
    }
    #expect(world.transport.count(path) == 1)
    world.transport.script(path, good)
    world.clock.advance(by: .seconds(6))
    #expect(await error(world) == nil)
  }
}

@Suite struct KeySetTests {
  private func token(_ world: World, kid: String, pem: String = TestPEM.rsa) async throws -> Secret {
    try await TokenMint.rsa(pem).token(header: World.header.with(["kid": .string(kid)]), claims: world.claims)
  }

  @Test func `a new key is found by one fetch at once`() async throws {
    let world = try World()
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    #expect(world.transport.count("/jwks") == 1)
    world.transport.script(
      "/jwks", TokenMint.keySet(try TokenMint.rsaJWK("k1"), try TokenMint.rsaJWK("k2", pem: TestPEM.otherRSA))
    )
    for _ in 0..<3 {
      #expect(await world.judge(try await token(world, kid: "k2", pem: TestPEM.otherRSA)).error == nil)
    }
    #expect(world.transport.count("/jwks") == 2)
  }

  @Test func `a thousand unknown keys cause one fetch in five minutes`() async throws {
    let world = try World()
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    let mint = try await TokenMint.rsa(TestPEM.otherRSA)
    for i in 0..<1000 {
      let bogus = try mint.token(header: World.header.with(["kid": .string("bogus\(i)")]), claims: ["a": 1])
      #expect(await world.judge(bogus).rejection == .unknownKey)
    }
    #expect(world.transport.count("/jwks") == 2)
    world.clock.advance(by: .seconds(299))
    #expect(await world.judge(try await token(world, kid: "bogus")).rejection == .unknownKey)
    #expect(world.transport.count("/jwks") == 2)
    world.clock.advance(by: .seconds(1))
    #expect(await world.judge(try await token(world, kid: "bogus")).rejection == .unknownKey)
    #expect(world.transport.count("/jwks") == 3)
  }

  @Test func `many tokens of a new key wait for one fetch`() async throws {
    let world = try World()
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    world.transport.script("/jwks", TokenMint.keySet(try TokenMint.rsaJWK("k2", pem: TestPEM.otherRSA)))
    let fresh = try await token(world, kid: "k2", pem: TestPEM.otherRSA)
    world.transport.closeGate()
    await withTaskGroup(of: OAuthError?.self) { group in
      for _ in 0..<50 { group.addTask { await world.judge(fresh).error } }
      while !world.transport.isWaiting { await Task.yield() }
      world.transport.openGate()
      for await error in group { #expect(error == nil) }
    }
    #expect(world.transport.count("/jwks") == 2)
  }

  @Test func `known keys stay good while the provider is down`() async throws {
    let world = try World()
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    world.transport.script("/jwks", .failure(TransportError(.connect)))
    world.clock.advance(by: .seconds(48 * 3600))
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    // An unknown key now is the provider's failure, not the token's: it can be tried again.
    let error = await world.judge(try await token(world, kid: "k9")).error
    #expect(error == .transport(TransportError(.connect), .keys) && error?.isTransient == true)
  }

  @Test func `a new key whose fetch failed is asked for again after five seconds, not five minutes`()
    async throws
  {
    let world = try World()
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    world.transport.script("/jwks", .failure(TransportError(.connect)))
    let fresh = try await token(world, kid: "k2", pem: TestPEM.otherRSA)
    for _ in 0..<20 { #expect(await world.judge(fresh).error != nil) }
    #expect(world.transport.count("/jwks") == 2)
    world.transport.script(
      "/jwks", TokenMint.keySet(try TokenMint.rsaJWK("k1"), try TokenMint.rsaJWK("k2", pem: TestPEM.otherRSA))
    )
    world.clock.advance(by: .seconds(6))
    #expect(await world.judge(fresh).error == nil)
    #expect(world.transport.count("/jwks") == 3)
  }

  @Test func `a key that left the set is not trusted after the next fetch`() async throws {
    let world = try World()
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    world.transport.script("/jwks", TokenMint.keySet(try TokenMint.rsaJWK("k2", pem: TestPEM.otherRSA)))
    world.clock.advance(by: .seconds(25 * 3600))
    #expect(await world.judge(try await token(world, kid: "k1")).rejection == .unknownKey)
    #expect(await world.judge(try await token(world, kid: "k2", pem: TestPEM.otherRSA)).error == nil)
  }

  @Test func `after an hour the set is renewed in the background`() async throws {
    let world = try World()
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    world.clock.advance(by: .seconds(2 * 3600))
    world.transport.closeGate()
    // The caller does not wait for it.
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
    while !world.transport.isWaiting { await Task.yield() }
    world.transport.openGate()
    #expect(world.transport.count("/jwks") == 2)
  }

  @Test(arguments: [
    ("{}", KeySetFault.malformed(#"no list "keys""#)), (#"{"keys":[]}"#, .noUsableKey),
    (#"{"keys":[1,{"kty":"oct","k":"AAAA","kid":"k1"}]}"#, .noUsableKey),
    (#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"k1"}]}"#, .noUsableKey),
    (#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"k1"}]}"#, .noUsableKey),
    (#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"","kid":"k1"}]}"#, .noUsableKey),
  ]) func `a set without usable keys is refused`(_ set: String, _ fault: KeySetFault) async throws {
    let world = try World(keySet: set)
    #expect(await world.judge(try await token(world, kid: "k1")).error == .keys(fault))
  }

  @Test(arguments: [
    (String(repeating: "A", count: 342), "AQAB"), (String(repeating: "_", count: 341) + "8", "AA"),
    (String(repeating: "_", count: 341) + "8", "_________w"),
    (String(repeating: "_", count: 1366) + "8", "Ag"),
    ("", ""), ("AQAB", "AQAB"),
  ]) func `numbers that make no RSA key do no harm`(_ n: String, _ e: String) async throws {
    let bad: JSONValue = ["kty": "RSA", "kid": "k1", "n": .string(n), "e": .string(e)]
    let world = try World(keySet: TokenMint.keySet(bad, try TokenMint.rsaJWK("k2", pem: TestPEM.otherRSA)))
    #expect(await world.judge(try await token(world, kid: "k1")).rejection != nil)
    #expect(await world.judge(try await token(world, kid: "k2", pem: TestPEM.otherRSA)).error == nil)
  }

  @Test(arguments: [0, 31, 32, 33]) func `coordinates off the curve make no key`(_ size: Int) async throws {
    let coordinate = JSONValue.string(Base64URL.encode([UInt8](repeating: 7, count: size)))
    let bad: JSONValue = ["kty": "EC", "crv": "P-256", "kid": "k1", "x": coordinate, "y": coordinate]
    let world = try World(keySet: TokenMint.keySet(bad))
    #expect(await world.judge(try await token(world, kid: "k1")).error == .keys(.noUsableKey))
  }

  @Test(arguments: [0, 1, 63, 64, 65, 4096]) func `elliptic signatures of any length are only wrong`(
    _ size: Int
  ) async throws {
    let world = try World(keySet: TokenMint.keySet(try TokenMint.p256JWK("k1")))
    let good = try await TokenMint.p256().token(
      header: World.header.with(["alg": "ES256"]), claims: world.claims
    ).reveal()
    let signature = Base64URL.encode([UInt8](repeating: 0xFF, count: size))
    let parts = good.split(separator: ".")
    #expect(await world.judge(Secret(good)).error == nil)
    #expect(await world.judge(Secret("\(parts[0]).\(parts[1]).\(signature)")).rejection == .signature)
  }

  @Test func `keys for encryption and keys of unknown kinds are passed over`() async throws {
    let set = TokenMint.keySet(
      try TokenMint.rsaJWK("k1", pem: TestPEM.otherRSA, extra: ["use": "enc"]), ["kty": "XYZ"],
      try TokenMint.rsaJWK("k1", pem: TestPEM.otherRSA, extra: ["key_ops": ["encrypt"]]),
      try TokenMint.rsaJWK("k1"))
    let world = try World(keySet: set)
    #expect(await world.judge(try await token(world, kid: "k1")).error == nil)
  }

  @Test func `an oversized set and a redirect are refused`() async throws {
    let world = try World(keySet: String(repeating: " ", count: 600 << 10))
    #expect(await world.judge(try await token(world, kid: "k1")).error == .keys(.tooLong(limit: 512 << 10)))
    let moved = try World()
    moved.transport.script("/jwks", status: 301, fields: [("Location", "/evil")], "")
    #expect(await moved.judge(try await token(moved, kid: "k1")).error == .keys(.status(301)))
  }
}
