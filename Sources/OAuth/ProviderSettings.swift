/// What an operator decides about the provider.
public struct ProviderSettings: Sendable {
  /// What a client assertion names as its audience.
  public enum AssertionAudience: Sendable, Hashable {
    /// The token endpoint's URL (RFC 7523 §3, Entra).
    case tokenEndpoint
    /// The issuer, as newer guidance has it.
    case issuer
    /// A fixed value.
    case fixed(String)
  }

  /// The issuer identifier; compared byte for byte with what the provider says. Entra's `…/common/v2.0` and
  /// `…/organizations/v2.0` may have the template issuer.
  public var issuer: String
  /// The client identifier.
  public var clientID: String
  /// How the proxy proves who it is.
  public var authentication: ClientAuthentication
  /// The provider's dialect. What the issuer's address speaks for, unless it is set.
  public var profile: ProviderProfile
  /// Whether Entra is told that claims challenges are understood (client capability `cp1`): in every authorization request, and in
  /// token requests that carry claims. Other profiles do not know it.
  public var declaresClientCapability = true
  /// Signature algorithms of ID tokens; reduced by what metadata names.
  public var allowedAlgorithms: Set<SigningAlgorithm> = [.rs256, .ps256, .es256]
  /// How far the provider's clock may be off, either way.
  public var clockSkew: Duration = .seconds(90)
  /// Added to every authorization request; they cannot replace what the request says itself.
  public var extraAuthorizationParameters: [(name: String, value: String)] = []
  /// What a client assertion names as `aud`.
  public var assertionAudience: AssertionAudience = .tokenEndpoint
  /// Tenants (`tid`) that may sign in, as lower-case GUIDs; empty: all that the issuer stands for.
  public var allowedTenants: Set<String> = []
  /// Audiences that an ID token may name besides this client.
  public var trustedAudiences: Set<String> = []
  /// Hosts that metadata may name; nil: any.
  public var allowedEndpointHosts: Set<String>?
  /// Whether an issuer on a loopback address may do without TLS. Never does it elsewhere.
  public var allowsInsecureLoopback = true
  /// Whether authorization requests are pushed (RFC 9126) where the provider can, even if it does not demand it.
  public var pushesAuthorizationRequests = false

  /// Settings with defaults for all but the three that have none.
  public init(issuer: String, clientID: String, authentication: ClientAuthentication) {
    self.issuer = issuer
    self.clientID = clientID
    self.authentication = authentication
    profile = .of(issuer: issuer)
  }
}
