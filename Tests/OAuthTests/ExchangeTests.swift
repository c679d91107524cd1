import Basics
import HTTP
import JSON
import Testing

@testable import OAuth

@Suite struct ExchangeTests {
  private static let good =
    #"{"access_token":"at","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","#
    + #""token_type":"Bearer","expires_in":300,"scope":"files.read"}"#
  private static let exchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
  private static let bearer = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer"
  private static let type = "urn:ietf:params:oauth:token-type:"

  private func send(
    _ request: ExchangeRequest, status: Int = 200, _ answer: String = good
  ) async throws -> (result: Result<TokenResponse, OAuthError>, requests: [FetchRequest]) {
    let world = try World()
    world.transport.script("/token", status: status, answer)
    let result: Result<TokenResponse, OAuthError>
    do throws(OAuthError) { result = .success(try await world.provider.exchange(request)) } catch {
      result = .failure(error)
    }
    return (result, world.transport.requests(to: "/token"))
  }

  @Test(arguments: [
    (
      ExchangeRequest(form: .onBehalfOf, subjectToken: Secret("user"), scope: ["api://m/a", "api://m/b"]),
      [bearer, "assertion=user", "requested_token_use=on_behalf_of", "scope=api://m/a api://m/b"]
    ),
    (
      ExchangeRequest(
        form: .onBehalfOf, subjectToken: Secret("user"), requestedTokenType: .accessToken,
        resource: ["api://n"], scope: ["api://m/a", "offline_access", "api://n/b"],
        claims: #"{"access_token":{}}"#),
      [
        bearer, "assertion=user", "requested_token_use=on_behalf_of", "scope=offline_access api://n/b",
        #"claims={"access_token":{}}"#,
      ]
    ),
    (
      ExchangeRequest(form: .tokenExchange, subjectToken: Secret("user")),
      [exchange, "subject_token=user", "subject_token_type=\(type)access_token"]
    ),
    (
      ExchangeRequest(
        form: .tokenExchange, subjectToken: Secret("user"), subjectTokenType: .idToken,
        actorToken: Secret("actor"), actorTokenType: .jwt, requestedTokenType: .jwt, audience: ["m", "n"],
        resource: ["https://m.example/mcp/"], scope: ["a", "b"], claims: "{}"),
      [
        exchange, "subject_token=user", "subject_token_type=\(type)id_token", "actor_token=actor",
        "actor_token_type=\(type)jwt", "requested_token_type=\(type)jwt", "audience=m", "audience=n",
        "resource=https://m.example/mcp/", "scope=a b", "claims={}",
      ]
    ),
  ])
  func `the form has exactly the fields of its protocol`(
    _ request: ExchangeRequest, _ form: [String]
  ) async throws {
    let (result, requests) = try await send(request)
    #expect(try result.get().accessToken == Secret("at"))
    let sent = try #require(requests.first)
    #expect(requests.count == 1 && sent.formLines == form)
    #expect(sent.field("Authorization")?.hasPrefix("Basic ") == true)
    #expect(!sent.fields.contains { ASCII.equalsIgnoringCase($0.name, "Origin") })
  }

  // MARK: Refused before sending

  private static func jwt(_ claims: JSONObject) -> Secret { unsigned(claims) }

  @Test(
    arguments: [
      (
        ExchangeRequest(form: .onBehalfOf, subjectToken: Secret("x"), subjectTokenType: .idToken),
        ExchangeFault.idTokenAsAssertion
      ),
      (
        ExchangeRequest(form: .onBehalfOf, subjectToken: jwt(["aud": "proxy", "nonce": "n"])),
        .idTokenAsAssertion
      ),
      (ExchangeRequest(form: .onBehalfOf, subjectToken: jwt(["at_hash": "n"])), .idTokenAsAssertion),
      (ExchangeRequest(form: .onBehalfOf, subjectToken: jwt(["scp": "x", "nonce": "n"])), nil),
      (
        ExchangeRequest(form: .tokenExchange, subjectToken: jwt(["nonce": "n"]), subjectTokenType: .idToken),
        nil
      ),
      (
        ExchangeRequest(form: .onBehalfOf, subjectToken: Secret("x"), actorToken: Secret("y")),
        .notOnBehalfOf("actor_token")
      ),
      (
        ExchangeRequest(form: .onBehalfOf, subjectToken: Secret("x"), audience: ["y"]),
        .notOnBehalfOf("audience")
      ),
      (
        ExchangeRequest(form: .onBehalfOf, subjectToken: Secret("x"), requestedTokenType: .idToken),
        .notOnBehalfOf("requested_token_type")
      ),
      (
        ExchangeRequest(
          form: .onBehalfOf, subjectToken: jwt(["aud": "other", "scp": "x"]), expectedAudience: ["proxy"]),
        .subjectAudience
      ),
      (
        ExchangeRequest(
          form: .tokenExchange, subjectToken: jwt(["aud": ["other", "third"]]), expectedAudience: ["proxy"]),
        .subjectAudience
      ),
      (
        ExchangeRequest(form: .tokenExchange, subjectToken: jwt(["sub": "a"]), expectedAudience: ["proxy"]),
        .subjectAudience
      ),
      (
        ExchangeRequest(
          form: .tokenExchange, subjectToken: jwt(["aud": ["other", "proxy"]]), expectedAudience: ["proxy"]),
        nil
      ),
      (
        ExchangeRequest(
          form: .onBehalfOf, subjectToken: jwt(["aud": "api://proxy", "scp": "x"]),
          expectedAudience: ["proxy", "api://proxy"]), nil
      ),
      (ExchangeRequest(form: .tokenExchange, subjectToken: jwt(["aud": "other"])), nil),
      // Not to be read: the provider judges.
      (
        ExchangeRequest(form: .tokenExchange, subjectToken: Secret("opaque"), expectedAudience: ["proxy"]),
        nil
      ),
      (
        ExchangeRequest(form: .tokenExchange, subjectToken: Secret("a.b.c.d.e"), expectedAudience: ["proxy"]),
        nil
      ),
      (ExchangeRequest(form: .onBehalfOf, subjectToken: Secret("a.!.c"), expectedAudience: ["proxy"]), nil),
    ] as [(ExchangeRequest, ExchangeFault?)])
  func `what cannot succeed is not sent`(_ request: ExchangeRequest, _ fault: ExchangeFault?) async throws {
    #expect(request.fault == fault)
    let (result, requests) = try await send(request)
    #expect(result.error == fault.map { .credential($0.description) })
    #expect(requests.count == (fault == nil ? 1 : 0))
    #expect(result.error?.isTransient != true)
  }

  @Test func `Entra is not asked for RFC 8693`() async throws {
    let world = try World { $0.profile = .entra }
    let error = await failure { () async throws(OAuthError) in
      try await world.provider.exchange(ExchangeRequest(form: .tokenExchange, subjectToken: Secret("x")))
    }
    #expect(error == .credential(ExchangeFault.noTokenExchange.description) && world.transport.all.isEmpty)
  }

  // MARK: Answers

  @Test(
    arguments: [
      (#""issued_token_type":"\#(type)access_token","token_type":"bearer""#, nil),
      (#""issued_token_type":"\#(type)jwt","token_type":"Bearer""#, nil),
      (#""token_type":"Bearer""#, OAuthError.ResponseFault.member("issued_token_type")),
      (#""issued_token_type":"\#(type)id_token","token_type":"Bearer""#, .member("issued_token_type")),
      (#""issued_token_type":"\#(type)refresh_token","token_type":"Bearer""#, .member("issued_token_type")),
      (#""issued_token_type":7,"token_type":"Bearer""#, .member("issued_token_type")),
      (#""issued_token_type":"\#(type)access_token","token_type":"N_A""#, .tokenType),
      (#""issued_token_type":"\#(type)access_token""#, .member("token_type")),
    ] as [(String, OAuthError.ResponseFault?)])
  func `of an exchange only a bearer token is accepted`(
    _ members: String, _ fault: OAuthError.ResponseFault?
  ) async throws {
    let request = ExchangeRequest(form: .tokenExchange, subjectToken: Secret("user"))
    let (result, _) = try await send(request, #"{"access_token":"at",\#(members)}"#)
    #expect(result.error == fault.map { .response(.token, status: 200, $0) })
    if fault == nil { #expect(try result.get().issuedTokenType != nil) }
  }

  @Test func `other grants need no issued token type`() async throws {
    let request = ExchangeRequest(form: .onBehalfOf, subjectToken: Secret("user"), scope: ["api://m/a"])
    let (result, _) = try await send(request, #"{"access_token":"at","token_type":"Bearer"}"#)
    #expect(try result.get().issuedTokenType == nil)
  }

  @Test(arguments: [
    (ExchangeRequest.Form.tokenExchange, "invalid_request", GrantType.tokenExchange, true),
    (.tokenExchange, "invalid_target", .tokenExchange, false),
    (.tokenExchange, "invalid_scope", .tokenExchange, false),
    (.tokenExchange, "consent_required", .tokenExchange, false),
    (.onBehalfOf, "invalid_request", .jwtBearer, false),
    (.onBehalfOf, "interaction_required", .jwtBearer, false),
  ])
  func `a refusal says which grant it is about`(
    _ form: ExchangeRequest.Form, _ code: String, _ grant: GrantType, _ isAboutSubject: Bool
  ) async throws {
    let request = ExchangeRequest(form: form, subjectToken: Secret("canary"), scope: ["api://m/a"])
    let (result, _) = try await send(request, status: 400, #"{"error":"\#(code)","claims":"{\"a\":1}"}"#)
    guard case .tokenEndpoint(let error)? = result.error else {
      Issue.record("\(String(describing: result.error))")
      return
    }
    #expect(error.error == code && error.grant == grant && error.isSubjectRefused == isAboutSubject)
    #expect(error.claims == #"{"a":1}"# && !error.isTransient)
    #expect(!error.summary.contains("canary") && !"\(request)".contains("canary"))
  }
}
