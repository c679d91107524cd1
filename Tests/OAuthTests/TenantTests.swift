import Basics
import JSON
import Testing

@testable import OAuth

@Suite struct TenantTests {
  private static let base = "https://login.example"
  private static let tenant = "11111111-2222-3333-4444-555555555555"
  private static let other = "99999999-2222-3333-4444-555555555555"
  private static let template = base + "/{tenantid}/v2.0"

  private func world(allowed: Set<String> = [], keys: JSONValue...) throws -> World {
    try World(
      issuer: Self.base + "/common/v2.0",
      metadata: World.metadata(Self.base, ["issuer": .string(Self.template)]),
      keySet: (["keys": .array(keys.isEmpty ? [try TokenMint.rsaJWK("k1")] : keys)] as JSONValue).serialized()
    ) { $0.allowedTenants = allowed }
  }

  private func rejection(_ world: World, _ changes: [String: JSONValue?] = [:]) async throws
    -> IDTokenRejection?
  {
    let claims = world.claims.with([
      "iss": .string("\(Self.base)/\(Self.tenant)/v2.0"), "tid": .string(Self.tenant),
    ]).with(changes)
    return await world.judge(try await TokenMint.rsa().token(header: World.header, claims: claims)).rejection
  }

  @Test func `the template issuer takes the token's tenant`() async throws {
    let world = try world()
    #expect(try await rejection(world) == nil)
    #expect(try await rejection(world, ["tid": .string(Self.other)]) == .issuer)
    #expect(try await rejection(world, ["iss": .string(Self.template)]) == .issuer)
    #expect(try await rejection(world, ["tid": nil]) == .tenant)
    #expect(
      try await rejection(world, ["tid": "common", "iss": .string(Self.base + "/common/v2.0")]) == .tenant)
    #expect(
      try await rejection(world, ["tid": "../evil", "iss": .string(Self.base + "/../evil/v2.0")]) == .tenant)
  }

  @Test func `only listed tenants sign in`() async throws {
    #expect(try await rejection(try world(allowed: [Self.tenant])) == nil)
    #expect(try await rejection(try world(allowed: [Self.other])) == .tenantNotAllowed)
  }

  @Test func `a key for one issuer is not good for another`() async throws {
    let template = try TokenMint.rsaJWK("k1", extra: ["issuer": .string(Self.template)])
    #expect(try await rejection(try world(keys: template)) == nil)
    let own = try TokenMint.rsaJWK("k1", extra: ["issuer": .string("\(Self.base)/\(Self.tenant)/v2.0")])
    #expect(try await rejection(try world(keys: own)) == nil)
    let foreign = try TokenMint.rsaJWK("k1", extra: ["issuer": .string("\(Self.base)/\(Self.other)/v2.0")])
    #expect(try await rejection(try world(keys: foreign)) == .keyIssuer)
  }

  @Test(arguments: [
    ("https://login.example/organizations/v2.0", true), ("https://login.example/common/v2.0", true),
    ("https://login.example/11111111-2222-3333-4444-555555555555/v2.0", false),
    ("https://login.example/consumers/v2.0", false),
    ("https://evil.example/common/v2.0", false),
  ]) func `only the common addresses may serve the template`(_ issuer: String, _ isFine: Bool) async throws {
    let world = try World(
      issuer: issuer, metadata: World.metadata(Self.base, ["issuer": .string(Self.template)]))
    let error = await failure { () async throws(OAuthError) in try await world.provider.metadata() }
    #expect((error == nil) == isFine)
  }

  // MARK: Tenants of one key set

  private static let consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

  /// One set with a key for any tenant and one for personal accounts, as Entra's common addresses have it.
  private func shared(_ name: String = "common", allowed: Set<String> = []) throws -> World {
    let keys: [JSONValue] = [
      try TokenMint.rsaJWK("work", extra: ["issuer": .string(Self.template)]),
      try TokenMint.rsaJWK(
        "home", pem: TestPEM.otherRSA, extra: ["issuer": .string("\(Self.base)/\(Self.consumers)/v2.0")]),
    ]
    return try World(
      issuer: Self.base + "/\(name)/v2.0",
      metadata: World.metadata(Self.base, ["issuer": .string(Self.template)]),
      keySet: (["keys": .array(keys)] as JSONValue).serialized()
    ) { $0.allowedTenants = allowed }
  }

  private func judge(_ world: World, tenant: String, key: String) async throws -> IDTokenRejection? {
    let mint = try await TokenMint.rsa(key == "home" ? TestPEM.otherRSA : TestPEM.rsa)
    let claims = world.claims.with([
      "iss": .string("\(Self.base)/\(tenant)/v2.0"), "tid": .string(tenant),
    ])
    return await world.judge(
      try mint.token(header: World.header.with(["kid": .string(key)]), claims: claims)
    ).rejection
  }

  @Test func `each of three tenants signs in with a key that may stand for it`() async throws {
    let world = try shared()
    #expect(try await judge(world, tenant: Self.tenant, key: "work") == nil)
    #expect(try await judge(world, tenant: Self.other, key: "work") == nil)
    #expect(try await judge(world, tenant: Self.consumers, key: "home") == nil)
    #expect(try await judge(world, tenant: Self.tenant, key: "home") == .keyIssuer)
    let some = try shared(allowed: [Self.tenant, Self.consumers])
    #expect(try await judge(some, tenant: Self.tenant, key: "work") == nil)
    #expect(try await judge(some, tenant: Self.other, key: "work") == .tenantNotAllowed)
    #expect(try await judge(some, tenant: Self.consumers, key: "home") == nil)
  }

  @Test func `organisations are not personal accounts, unless these are listed`() async throws {
    #expect(
      try await judge(try shared("organizations"), tenant: Self.consumers, key: "home") == .tenantNotAllowed)
    #expect(try await judge(try shared("organizations"), tenant: Self.tenant, key: "work") == nil)
    let listed = try shared("organizations", allowed: [Self.consumers])
    #expect(try await judge(listed, tenant: Self.consumers, key: "home") == nil)
  }

  @Test func `one key that is listed for several issuers is good for each`() async throws {
    let keys = try [Self.other, Self.tenant].map {
      try TokenMint.rsaJWK("k1", extra: ["issuer": .string("\(Self.base)/\($0)/v2.0")])
    }
    let world = try World(
      issuer: Self.base + "/common/v2.0",
      metadata: World.metadata(Self.base, ["issuer": .string(Self.template)]),
      keySet: (["keys": .array(keys)] as JSONValue).serialized())
    #expect(try await rejection(world) == nil)
    #expect(
      try await rejection(
        world, ["tid": .string(Self.consumers), "iss": .string("\(Self.base)/\(Self.consumers)/v2.0")])
        == .keyIssuer)
  }

  @Test func `tenants are listed in either case`() async throws {
    let tenant = "aaaaaaaa-2222-3333-4444-55555555abcd"
    let world = try shared(allowed: [tenant.uppercased()])
    #expect(try await judge(world, tenant: tenant, key: "work") == nil)
  }

  @Test func `with one tenant's issuer the token's tenant is that one`() async throws {
    let issuer = "https://login.microsoftonline.com/\(Self.tenant)/v2.0"
    let world = try World(issuer: issuer, metadata: World.metadata(World.issuer, ["issuer": .string(issuer)]))
    #expect(try await rejection(world, ["iss": .string(issuer)]) == nil)
    #expect(try await rejection(world, ["iss": .string(issuer), "tid": nil]) == nil)
    #expect(try await rejection(world, ["iss": .string(issuer), "tid": .string(Self.other)]) == .tenant)
  }
}
