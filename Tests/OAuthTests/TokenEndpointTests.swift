import Basics
import HTTP
import JSON
import Testing

@testable import OAuth

@Suite struct TokenEndpointTests {
  private static let good =
    #"{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"rt2","scope":"a b"}"#

  private func refresh(
    _ body: String, status: Int = 200, fields: [(name: String, value: String)] = []
  ) async throws -> Result<TokenResponse, OAuthError> {
    let world = try World()
    world.transport.script("/token", status: status, fields: fields, body)
    do throws(OAuthError) {
      return .success(try await world.provider.refresh(refreshToken: Secret("rt")))
    } catch {
      return .failure(error)
    }
  }

  private func refusal(_ status: Int, _ body: String, fields: [(name: String, value: String)] = [])
    async throws
    -> TokenEndpointError?
  {
    guard case .failure(.tokenEndpoint(let error)) = try await refresh(body, status: status, fields: fields)
    else { return nil }
    return error
  }

  @Test func `redeeming sends code, verifier and the same redirect URI and resource`() async throws {
    let world = try World()
    world.transport.script("/token", Self.good)
    let tokens = try await world.provider.redeem(
      code: Secret("c&d=e"), redirectURI: "https://proxy.example/auth/callback", codeVerifier: Secret("v"),
      resource: "https://mcp.example/mcp/")
    #expect(tokens.accessToken == Secret("at") && tokens.refreshToken == Secret("rt2"))
    #expect(tokens.expiresIn == .seconds(3600) && tokens.scope == ["a", "b"] && tokens.idToken == nil)
    let request = try #require(world.transport.requests(to: "/token").first)
    #expect(request.method == "POST" && request.field("Content-Type") == "application/x-www-form-urlencoded")
    #expect(request.field("Accept") == "application/json" && request.field("Origin") == nil)
    #expect(
      request.form.map { "\($0.0)=\($0.1)" } == [
        "grant_type=authorization_code", "code=c&d=e", "redirect_uri=https://proxy.example/auth/callback",
        "code_verifier=v", "resource=https://mcp.example/mcp/",
      ])
  }

  @Test func `refreshing sends only what was asked`() async throws {
    let world = try World()
    world.transport.script("/token", Self.good)
    _ = try await world.provider.refresh(refreshToken: Secret("rt"))
    _ = try await world.provider.refresh(
      refreshToken: Secret("rt"), scope: ["api://m/a", "b"], resource: "https://m",
      claims: #"{"access_token":{}}"#)
    let forms = world.transport.requests(to: "/token").map { $0.form.map { "\($0.0)=\($0.1)" } }
    #expect(forms[0] == ["grant_type=refresh_token", "refresh_token=rt"])
    #expect(
      forms[1] == [
        "grant_type=refresh_token", "refresh_token=rt", "scope=api://m/a b", "resource=https://m",
        #"claims={"access_token":{}}"#,
      ])
  }

  @Test(
    arguments: [
      (#""expires_in":3600,"refresh_in":1800"#, Duration.seconds(3600), Duration.seconds(1800)),
      (#""expires_in":"3600","refresh_in":"1800""#, .seconds(3600), .seconds(1800)),
      (#""expires_in":3600.9"#, .seconds(3600), nil), (#""expires_in":0"#, .zero, nil),
      (#""expires_in":-5"#, nil, nil),
      (#""expires_in":null"#, nil, nil), (#""expires_in":"soon""#, nil, nil),
      (#""expires_in":9223372036854775807"#, .seconds(315_360_000), nil), (#""expires_in":1e300"#, nil, nil),
      (#""x":1"#, nil, nil),
    ] as [(String, Duration?, Duration?)])
  func `lifetimes are read in all the forms they come in`(
    _ members: String, _ expiresIn: Duration?, _ refreshIn: Duration?
  )
    async throws
  {
    let tokens = try await refresh(#"{"access_token":"at","token_type":"bearer",\#(members)}"#).get()
    #expect(tokens.expiresIn == expiresIn && tokens.refreshIn == refreshIn)
  }

  @Test func `what is not said stays unsaid`() async throws {
    let tokens = try await refresh(
      #"{"access_token":"at","token_type":"BEARER","scope":"","refresh_token":""}"#
    ).get()
    #expect(
      tokens.scope == nil && tokens.refreshToken == nil && tokens.idToken == nil && tokens.expiresIn == nil)
  }

  @Test(arguments: [
    ("", OAuthError.ResponseFault.notJSON), ("<html>", .notJSON), ("[]", .notJSON),
    (#"{"access_token":"a","access_token":"b"}"#, .notJSON),
    ("{}", .member("access_token")), (#"{"access_token":""}"#, .member("access_token")),
    (#"{"access_token":1,"token_type":"Bearer"}"#, .member("access_token")),
    (#"{"access_token":"a b","token_type":"Bearer"}"#, .member("access_token")),
    (#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#, .member("access_token")),
    (#"{"access_token":"a\u00e9","token_type":"Bearer"}"#, .member("access_token")),
    (#"{"access_token":"a"}"#, .member("token_type")),
    (#"{"access_token":"a","token_type":"DPoP"}"#, .tokenType),
    (#"{"access_token":"a","token_type":"N_A"}"#, .tokenType),
  ]) func `a success that is none is refused`(_ body: String, _ fault: OAuthError.ResponseFault) async throws
  {
    #expect(try await refresh(body).error == .response(.token, status: 200, fault))
  }

  @Test func `redirects and oversized answers are refused`() async throws {
    #expect(try await refresh("", status: 302).error == .response(.token, status: 302, .status))
    #expect(
      try await refresh(String(repeating: " ", count: 300 << 10)).error
        == .response(.token, status: 200, .tooLong(limit: 256 << 10)))
  }

  // MARK: Refusals

  @Test func `Entra's refusal keeps all that decides`() async throws {
    let error = try #require(
      try await refusal(
        400,
        #"""
        {"error":"invalid_grant","suberror":"consent_required","error_codes":[65001],
         "error_description":"AADSTS65001: The user or administrator has not consented\r\nto use the application.",
         "timestamp":"2026-01-02 10:00:00Z","trace_id":"11111111-0","correlation_id":"22222222-0","error_uri":"https://login.example/error?code=65001"}
        """#))
    #expect(
      error.error == "invalid_grant" && error.suberror == "consent_required" && error.errorCodes == [65001])
    #expect(error.isInvalidGrant && !error.isTransient && error.correlationID == "22222222-0")
    #expect(
      error.description == "AADSTS65001: The user or administrator has not consented  to use the application."
    )
    #expect(error.errorURI == "https://login.example/error?code=65001" && error.claims == nil)
  }

  @Test(arguments: ["values", "Values"]) func `claims pass untouched`(_ key: String) async throws {
    let claims = #"{"access_token":{"polids":{"essential":true,"\#(key)":["33333333-0"]}}}"#
    let body: JSONValue = [
      "error": "interaction_required", "error_codes": [50076], "claims": .string(claims),
      "correlation_id": "4",
    ]
    let error = try #require(try await refusal(400, body.serialized()))
    #expect(error.error == "interaction_required" && error.claims == claims && error.errorCodes == [50076])
  }

  @Test func `other providers' refusals are read`() async throws {
    let auth0 = try #require(
      try await refusal(
        403,
        #"{"error":"mfa_required","error_description":"Multifactor authentication required","mfa_token":"Fe26.secret"}"#
      ))
    #expect(auth0.error == "mfa_required" && auth0.status == 403 && !"\(auth0)".contains("Fe26"))
    let google = try #require(
      try await refusal(400, #"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#))
    #expect(google.suberror == "invalid_rapt")
    let inOK = try #require(try await refusal(200, #"{"error":"bad_refresh_token"}"#))
    #expect(inOK.error == "bad_refresh_token" && inOK.status == 200)
    let strange = try #require(try await refusal(400, #"{"error":"<script>alert(1)</script>"}"#))
    #expect(strange.error == nil && strange.effectiveError == nil)
  }

  @Test func `an empty 400 to a refresh means that the token is dead, to a code it means nothing`()
    async throws
  {
    let error = try #require(try await refusal(400, ""))
    #expect(error.isEmptyBody && error.error == nil && error.isInvalidGrant)
    let world = try World()
    world.transport.script("/token", status: 400, "")
    let redeemed = await failure { () async throws(OAuthError) in
      try await world.provider.redeem(
        code: Secret("c"), redirectURI: "https://p/cb", codeVerifier: Secret("v"))
    }
    guard case .tokenEndpoint(let error)? = redeemed else {
      Issue.record("accepted")
      return
    }
    #expect(error.isEmptyBody && !error.isInvalidGrant && error.grant == .authorizationCode)
    #expect(try await refusal(403, "")?.isInvalidGrant == false)
    #expect(try await refusal(400, "<html>")?.isInvalidGrant == false)
  }

  @Test(arguments: [
    (503, "", true), (500, #"{"error":"server_error"}"#, true), (429, "", true),
    (502, "<html>bad gateway</html>", true),
    (400, #"{"error":"temporarily_unavailable"}"#, true), (400, #"{"error":"slow_down"}"#, true),
    (401, #"{"error":"invalid_client"}"#, false), (400, #"{"error":"invalid_grant"}"#, false),
    (400, #"{"error":"invalid_scope"}"#, false),
  ]) func `passing trouble is told from refusal`(_ status: Int, _ body: String, _ isTransient: Bool)
    async throws
  {
    let result = try await refresh(body, status: status)
    #expect(result.error?.isTransient == isTransient)
  }

  @Test(
    arguments: [
      ("7", Duration.seconds(7)), ("0", .zero), ("999999999999999999999", .seconds(3600)), ("-1", nil),
      ("soon", nil), ("", nil),
      ("Thu, 01 Jan 2026 00:01:00 GMT", .seconds(60)), ("Wed, 31 Dec 2025 00:00:00 GMT", .zero),
    ] as [(String, Duration?)])
  func `Retry-After is read as seconds or date and held within an hour`(_ text: String, _ expected: Duration?)
    async throws
  {
    let error = try await refusal(503, "", fields: [("retry-after", text)])
    #expect(error?.retryAfter == expected)
    #expect(try await refresh("", status: 503, fields: [("Retry-After", text)]).error?.retryAfter == expected)
  }

  @Test(arguments: [
    (TransportError.Kind.timeout, true), (.connect, true), (.dns, true), (.closed, true), (.tls, false),
    (.protocolError, false),
  ]) func `a provider that cannot be reached is passing trouble, a wrong certificate is not`(
    _ kind: TransportError.Kind, _ isTransient: Bool
  ) async throws {
    let world = try World()
    world.transport.script("/token", .failure(TransportError(kind)))
    let error = await failure { () async throws(OAuthError) in
      try await world.provider.refresh(refreshToken: Secret("rt"))
    }
    #expect(error == .transport(TransportError(kind), .token) && error?.isTransient == isTransient)
  }

  @Test func `nothing that prints shows a token`() async throws {
    let tokens = try await refresh(
      #"{"access_token":"canary-at","token_type":"Bearer","refresh_token":"canary-rt","id_token":"canary-id"}"#
    )
    .get()
    var text = ""
    dump(tokens, to: &text)
    #expect(!"\(tokens)\(text)".contains("canary"))
    let error = try #require(
      try await refresh(#"{"error":"invalid_grant","refresh_token":"canary"}"#, status: 400).error)
    #expect(!"\(error)".contains("canary"))
  }

  @Test func `revoking names the kind of token and knows where it cannot`() async throws {
    let world = try World()
    world.transport.script("/revoke", "")
    #expect(try await world.provider.revoke(Secret("rt"), hint: "refresh_token"))
    let request = try #require(world.transport.requests(to: "/revoke").first)
    #expect(request.form("token") == "rt" && request.form("token_type_hint") == "refresh_token")
    #expect(request.field("Authorization") != nil)
    world.transport.script("/revoke", status: 503, "")
    let error = await failure { () async throws(OAuthError) in try await world.provider.revoke(Secret("rt")) }
    #expect(error == .response(.revocation, status: 503, .status) && error?.isTransient == true)
    let without = try World(metadata: World.metadata(World.issuer, ["revocation_endpoint": nil]))
    #expect(try await without.provider.revoke(Secret("rt")) == false)
  }
}
