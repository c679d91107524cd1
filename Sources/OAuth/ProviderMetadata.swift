internal import Basics
public import HTTP
internal import JSON

/// The provider's discovery document (OpenID Connect Discovery 1.0 §3), checked: every URL is https, or loopback under a loopback
/// issuer.
public struct ProviderMetadata: Sendable, Hashable {
  /// The issuer as the document has it; may be Entra's template.
  public let issuer: String
  /// Where browsers are sent.
  public let authorizationEndpoint: URLReference
  /// Where codes and refresh tokens are redeemed.
  public let tokenEndpoint: URLReference
  /// The key set.
  public let jwksURI: URLReference
  /// RP-initiated logout.
  public let endSessionEndpoint: URLReference?
  /// RFC 7009.
  public let revocationEndpoint: URLReference?
  /// RFC 9126.
  public let pushedAuthorizationEndpoint: URLReference?
  /// Where requests go that are proven by a client certificate (RFC 8705 §5); read only under ``ClientAuthentication/mutualTLS``.
  public let mutualTLSAliases: MutualTLSAliases?
  /// Whether only pushed authorization requests are accepted.
  public let requiresPushedAuthorization: Bool
  /// Whether authorization responses carry `iss` (RFC 9207 §3).
  public let promisesIssuerInResponse: Bool
  /// `id_token_signing_alg_values_supported`; empty when not said.
  public let idTokenAlgorithms: [String]
  /// `token_endpoint_auth_methods_supported`; empty when not said.
  public let tokenEndpointAuthMethods: [String]
  /// `code_challenge_methods_supported`; empty when not said, as with Entra, which understands S256 all the same.
  public let codeChallengeMethods: [String]
  /// `scopes_supported`; empty when not said.
  public let scopes: [String]

  /// `mtls_endpoint_aliases`, as far as they are used.
  public struct MutualTLSAliases: Sendable, Hashable {
    /// In place of ``ProviderMetadata/tokenEndpoint``.
    public let token: URLReference?
    /// In place of ``ProviderMetadata/revocationEndpoint``.
    public let revocation: URLReference?
    /// In place of ``ProviderMetadata/pushedAuthorizationEndpoint``.
    public let pushedAuthorization: URLReference?
  }

  /// The token endpoint as it was written: client assertions name it byte for byte.
  let tokenEndpointText: String
  let issuerTemplate: IssuerTemplate?

  /// Longest document that is read, in bytes.
  static let maxBytes = 256 << 10

  /// Where the document of `settings.issuer` lies (OpenID Connect Discovery 1.0 §4.1).
  static func documentURL(_ settings: ProviderSettings) throws(MetadataFault) -> URLReference {
    guard let issuer = URLReference(settings.issuer), issuer.query == nil,
      issuer.isSecure || (settings.allowsInsecureLoopback && issuer.isLoopback)
    else { throw .issuerURL }
    let path = issuer.path.hasSuffix("/") ? String(issuer.path.dropLast()) : issuer.path
    return issuer.replacing(path: path + "/.well-known/openid-configuration")
  }

  /// Reads and checks a document.
  init(document: [UInt8], settings: ProviderSettings) throws(MetadataFault) {
    guard document.count <= Self.maxBytes else { throw .tooLong(limit: Self.maxBytes) }
    let object: JSONObject
    do {
      let value = try JSONValue.parse(document, limits: JSONLimits(depth: 32, bytes: Self.maxBytes))
      guard let found = value.object else { throw MetadataFault.notJSON("another value") }
      object = found
    } catch let error as JSONError {
      throw .notJSON(error.description)
    } catch {
      throw .notJSON("another value")
    }
    guard let issuer = object["issuer"]?.string else { throw .missing("issuer") }
    let template = IssuerTemplate(issuer)
    guard template?.isServed(at: settings.issuer) ?? (issuer == settings.issuer) else {
      throw .issuerMismatch(configured: settings.issuer, document: ErrorText.clean(issuer, limit: 256) ?? "")
    }
    let mayBeInsecure = settings.allowsInsecureLoopback && URLReference(settings.issuer)?.isLoopback == true

    func optional(_ name: String, in object: JSONObject) throws(MetadataFault) -> URLReference? {
      guard let value = object[name], !value.isNull else { return nil }
      guard let url = value.string.flatMap({ URLReference($0) }) else { throw .invalidURL(name) }
      guard url.isSecure || (mayBeInsecure && url.isLoopback) else { throw .insecure(name) }
      if let hosts = settings.allowedEndpointHosts, !hosts.contains(url.host) {
        throw .foreignHost(name, host: url.host)
      }
      return url
    }
    func optional(_ name: String) throws(MetadataFault) -> URLReference? { try optional(name, in: object) }
    func required(_ name: String) throws(MetadataFault) -> URLReference {
      guard let url = try optional(name) else { throw .missing(name) }
      return url
    }
    func list(_ name: String) -> [String] { object[name]?.strings ?? [] }

    self.issuer = issuer
    issuerTemplate = template
    authorizationEndpoint = try required("authorization_endpoint")
    tokenEndpoint = try required("token_endpoint")
    tokenEndpointText = object["token_endpoint"]?.string ?? tokenEndpoint.description
    jwksURI = try required("jwks_uri")
    endSessionEndpoint = try optional("end_session_endpoint")
    revocationEndpoint = try optional("revocation_endpoint")
    pushedAuthorizationEndpoint = try optional("pushed_authorization_request_endpoint")
    if case .mutualTLS = settings.authentication, let aliases = object["mtls_endpoint_aliases"]?.object {
      mutualTLSAliases = MutualTLSAliases(
        token: try optional("token_endpoint", in: aliases),
        revocation: try optional("revocation_endpoint", in: aliases),
        pushedAuthorization: try optional("pushed_authorization_request_endpoint", in: aliases))
    } else {
      mutualTLSAliases = nil
    }
    requiresPushedAuthorization = object["require_pushed_authorization_requests"]?.bool ?? false
    promisesIssuerInResponse = object["authorization_response_iss_parameter_supported"]?.bool ?? false
    idTokenAlgorithms = list("id_token_signing_alg_values_supported")
    tokenEndpointAuthMethods = list("token_endpoint_auth_methods_supported")
    codeChallengeMethods = list("code_challenge_methods_supported")
    scopes = list("scopes_supported")
  }

  /// The algorithms that an ID token may be signed with.
  func algorithms(allowed: Set<SigningAlgorithm>) -> Set<SigningAlgorithm> {
    idTokenAlgorithms.isEmpty ? allowed : allowed.filter { idTokenAlgorithms.contains($0.rawValue) }
  }
}
