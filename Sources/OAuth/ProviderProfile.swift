internal import JSON

/// In which dialect a provider speaks where it leaves the standards.
public enum ProviderProfile: Sendable, Hashable {
  /// As the standards have it.
  case standard
  /// Microsoft Entra ID: no `resource` parameter, one resource for each token request, named inside its scopes; the client
  /// capability `cp1`; sign-out with `logout_hint`.
  case entra

  private static let entraPrefixes = [
    "https://login.microsoftonline.com/", "https://login.microsoftonline.us/",
    "https://login.partner.microsoftonline.cn/",
  ]

  /// The profile that an issuer's address speaks for: ``entra`` for Entra's public and national clouds.
  public static func of(issuer: String) -> ProviderProfile {
    entraPrefixes.contains { issuer.hasPrefix($0) } ? .entra : .standard
  }
}

/// The profile's rules for parameters.
extension ProviderSettings {
  /// Says that the proxy understands claims challenges; without it Entra's resources send none (*Claims challenges, claims requests, and
  /// client capabilities*).
  private var capability: JSONObject? {
    guard declaresClientCapability else { return nil }
    return ["access_token": ["xms_cc": ["values": ["cp1"]]]]
  }

  /// The request as the profile wants it.
  func shaped(_ request: AuthorizationRequest) -> AuthorizationRequest {
    guard profile == .entra else { return request }
    var request = request
    request.resource = nil
    let configured = extraAuthorizationParameters.first { $0.name == "claims" }?.value
    request.claims = ClaimsRequest.merged(base: capability, text: request.claims ?? configured)
    return request
  }

  /// The operator's own parameters, without those that the provider refuses.
  var shapedExtraParameters: [(name: String, value: String)] {
    profile == .entra
      ? extraAuthorizationParameters.filter { $0.name != "resource" } : extraAuthorizationParameters
  }

  /// The scopes of a token request: with Entra those of one resource, `resource` if any names it.
  func shaped(scope: [String]?, resource: String?) -> [String]? {
    guard profile == .entra, let scope else { return scope }
    return EntraScope.oneResource(scope, preferring: resource.map { [$0] } ?? [])
  }

  /// The `resource` parameter of a token request.
  func shaped(resource: String?) -> String? { profile == .entra ? nil : resource }

  /// The `claims` parameter of a token request that has one.
  func shaped(claims: String?) -> String? {
    guard profile == .entra, let claims else { return claims }
    return ClaimsRequest.merged(base: capability, text: claims)
  }
}
