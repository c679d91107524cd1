import Basics
import HTTP
import JSON
import Testing

@testable import OAuth

/// The provider against one that refuses what Entra refuses.
@Suite struct EntraProfileTests {
  private let entra = EntraDouble()
  private let clock = FakeClock()
  private let scopes = ["openid", "profile", "offline_access", "api://mcp/tools", "api://other/read"]

  private func provider(
    authentication: ClientAuthentication = .clientSecretPost(Secret("s3cret")),
    change: (inout ProviderSettings) -> Void = { _ in }
  ) -> Provider {
    var settings = ProviderSettings(
      issuer: EntraDouble.issuer, clientID: EntraDouble.clientID, authentication: authentication)
    change(&settings)
    return Provider(settings: settings, transport: entra, executor: QueueExecutor.shared, clock: clock.wall)
  }

  private func request(_ scope: [String], claims: String? = nil) -> AuthorizationRequest {
    AuthorizationRequest(
      redirectURI: "https://proxy.example/auth/callback", scope: scope, state: "st", nonce: "no",
      codeChallenge: "ch", resource: "https://mcp.example/mcp", claims: claims)
  }

  private func parameter(_ name: String, of url: String) -> String? {
    PercentEncoding.parseQuery(URLReference(url)?.query ?? "").first { $0.0 == name }?.1
  }

  private func code(_ body: () async throws(OAuthError) -> TokenResponse) async -> Int? {
    if case .tokenEndpoint(let error)? = await failure(body) { error.errorCodes.first } else { nil }
  }

  private var userToken: Secret { unsigned(["aud": .string(EntraDouble.clientID), "scp": "access_as_user"]) }

