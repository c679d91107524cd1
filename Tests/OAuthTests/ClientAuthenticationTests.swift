import Basics
import HTTP
import JSON
import JWTKit
import Synchronization
import Testing

@testable import OAuth

@Suite struct ClientAuthenticationTests {
  private struct Unreadable: Error {}

  private func request(
    _ authentication: ClientAuthentication, _ change: (inout ProviderSettings) -> Void = { _ in }
  )
    async throws -> FetchRequest
  {
    let world = try World(authentication: authentication, change: change)
    world.transport.script("/token", #"{"access_token":"at","token_type":"Bearer"}"#)
    _ = try await world.provider.refresh(refreshToken: Secret("rt"))
    return try #require(world.transport.requests(to: "/token").first)
  }

  @Test func `basic encodes identifier and secret before joining them`() async throws {
    let request = try await request(.clientSecretBasic(Secret("p:q r+%/é&="))) { $0.clientID = "a:b c" }
    let pair = Base64.encode(Array("a%3Ab%20c:p%3Aq%20r%2B%25%2F%C3%A9%26%3D".utf8))
    #expect(request.field("Authorization") == "Basic " + pair)
    #expect(request.form("client_id") == nil && request.form("client_secret") == nil)
  }

  @Test func `post encodes the secret in the form`() async throws {
    let request = try await request(.clientSecretPost(Secret("p:q r+%/é&=")))
    #expect(request.form("client_id") == "proxy" && request.form("client_secret") == "p:q r+%/é&=")
    #expect(request.field("Authorization") == nil)
    #expect(
      String(decoding: request.body, as: UTF8.self).contains("client_secret=p%3Aq%20r%2B%25%2F%C3%A9%26%3D"))
  }

  @Test func `a public client only names itself`() async throws {
    let request = try await request(.none)
    #expect(request.form("client_id") == "proxy" && request.field("Authorization") == nil)
    #expect(!request.form.contains { $0.0.hasPrefix("client_") && $0.0 != "client_id" })
  }

