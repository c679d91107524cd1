extension Configuration {
  /// The OpenID provider and this proxy's registration with it.
  public struct OIDC: Sendable, Hashable {
    /// The name of a provider that the file gives none, which only a single one may do.
    public static let defaultName = "default"

    /// What routes and addresses call the provider; no other one has the name.
    public var name = OIDC.defaultName
    /// What people are told the provider is called; nil: its host.
    public var displayName: String?
    /// The issuer identifier; `issuer.text` is compared byte for byte with what the provider says (OpenID
    /// Connect Discovery 1.0 §4.3).
    public var issuer = WebURL.unset
    /// The client identifier that the provider gave.
    public var clientID = ""
    /// File with the client secret.
    public var clientSecretFile: String?
    /// Name of an environment variable with the client secret, instead of the file.
    public var clientSecretEnv: String?
    /// How the proxy proves who it is at the token endpoint.
    public var tokenEndpointAuthMethod = AuthMethod.clientSecretBasic
    /// PEM file with the key that signs client assertions (RFC 7523), for ``AuthMethod/privateKeyJWT``.
    public var privateKeyFile: String?
    /// PEM file with the certificate of that key: assertions name it by `x5t#S256`.
    public var certificateFile: String?
    /// Assertions name the key by this `kid`.
    public var keyID: String?
    /// Algorithm of client assertions; nil: what fits the key (RS256 or ES256).
    public var signingAlg: SigningAlgorithm?
    /// File with an assertion that somebody else signed, for ``AuthMethod/workloadIdentity``; nil:
    /// `$AZURE_FEDERATED_TOKEN_FILE`.
    public var assertionFile: String?
    /// How the provider behaves beyond the standards.
    public var profile = Profile.auto
    /// Tenants (`tid`) that may sign in; empty: all that the issuer stands for.
    public var allowedTenants: [String] = []
    /// Scopes of the sign-in itself; always has `openid`.
    public var scope = ["openid", "profile", "offline_access"]
    /// Path of the redirect URI, under `/auth/`. No other provider has it. See
    /// ``Configuration/redirectURI(of:)``.
    public var redirectPath: String {
      get { redirectPathSetting ?? "/auth/callback" }
      set { redirectPathSetting = newValue }
    }
    /// What the file says; nil: it follows from whether there are several providers.
    var redirectPathSetting: String?
    /// Where the provider sends the browser after sign-out: a path of the proxy or a URL. See
    /// ``Configuration/postLogoutRedirectURI(of:)``.
    public var postLogoutRedirectURI = "/"
    /// Parameters added to every authorization request, sorted by name. None that the proxy sets itself.
    public var extraAuthorizationParams: [Parameter] = []
    /// `prompt` of a sign-in: values of OpenID Connect Core 1.0 §3.1.2.1 separated by spaces.
    public var prompt: String?
    /// `acr_values` of a sign-in, the preferred first.
    public var acrValues: [String] = []
    /// How far the provider's clock may be off.
    public var clockSkew = Duration.seconds(90)
    /// PEM file with the authorities that the provider's certificate is checked against; nil: the system's.
    public var caFile: String?

    /// A name and a value.
    public struct Parameter: Sendable, Hashable {
      /// The parameter's name.
      public var name: String
      /// Its value, not yet encoded.
      public var value: String
    }

    /// What it takes to sign out by the front channel.
    public var frontChannelLogout = FrontChannelLogout.sid

    /// Ways to sign out by the front channel (OpenID Connect Front-Channel Logout 1.0).
    public enum FrontChannelLogout: String, Sendable, CaseIterable {
      /// `iss` and `sid` name the sessions.
      case sid
      /// The session's cookie has to come along.
      case cookie
      /// There is none.
      case off
    }

    /// Client authentication (OpenID Connect Core 1.0 §9).
    public enum AuthMethod: String, Sendable, CaseIterable {
      case clientSecretBasic = "client_secret_basic"
      case clientSecretPost = "client_secret_post"
      case privateKeyJWT = "private_key_jwt"
      /// An assertion from a file that a platform rotates.
      case workloadIdentity = "workload_identity"
      /// A TLS client certificate (RFC 8705).
      case tlsClientAuth = "tls_client_auth"

      /// Whether a shared secret is needed.
      var usesSecret: Bool { self == .clientSecretBasic || self == .clientSecretPost }
    }

    /// Behaviour of providers beyond the standards.
    public enum Profile: String, Sendable, CaseIterable {
      /// As the issuer's host tells.
      case auto
      case standard
      /// Microsoft Entra ID.
      case entra
    }

    /// Algorithms of client assertions (RFC 7518 §3.1).
    public enum SigningAlgorithm: String, Sendable, CaseIterable { case RS256, PS256, ES256 }
  }

  /// The redirect URI of one provider, as it must be registered there. Never made from a request.
  public func redirectURI(of provider: OIDC) -> String { publicURL.origin + provider.redirectPath }

  /// Where a provider sends the browser after sign-out.
  public func postLogoutRedirectURI(of provider: OIDC) -> String {
    let target = provider.postLogoutRedirectURI
    return target.hasPrefix("/") ? publicURL.origin + target : target
  }
}
