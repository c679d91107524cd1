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
}
