import Basics
import HTTP
import JSON
import Synchronization
import Testing

@testable import OAuth

/// The proxy's credentials that come from around it: a file of the platform, the certificate of the connection.
@Suite struct WorkloadIdentityTests {
  private struct NoSuchFile: Error, CustomStringConvertible { let description = "No such file or directory" }

  private static let path = "/var/run/secrets/token"
  private static let good = #"{"access_token":"at","token_type":"Bearer"}"#

  @Test func `the file is read anew for every request and sent unchanged`() async throws {
    let contents = Mutex("a.b.c\n")
    let asked = Mutex<[String]>([])
    let world = try World(
      authentication: WorkloadIdentity.authentication(file: Self.path) { path in
        asked.withLock { $0.append(path) }
        return contents.withLock { Array($0.utf8) }
      })
    world.transport.script("/token", Self.good)
    _ = try await world.provider.refresh(refreshToken: Secret("rt"))
    contents.withLock { $0 = " \t\r\nd.e.f \n" }
    _ = try await world.provider.refresh(refreshToken: Secret("rt"))
    #expect(asked.withLock { $0 } == [Self.path, Self.path])
    #expect(
      world.transport.requests(to: "/token").map(\.formLines)
        == ["a.b.c", "d.e.f"].map { assertion in
          [
            "grant_type=refresh_token", "refresh_token=rt", "client_id=proxy",
            "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion=\(assertion)",
          ]
        })
  }

  @Test(
    arguments: [
      (nil, "No such file or directory"), ("", "empty"), (" \n", "empty"), ("a.b.c\nd.e.f", "not one token"),
      ("caf\u{e9}", "not one token"),
      (String(repeating: "x", count: (16 << 10) + 1), "longer than 16384 bytes"),
    ] as [(String?, String)])
  func `a file that does not serve is named with the reason`(_ contents: String?, _ reason: String)
    async throws
  {
    let world = try World(
      authentication: WorkloadIdentity.authentication(file: Self.path) { _ in
        guard let contents else { throw NoSuchFile() }
        return Array(contents.utf8)
      })
    let error = await failure { () async throws(OAuthError) in
      try await world.provider.refresh(refreshToken: Secret("rt"))
    }
    guard case .credential(let text)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(text.contains("\(Self.path): \(reason)") && text.contains(";"))
    #expect(!text.contains("d.e.f") && world.transport.count("/token") == 0)
  }

  // MARK: Certificates

  private static let aliases: JSONValue = [
    "token_endpoint": "https://mtls.id.example/token",
    "revocation_endpoint": "https://mtls.id.example/revoke",
    "pushed_authorization_request_endpoint": "https://mtls.id.example/par",
  ]

  private func world(
    _ authentication: ClientAuthentication = .mutualTLS, aliases: JSONValue? = aliases,
    change: (inout ProviderSettings) -> Void = { _ in }
  ) throws -> World {
    let world = try World(
      authentication: authentication,
      metadata: World.metadata(
        World.issuer,
        [
          "mtls_endpoint_aliases": aliases,
          "pushed_authorization_request_endpoint": "https://id.example/par",
          "require_pushed_authorization_requests": true,
        ]), change: change)
    world.transport.script("/token", Self.good)
    world.transport.script("/revoke", "")
    world.transport.script("/par", status: 201, #"{"request_uri":"urn:x","expires_in":60}"#)
    return world
  }

  private func useAll(_ world: World) async throws -> [FetchRequest] {
    _ = try await world.provider.authorizationURL(
      AuthorizationRequest(
        redirectURI: "https://proxy.example/cb", scope: ["openid"], state: "s", nonce: "n", codeChallenge: "c"
      ))
    _ = try await world.provider.refresh(refreshToken: Secret("rt"))
    try await world.provider.revoke(Secret("rt"))
    return world.transport.all.filter { $0.method == "POST" }
  }

  @Test func `under mutual TLS requests carry the identifier only and go to the aliases`() async throws {
    let requests = try await useAll(try world())
    #expect(
      requests.map(\.url.description) == ["par", "token", "revoke"].map { "https://mtls.id.example/\($0)" })
    #expect(requests[1].formLines == ["grant_type=refresh_token", "refresh_token=rt", "client_id=proxy"])
    #expect(requests[2].formLines == ["token=rt", "client_id=proxy"])
    for request in requests {
      #expect(request.form("client_id") == "proxy" && request.field("Authorization") == nil)
      #expect(!request.form.contains { ["client_secret", "client_assertion"].contains($0.0) })
    }
  }

  @Test(arguments: [nil, JSONValue.null, [:], ["token_endpoint": nil], "none"] as [JSONValue?])
  func `without aliases the usual endpoints serve`(_ aliases: JSONValue?) async throws {
    let requests = try await useAll(try world(aliases: aliases))
    #expect(requests.map(\.url.description) == ["par", "token", "revoke"].map { "https://id.example/\($0)" })
  }

  @Test func `other authentication does not look at the aliases`() async throws {
    let bad: JSONValue = ["token_endpoint": "http://id.example/token"]
    let requests = try await useAll(try world(.clientSecretPost(Secret("s")), aliases: bad))
    #expect(requests.allSatisfy { $0.url.host == "id.example" })
  }

  @Test func `aliases keep the rules for every endpoint`() async throws {
    func fault(_ world: World) async -> OAuthError? {
      await failure { () async throws(OAuthError) in try await world.provider.metadata() }
    }
    #expect(
      await fault(try world(aliases: ["token_endpoint": "http://mtls.id.example/token"]))
        == .metadata(.insecure("token_endpoint")))
    #expect(
      await fault(try world { $0.allowedEndpointHosts = ["id.example"] })
        == .metadata(.foreignHost("token_endpoint", host: "mtls.id.example")))
  }
}
