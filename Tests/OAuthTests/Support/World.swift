import Basics
import HTTP
import JSON

@testable import OAuth

/// A provider that answers from a script, and the proxy's side of it.
struct World: Sendable {
  static let issuer = "https://id.example"
  static let clientID = "proxy"
  static let nonce = "n-0S6_WzA2Mj"

  let transport = ScriptedTransport()
  let clock = FakeClock()
  let provider: Provider

  init(
    issuer: String = World.issuer,
    authentication: ClientAuthentication = .clientSecretBasic(Secret("s3cret")),
    metadata: JSONObject? = nil, keySet: String? = nil, change: (inout ProviderSettings) -> Void = { _ in }
  ) throws {
    var settings = ProviderSettings(issuer: issuer, clientID: World.clientID, authentication: authentication)
    change(&settings)
    provider = Provider(
      settings: settings, transport: transport, executor: QueueExecutor.shared, clock: clock.wall)
    let document = metadata ?? World.metadata()
    let path = (URLReference(issuer)?.path ?? "/")
    transport.script(
      (path.hasSuffix("/") ? String(path.dropLast()) : path) + "/.well-known/openid-configuration",
      JSONValue.object(document).serialized())
    transport.script("/jwks", try keySet ?? TokenMint.keySet(try TokenMint.rsaJWK("k1")))
  }

  /// A document of `base`, with members added, replaced or (nil) removed.
  static func metadata(_ base: String = World.issuer, _ changes: [String: JSONValue?] = [:]) -> JSONObject {
    var object: JSONObject = [
      "issuer": .string(base), "authorization_endpoint": .string(base + "/authorize"),
      "token_endpoint": .string(base + "/token"), "jwks_uri": .string(base + "/jwks"),
      "end_session_endpoint": .string(base + "/logout"), "revocation_endpoint": .string(base + "/revoke"),
    ]
    for (key, value) in changes { object[key] = value }
    return object
  }

  /// Claims of a good token.
  var claims: JSONObject {
    let now = clock.now.seconds
    return [
      "iss": .string(World.issuer), "sub": "alice", "aud": .string(World.clientID),
      "exp": .number(JSONNumber(now + 300)), "iat": .number(JSONNumber(now)), "nonce": .string(World.nonce),
      "name": "Alice",
    ]
  }

  static let header: JSONObject = ["alg": "RS256", "kid": "k1", "typ": "JWT"]

  /// Whether `token` is accepted, or why not.
  func judge(
    _ token: Secret, _ expectation: IDTokenExpectation = IDTokenExpectation(nonce: World.nonce)
  ) async -> Result<IDTokenClaims, OAuthError> {
    do throws(OAuthError) {
      return .success(try await provider.validate(idToken: token, expecting: expectation))
    } catch {
      return .failure(error)
    }
  }
}

extension JSONObject {
  /// This object with members added, replaced or (nil) removed.
  func with(_ changes: [String: JSONValue?]) -> JSONObject {
    var out = self
    for (key, value) in changes { out[key] = value }
    return out
  }
}

extension Result where Failure == OAuthError {
  var error: OAuthError? {
    if case .failure(let error) = self { error } else { nil }
  }
  var rejection: IDTokenRejection? {
    if case .failure(.idToken(let rejection)) = self { rejection } else { nil }
  }
}

/// The error of a call that must fail.
func failure<R>(_ body: () async throws(OAuthError) -> R) async -> OAuthError? {
  do throws(OAuthError) { _ = try await body() } catch { return error }
  return nil
}