  @Test func `the double refuses what is meant for others`() async throws {
    let provider = provider { $0.profile = .standard }
    #expect(entra.authorize(try await provider.authorizationURL(request(scopes))) == 901_002)
    #expect(
      await code { () async throws(OAuthError) in
        try await provider.refresh(refreshToken: Secret("rt"), resource: "https://mcp.example/mcp")
      } == 901_002)
    #expect(
      await code { () async throws(OAuthError) in
        try await provider.refresh(refreshToken: Secret("rt"), scope: scopes)
      } == 28_000)
    #expect(
      await code { () async throws(OAuthError) in
        try await provider.exchange(
          ExchangeRequest(form: .tokenExchange, subjectToken: userToken, scope: ["api://mcp/tools"]))
      } == 70_003)
  }

  @Test(arguments: [
    ([("requested_token_use", "other")], 900_144), ([], 900_144),
    ([("requested_token_use", "on_behalf_of"), ("resource", "api://mcp")], 901_002),
    ([("requested_token_use", "on_behalf_of"), ("scope", "api://mcp/a api://other/b")], 28_000),
    ([("requested_token_use", "on_behalf_of"), ("scope", "tools")], 650_053),
  ])
  func `the double knows a whole on-behalf-of request`(_ added: [(String, String)], _ number: Int)
    async throws
  {
    let form =
      [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("client_id", EntraDouble.clientID),
        ("client_secret", "s3cret"), ("assertion", userToken.reveal()),
      ] + added
    let url = try #require(
      URLReference("https://login.microsoftonline.com/\(EntraDouble.tenant)/oauth2/v2.0/token"))
    let response = try await entra.send(
      FetchRequest(method: "POST", url: url, body: Array(PercentEncoding.formEncode(form).utf8)))
    #expect(try JSONValue.parse(response.body)["error_codes"]?[0]?.int64 == Int64(number))
  }

  @Test func `a sign-in, a refresh for each resource and an exchange pass`() async throws {
    let provider = provider()
    let url = try await provider.authorizationURL(request(scopes))
    #expect(entra.authorize(url) == nil)
    #expect(parameter("scope", of: url) == scopes.joined(separator: " "))
    let tokens = try await provider.redeem(
      code: Secret("c"), redirectURI: "https://proxy.example/auth/callback", codeVerifier: Secret("v"),
      resource: "https://mcp.example/mcp", scope: scopes)
    #expect(tokens.scope == ["api://mcp/tools"] && tokens.refreshToken != nil)
    let other = try await provider.refresh(
      refreshToken: Secret("rt"), scope: scopes, resource: "api://other", claims: #"{"access_token":{}}"#)
    #expect(other.scope == ["api://other/read"])
    let exchanged = try await provider.exchange(
      ExchangeRequest(
        form: .onBehalfOf, subjectToken: userToken, scope: ["api://mcp/.default"],
        expectedAudience: [EntraDouble.clientID]))
    #expect(exchanged.scope == ["api://mcp/.default"] && exchanged.refreshToken == nil)
    #expect(
      entra.forms.map { $0.first { $0.0 == "scope" }?.1 } == [
        "openid profile offline_access api://mcp/tools", "openid profile offline_access api://other/read",
        "api://mcp/.default",
      ])
    #expect(!entra.forms.joined().contains { $0.0 == "resource" || $0.0 == "audience" })
  }

  @Test(
    arguments: [
      (nil, #"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#),
      (
        #"{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}"#,
        #"{"access_token":{"xms_cc":{"values":["cp1"]},"nbf":{"essential":true,"value":"1767225600"}}}"#
      ),
      ("no object", #"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#),
    ] as [(String?, String)])
  func `the client capability is in every authorization request`(_ claims: String?, _ sent: String)
    async throws
  {
    let provider = provider()
    let url = try await provider.authorizationURL(request(scopes, claims: claims))
    #expect(parameter("claims", of: url) == sent)
  }

  @Test func `token requests carry the capability beside claims only`() async throws {
    let provider = provider()
    let demand = #"{"access_token":{"acrs":{"essential":true,"value":"c2"}}}"#
    _ = try await provider.refresh(refreshToken: Secret("rt"), claims: demand)
    _ = try await provider.refresh(refreshToken: Secret("rt"))
    _ = try await provider.exchange(
      ExchangeRequest(
        form: .onBehalfOf, subjectToken: userToken, scope: ["api://mcp/tools"], claims: demand))
    let sent =
      #"{"access_token":{"xms_cc":{"values":["cp1"]},"acrs":{"essential":true,"value":"c2"}}}"#
    #expect(entra.forms.map { $0.first { $0.0 == "claims" }?.1 } == [sent, nil, sent])
  }

  @Test func `without the capability claims go as they came`() async throws {
    let provider = provider { $0.declaresClientCapability = false }
    let demand = #"{ "access_token":{"polids":{"Values":["1"]}} }"#
    #expect(parameter("claims", of: try await provider.authorizationURL(request(scopes))) == nil)
    #expect(
      parameter("claims", of: try await provider.authorizationURL(request(scopes, claims: demand))) == demand)
    _ = try await provider.refresh(refreshToken: Secret("rt"), claims: demand)
    #expect(entra.forms.last?.first { $0.0 == "claims" }?.1 == demand)
  }

  @Test func `what the operator adds is shaped, too`() async throws {
    let provider = provider {
      $0.extraAuthorizationParameters = [
        ("resource", "https://mcp.example"), ("claims", #"{"id_token":{"acr":null}}"#),
        ("domain_hint", "example.com"),
      ]
    }
    let url = try await provider.authorizationURL(request(scopes))
    #expect(entra.authorize(url) == nil && parameter("domain_hint", of: url) == "example.com")
    #expect(
      parameter("claims", of: url)
        == #"{"access_token":{"xms_cc":{"values":["cp1"]}},"id_token":{"acr":null}}"#)
  }

  @Test(
    arguments: [
      (["tools"], 650_053), (["https://unknown.example/tools"], 70_011), (["api://mcp/tools"], nil),
    ] as [([String], Int?)])
  func `scopes that Entra does not know are its to refuse`(_ scope: [String], _ number: Int?) async throws {
    let provider = provider()
    #expect(entra.authorize(try await provider.authorizationURL(request(scope))) == number)
    #expect(
      await code { () async throws(OAuthError) in
        try await provider.refresh(refreshToken: Secret("rt"), scope: scope)
      } == number)
  }

  @Test func `an assertion that Entra would refuse is not sent`() async throws {
    let provider = provider()
    let idToken = unsigned(["aud": .string(EntraDouble.clientID), "nonce": "n"])
    for (subject, type) in [
      (idToken, ExchangeRequest.TokenType.accessToken), (Secret("opaque"), .idToken), (idToken, .jwt),
    ] {
      let error = await failure { () async throws(OAuthError) in
        try await provider.exchange(
          ExchangeRequest(
            form: .onBehalfOf, subjectToken: subject, subjectTokenType: type, scope: ["api://mcp/tools"]))
      }
      #expect(error == .credential(ExchangeFault.idTokenAsAssertion.description))
    }
    #expect(entra.forms.isEmpty)
    // The double itself knows the difference.
    let noScope = unsigned(["aud": .string(EntraDouble.clientID)])
    #expect(
      await code { () async throws(OAuthError) in
        try await provider.exchange(
          ExchangeRequest(form: .onBehalfOf, subjectToken: noScope, scope: ["api://mcp/tools"]))
      } == 240_002)
  }

  @Test func `signing out says who by the login hint where it is known`() async throws {
    let provider = provider()
    let withHint = unsigned(["login_hint": "O.opaque"])
    let without = unsigned(["sub": "alice"])
    func names(_ url: String?) -> [String] {
      PercentEncoding.parseQuery(URLReference(url ?? "")?.query ?? "").map { "\($0.0)=\($0.1)" }
    }
    let client = "client_id=\(EntraDouble.clientID)"
    #expect(
      names(try await provider.endSessionURL(idTokenHint: withHint)) == ["logout_hint=O.opaque", client])
    #expect(
      names(try await provider.endSessionURL(idTokenHint: withHint, logoutHint: "other")) == [
        "logout_hint=other", client,
      ])
    #expect(
      names(try await provider.endSessionURL(idTokenHint: without)) == [
        "id_token_hint=\(without.reveal())", client,
      ])
  }

  @Test func `what Entra calls a loop may work later, and costs nobody the refresh token`() async throws {
    let provider = provider()
    entra.refuse(50_196)
    let error = await failure { () async throws(OAuthError) in
      try await provider.refresh(refreshToken: Secret("alice"), scope: ["api://mcp/tools"])
    }
    #expect(error?.isTransient == true)
    if case .tokenEndpoint(let refusal)? = error { #expect(refusal.isClientLoop && !refusal.isInvalidGrant) }
    // Another user is not held up by it.
    let other = await failure { () async throws(OAuthError) in
      try await provider.refresh(refreshToken: Secret("bob"), scope: ["api://mcp/tools"])
    }
    #expect(other == nil)
  }
}