  @Test(arguments: [
    (TestPEM.rsa, SigningAlgorithm.ps256), (TestPEM.rsa, .rs256), (TestPEM.rsaPKCS1, .rs512),
    (TestPEM.p256, .es256), (TestPEM.p384, .es384),
    (TestPEM.ed25519, .edDSA),
  ]) func `an assertion is signed and says what it must`(_ pem: String, _ algorithm: SigningAlgorithm)
    async throws
  {
    let key = try ClientAssertionKey(
      pem: Secret(pem), algorithm: algorithm, keyID: "key-1",
      certificatePEM: pem == TestPEM.rsa ? TestPEM.rsaCertificate : nil)
    let request = try await request(.privateKeyJWT(key))
    #expect(request.form("client_id") == "proxy" && request.field("Authorization") == nil)
    #expect(
      request.form("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    let parts = try #require(request.form("client_assertion")).split(separator: ".").map(String.init)
    #expect(parts.count == 3)
    let header = try JSONValue.parse(try #require(Base64URL.decode(parts[0])))
    let claims = try JSONValue.parse(try #require(Base64URL.decode(parts[1])))
    #expect(header["alg"]?.string == algorithm.rawValue && header["typ"] == "JWT" && header["kid"] == "key-1")
    #expect(header["x5t#S256"]?.string == (pem == TestPEM.rsa ? TestPEM.rsaThumbprint : nil))
    #expect(
      claims["iss"] == "proxy" && claims["sub"] == "proxy" && claims["aud"] == "https://id.example/token")
    let now = FakeClock().now.seconds
    #expect(claims["iat"]?.int64 == now && claims["nbf"]?.int64 == now)
    let lifetime = try #require(claims["exp"]?.int64) - now
    #expect(lifetime > 0 && lifetime <= 600)
    let set = TokenMint.keySet(
      try TokenMint.rsaJWK("a"), try TokenMint.p256JWK("b"), try TokenMint.p384JWK("c"),
      try TokenMint.ed25519JWK("d"))
    let keys = try await VerificationKey.keys(inSet: Array(set.utf8), allowed: Set(SigningAlgorithm.allCases))
    let signature = try #require(Base64URL.decode(parts[2]))
    let input = Array("\(parts[0]).\(parts[1])".utf8)
    #expect(keys.contains { $0.verifies(signature, of: input, by: algorithm) })
  }

  @Test func `every assertion has an identifier of its own`() async throws {
    let key = try ClientAssertionKey(pem: Secret(TestPEM.p256))
    var seen: Set<String> = []
    for _ in 0..<50 {
      let text = try await key.assertion(clientID: "proxy", audience: "https://id.example", now: .now())
        .reveal()
      let payload = try #require(Base64URL.decode(String(text.split(separator: ".")[1])))
      seen.insert(try #require(try JSONValue.parse(payload)["jti"]?.string))
    }
    #expect(seen.count == 50)
  }

  @Test(arguments: [
    (ProviderSettings.AssertionAudience.issuer, "https://id.example"),
    (.tokenEndpoint, "https://id.example/token"),
    (.fixed("urn:x"), "urn:x"),
  ]) func `the audience of an assertion is the operator's choice`(
    _ audience: ProviderSettings.AssertionAudience, _ expected: String
  ) async throws {
    let key = try ClientAssertionKey(pem: Secret(TestPEM.p256))
    let request = try await request(.privateKeyJWT(key)) { $0.assertionAudience = audience }
    let payload = try #require(request.form("client_assertion")).split(separator: ".")[1]
    #expect(try JSONValue.parse(try #require(Base64URL.decode(String(payload))))["aud"]?.string == expected)
  }

  @Test func `keys that cannot work are refused at start`() {
    func error(_ pem: String, _ algorithm: SigningAlgorithm? = nil, certificate: String? = nil) -> String? {
      do throws(OAuthError) {
        _ = try ClientAssertionKey(pem: Secret(pem), algorithm: algorithm, certificatePEM: certificate)
        return nil
      } catch { return "\(error)" }
    }
    #expect(
      error(TestPEM.rsa) == nil && error(TestPEM.p256, .es256, certificate: TestPEM.p256Certificate) == nil)
    #expect(error("nonsense")?.contains("no usable private key") == true)
    #expect(error(TestPEM.smallRSA)?.contains("no usable private key") == true)
    #expect(error(TestPEM.rsaCertificate)?.contains("no usable private key") == true)
    #expect(error(TestPEM.p256, .rs256)?.contains("cannot use") == true)
    #expect(error(TestPEM.rsa, .ps256, certificate: "nonsense")?.contains("no certificate") == true)
    #expect(
      error(TestPEM.rsa, .ps256, certificate: TestPEM.p256Certificate)?.contains("does not belong") == true)
    #expect(
      error(TestPEM.otherRSA, .ps256, certificate: TestPEM.rsaCertificate)?.contains("does not belong")
        == true)
  }

  @Test func `the usual algorithm fits the key`() throws {
    #expect(try ClientAssertionKey(pem: Secret(TestPEM.rsa)).algorithm == .rs256)
    #expect(try ClientAssertionKey(pem: Secret(TestPEM.p256)).algorithm == .es256)
  }

  @Test func `a key prints nothing of itself`() throws {
    let key = try ClientAssertionKey(pem: Secret(TestPEM.rsa))
    var text = ""
    dump(ClientAuthentication.privateKeyJWT(key), to: &text)
    #expect("\(key)" == "<redacted RS256 key>" && !text.contains("MII") && text.utf8.count < 200)
  }

  @Test func `a federated assertion is read anew for every request`() async throws {
    let count = Mutex(0)
    let world = try World(
      authentication: .federatedAssertion {
        let n = count.withLock {
          $0 += 1
          return $0
        }
        if n == 3 { throw Unreadable() }
        return Secret("assertion-\(n)")
      })
    world.transport.script("/token", #"{"access_token":"at","token_type":"Bearer"}"#)
    _ = try await world.provider.refresh(refreshToken: Secret("rt"))
    _ = try await world.provider.refresh(refreshToken: Secret("rt"))
    #expect(
      world.transport.requests(to: "/token").map { $0.form("client_assertion") } == [
        "assertion-1", "assertion-2",
      ])
    let error = await failure { () async throws(OAuthError) in
      try await world.provider.refresh(refreshToken: Secret("rt"))
    }
    if case .credential? = error {} else { Issue.record("\(String(describing: error))") }
    #expect(error?.isTransient == false && world.transport.count("/token") == 2)
  }
}
