import Basics
import HTTP
import JSON
import Testing

@testable import OAuth

@Suite struct AuthorizationTests {
  private func base(_ state: String = "st", _ nonce: String = "no") -> AuthorizationRequest {
    AuthorizationRequest(
      redirectURI: "https://proxy.example/auth/callback", scope: ["openid", "api://m/a b"], state: state,
      nonce: nonce,
      codeChallenge: "ch")
  }

  private func query(_ url: String) throws -> [String: String] {
    let url = try #require(URLReference(url))
    let query = try #require(url.query)
    return Dictionary(PercentEncoding.parseQuery(query), uniquingKeysWith: { "\($0),\($1)" })
  }

  @Test func `PKCE gives the value of RFC 7636 appendix B`() {
    let pkce = PKCE(verifier: Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    #expect(pkce.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
  }

  @Test func `every verifier is new and long enough`() {
    let pairs = (0..<100).map { _ in PKCE.make() }
    #expect(Set(pairs.map(\.verifier)).count == 100 && pairs.allSatisfy { $0.verifier.count == 43 })
    #expect(!"\(pairs[0])".contains(pairs[0].verifier.reveal()))
  }

  @Test func `a plain request has the parameters of every flow and no others`() async throws {
    let url = try await World().provider.authorizationURL(base())
    #expect(url.hasPrefix("https://id.example/authorize?response_type=code&client_id=proxy&"))
    #expect(
      try query(url) == [
        "response_type": "code", "client_id": "proxy", "redirect_uri": "https://proxy.example/auth/callback",
        "scope": "openid api://m/a b", "state": "st", "nonce": "no", "code_challenge": "ch",
        "code_challenge_method": "S256",
      ])
  }

  @Test func `demands are added as they are`() async throws {
    var request = base()
    request.resource = "https://mcp.example/mcp/"
    request.loginHint = "alice@example.com"
    request.domainHint = "organizations"
    request.claims = #"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#
    request.acrValues = ["phr", "mfa"]
    request.maxAge = 300
    request.prompt = "consent"
    let values = try query(try await World().provider.authorizationURL(request))
    #expect(values["resource"] == "https://mcp.example/mcp/" && values["login_hint"] == "alice@example.com")
    #expect(values["claims"] == request.claims && values["acr_values"] == "phr mfa")
    #expect(
      values["max_age"] == "300" && values["prompt"] == "consent" && values["domain_hint"] == "organizations")
  }

  @Test func `configured parameters are added and cannot replace anything`() async throws {
    let world = try World(
      metadata: World.metadata(
        World.issuer, ["authorization_endpoint": "https://id.example/authorize?p=B2C_1"])
    ) {
      $0.extraAuthorizationParameters = [
        ("audience", "api"), ("state", "evil"), ("redirect_uri", "https://evil.example"),
        ("request_uri", "urn:x"),
        ("prompt", "login"), ("code_challenge_method", "plain"),
      ]
    }
    var request = base()
    request.prompt = "consent"
    let values = try query(try await world.provider.authorizationURL(request))
    #expect(values["audience"] == "api" && values["p"] == "B2C_1" && values["prompt"] == "consent")
    #expect(
      values["state"] == "st" && values["request_uri"] == nil && values["code_challenge_method"] == "S256")
    #expect(values["redirect_uri"] == "https://proxy.example/auth/callback")
    #expect(try query(try await world.provider.authorizationURL(base()))["prompt"] == "login")
  }

  @Test func `a request is pushed where the provider demands it`() async throws {
    let world = try World(
      metadata: World.metadata(
        World.issuer,
        [
          "pushed_authorization_request_endpoint": "https://id.example/par",
          "require_pushed_authorization_requests": true,
        ]))
    world.transport.script(
      "/par", status: 201, #"{"request_uri":"urn:ietf:params:oauth:request_uri:x","expires_in":60}"#)
    let url = try await world.provider.authorizationURL(base())
    #expect(try query(url) == ["client_id": "proxy", "request_uri": "urn:ietf:params:oauth:request_uri:x"])
    let pushed = try #require(world.transport.requests(to: "/par").first)
    #expect(
      pushed.form("code_challenge") == "ch" && pushed.form("state") == "st"
        && pushed.field("Authorization") != nil)
    world.transport.script("/par", status: 400, #"{"error":"invalid_request"}"#)
    let error = await failure { () async throws(OAuthError) in
      try await world.provider.authorizationURL(base())
    }
    #expect(error == .response(.pushedAuthorization, status: 400, .status))
  }

  @Test func `signing out goes to the provider with the least that works`() async throws {
    let provider = try World().provider
    let full = try await provider.endSessionURL(
      idTokenHint: Secret("idt"), postLogoutRedirectURI: "https://proxy.example/", state: "s")
    #expect(
      try query(try #require(full)) == [
        "id_token_hint": "idt", "client_id": "proxy", "post_logout_redirect_uri": "https://proxy.example/",
        "state": "s",
      ])
    let hinted = try await provider.endSessionURL(idTokenHint: Secret("idt"), logoutHint: "opaque")
    #expect(try query(try #require(hinted)) == ["logout_hint": "opaque", "client_id": "proxy"])
    let without = try World(metadata: World.metadata(World.issuer, ["end_session_endpoint": nil]))
    #expect(try await without.provider.endSessionURL() == nil)
  }
}

