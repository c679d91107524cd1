import Basics
import HTTP
import JSON
import Synchronization

@testable import OAuth

/// A provider that refuses what Microsoft Entra ID refuses, with its numbers. It holds the scopes `api://mcp/…`, `api://other/…` and
/// Microsoft Graph's; who signs in is always Alice.
final class EntraDouble: HTTPTransport {
  static let tenant = "11111111-2222-3333-4444-555555555555"
  static let issuer = "https://login.microsoftonline.com/\(tenant)/v2.0"
  static let clientID = "22222222-aaaa-bbbb-cccc-333333333333"

  private struct State {
    var forms: [[(String, String)]] = []
    /// What further token requests are refused with, each once.
    var refusals: [Int] = []
  }

  private let state = Mutex(State())
  private static let base = "https://login.microsoftonline.com/\(tenant)"
  private static let openID: Set<String> = ["openid", "profile", "email", "offline_access"]
  private static let resources = ["api://mcp", "api://other", "https://graph.microsoft.com"]

  /// The token requests so far.
  var forms: [[(String, String)]] { state.withLock { $0.forms } }

  /// Refuses the next token requests with these numbers.
  func refuse(_ numbers: Int...) { state.withLock { $0.refusals += numbers } }

  func send(_ request: FetchRequest) async throws(TransportError) -> FetchResponse {
    switch request.url.path {
    case "/\(Self.tenant)/v2.0/.well-known/openid-configuration": answer(200, Self.metadata)
    case "/\(Self.tenant)/oauth2/v2.0/token": token(request)
    default: answer(404, [:])
    }
  }

  /// What the sign-in page says of a request: the number of the error it shows, or nil when it lets Alice in.
  func authorize(_ url: String) -> Int? {
    guard let url = URLReference(url), url.path == "/\(Self.tenant)/oauth2/v2.0/authorize" else {
      return 900_144
    }
    let parameters = PercentEncoding.parseQuery(url.query ?? "")
    if parameters.contains(where: { $0.0 == "resource" }) { return 901_002 }
    guard let scope = parameters.first(where: { $0.0 == "scope" })?.1 else { return 900_144 }
    // The page asks for the consent to scopes of several resources at once.
    return scope.split(separator: " ").lazy.compactMap { Self.fault(ofScope: String($0)) }.first
  }

  private func token(_ request: FetchRequest) -> FetchResponse {
    let form = request.form
    state.withLock { $0.forms.append(form) }
    if let fault = state.withLock({ $0.refusals.isEmpty ? nil : $0.refusals.removeFirst() }) {
      return refusal(fault)
    }
    if request.fields.contains(where: { ASCII.equalsIgnoringCase($0.name, "Origin") }) {
      return refusal(9_002_326)
    }
    let names = form.map(\.0)
    if Set(names).count != names.count { return refusal(9_002_313) }
    if names.contains("resource") { return refusal(901_002) }
    guard form.contains(where: { $0 == ("client_id", Self.clientID) }) else { return refusal(900_144) }
    guard names.contains("client_secret") || names.contains("client_assertion") else {
      return refusal(7_000_218)
    }
    switch request.form("grant_type") {
    case "authorization_code" where ["code", "redirect_uri", "code_verifier"].allSatisfy(names.contains):
      break
    case "refresh_token" where names.contains("refresh_token"): break
    case "urn:ietf:params:oauth:grant-type:jwt-bearer":
      guard request.form("requested_token_use") == "on_behalf_of", let assertion = request.form("assertion")
      else { return refusal(900_144) }
      guard let claims = SignedToken.unverifiedClaims(Secret(assertion)) else { return refusal(50_027) }
      guard claims["scp"] != nil else { return refusal(240_002) }
      guard claims["aud"]?.string == Self.clientID else { return refusal(500_131) }
      guard names.contains("scope") else { return refusal(900_144) }
    default: return refusal(70_003)
    }
    let scopes = (request.form("scope") ?? "api://mcp/tools").split(separator: " ").map(String.init)
    for scope in scopes {
      if let fault = Self.fault(ofScope: scope) { return refusal(fault) }
    }
    let named = scopes.filter { !Self.openID.contains($0) }
    guard Set(named.map { Self.resource(of: $0) }).count <= 1 else { return refusal(28_000) }
    var body: JSONObject = [
      "token_type": "Bearer", "scope": .string(named.joined(separator: " ")), "expires_in": 4200,
      "ext_expires_in": 4200,
      "access_token": .string("at for \(named.first ?? "nothing")".filter { $0 != " " }),
    ]
    if scopes.contains("offline_access") { body["refresh_token"] = "rt2" }
    return answer(200, body)
  }

  private static func resource(of scope: String) -> String? { resources.first { scope.hasPrefix($0 + "/") } }

  /// A scope without a resource is looked for among Graph's, where none of these is.
  private static func fault(ofScope scope: String) -> Int? {
    if openID.contains(scope) || resource(of: scope) != nil { return nil }
    return scope.contains("/") ? 70_011 : 650_053
  }

  private func refusal(_ number: Int) -> FetchResponse {
    let code =
      switch number {
      case 70_011, 28_000: "invalid_scope"
      case 901_002, 900_144, 9_002_313, 9_002_326: "invalid_request"
      case 7_000_218, 650_053: "invalid_client"
      case 70_003: "unsupported_grant_type"
      default: "invalid_grant"
      }
    return answer(
      400,
      [
        "error": .string(code), "error_description": .string("AADSTS\(number): refused."),
        "error_codes": [.number(JSONNumber(Int64(number)))], "timestamp": "2026-01-01 00:00:00Z",
        "trace_id": "44444444-1111-1111-1111-111111111111",
        "correlation_id": "55555555-1111-1111-1111-111111111111",
      ])
  }

  private func answer(_ status: Int, _ body: JSONObject) -> FetchResponse {
    FetchResponse(
      status: status, fields: [("Content-Type", "application/json; charset=utf-8")],
      body: JSONValue.object(body).serializedBytes())
  }

  private static let metadata: JSONObject = [
    "issuer": .string(issuer), "authorization_endpoint": .string(base + "/oauth2/v2.0/authorize"),
    "token_endpoint": .string(base + "/oauth2/v2.0/token"),
    "jwks_uri": .string(base + "/discovery/v2.0/keys"),
    "end_session_endpoint": .string(base + "/oauth2/v2.0/logout"),
    "token_endpoint_auth_methods_supported": [
      "client_secret_post", "private_key_jwt", "client_secret_basic",
    ],
    "request_uri_parameter_supported": false,
  ]
}

/// A JWT that nobody checks the signature of.
func unsigned(_ claims: JSONObject) -> Secret {
  Secret(
    [#"{"alg":"RS256","typ":"JWT"}"#, JSONValue.object(claims).serialized(), "signature"]
      .map { Base64URL.encode(Array($0.utf8)) }.joined(separator: "."))
}

extension FetchRequest {
  /// The form as lines.
  var formLines: [String] { form.map { "\($0.0)=\($0.1)" } }
}