@Suite struct AuthorizationCallbackTests {
  private func judge(
    _ query: String, promises: Bool = false, template: Bool = false
  ) throws -> Result<AuthorizationCallback.Outcome, CallbackRejection> {
    var settings = ProviderSettings(issuer: World.issuer, clientID: "proxy", authentication: .none)
    var changes: [String: JSONValue?] = ["authorization_response_iss_parameter_supported": .bool(promises)]
    if template {
      settings.issuer = World.issuer + "/common/v2.0"
      changes["issuer"] = .string(World.issuer + "/{tenantid}/v2.0")
    }
    let metadata = try ProviderMetadata(
      document: JSONValue.object(World.metadata(World.issuer, changes)).serializedBytes(), settings: settings)
    let callback = AuthorizationCallback(query: query)
    do throws(CallbackRejection) {
      return .success(try callback.validate(state: Secret("st"), issuer: settings.issuer, metadata: metadata))
    } catch { return .failure(error) }
  }

  private static let iss = "iss=https%3A%2F%2Fid.example"

  @Test(arguments: [
    ("code=c1&state=st", AuthorizationCallback.Outcome.code(Secret("c1"))),
    ("state=st&code=c%2B1", .code(Secret("c+1"))),
    ("code=c1&state=st&\(iss)", .code(Secret("c1"))),
    ("code=c1&state=st&session_state=x&access_token=evil", .code(Secret("c1"))),
    ("error=access_denied&state=st", .refused(error: "access_denied")),
    ("error=consent_required&error_description=%3Cscript%3E&state=st", .refused(error: "consent_required")),
    ("error=%3Cscript%3E&state=st", .refused(error: "invalid_error")),
    ("error=&state=st", .refused(error: "invalid_error")),
  ]) func `a believable answer gives its code or its refusal`(
    _ query: String, _ outcome: AuthorizationCallback.Outcome
  ) throws {
    #expect(try judge(query) == .success(outcome))
  }

  @Test(arguments: [
    ("code=c1", CallbackRejection.stateMissing), ("code=c1&state=", .stateMissing),
    ("code=c1&state=other", .state),
    ("code=c1&state=st%20", .state), ("code=c1&code=c2&state=st", .malformed),
    ("code=c1&state=st&state=st", .malformed),
    ("code=c1&error=access_denied&state=st", .malformed), ("state=st", .empty),
    ("state=st&access_token=x&id_token=y", .empty),
    ("code=c1&state=st&iss=https%3A%2F%2Fevil.example", .issuer),
    ("code=c1&state=st&iss=https%3A%2F%2Fid.example%2F", .issuer),
    ("error=access_denied&state=st&iss=https%3A%2F%2Fevil.example", .issuer), ("", .stateMissing),
    ("state=st&code=" + String(repeating: "x", count: 8193), .malformed),
  ]) func `what does not fit is not redeemed`(_ query: String, _ rejection: CallbackRejection) throws {
    #expect(try judge(query) == .failure(rejection))
  }

  @Test func `a promised issuer must come`() throws {
    #expect(try judge("code=c1&state=st", promises: true) == .failure(.issuerMissing))
    #expect(try judge("error=access_denied&state=st", promises: true) == .failure(.issuerMissing))
    #expect(try judge("code=c1&state=st&\(Self.iss)", promises: true) == .success(.code(Secret("c1"))))
  }

  @Test func `a template issuer may name any tenant and nothing else`() throws {
    let tenant = "11111111-2222-3333-4444-555555555555"
    #expect(
      try judge("code=c1&state=st&iss=https://id.example/\(tenant)/v2.0", template: true)
        == .success(.code(Secret("c1"))))
    #expect(
      try judge("code=c1&state=st&iss=https://id.example/evil/v2.0", template: true) == .failure(.issuer))
    #expect(
      try judge("code=c1&state=st&iss=https://evil.example/\(tenant)/v2.0", template: true)
        == .failure(.issuer))
  }

  @Test func `a code does not print`() {
    let callback = AuthorizationCallback(query: "code=canary&state=st")
    #expect(!"\(callback)".contains("canary"))
  }
}
