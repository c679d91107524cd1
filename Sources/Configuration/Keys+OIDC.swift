internal import Basics
internal import JSON

extension Configuration.OIDC {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.value(
          "name", \.name, .providerName, example: "staff",
          """
          What routes (`provider`) and addresses (`/auth/login?provider=`) call this provider. Each of several \
          needs one. Sessions are bound to it: under another name people sign in again.
          """
        ),
        make.optional(
          "display_name", \.displayName, .line("a name for people", limit: 80),
          otherwise: "the issuer's host",
          example: "Example staff", "What people are told it is called, where they choose between several."),
        make.required(
          "issuer", \.issuer, .secureURL("keys and tokens come from there"),
          example: "https://login.example.com",
          """
          The issuer identifier, exactly as the provider's discovery document says it. Everything else \
          about the provider is discovered.
          """
        ),
        make.required(
          "client_id", \.clientID, .line("the client identifier that the provider gave"),
          example: "coatcheck",
          "The client identifier that the provider gave."),
        make.optional(
          "client_secret_file", \.clientSecretFile, .file, otherwise: "none",
          example: "/etc/coatcheck/client_secret",
          """
          File with the client secret; line ends behind it do not count. This or `client_secret_env` is \
          needed for `client_secret_basic` and `client_secret_post`.
          """
        ),
        make.optional(
          "client_secret_env", \.clientSecretEnv,
          .text("the name of an environment variable", pattern: "^[A-Za-z_][A-Za-z0-9_]*$") {
            isVariable($0) ? $0 : nil
          } write: {
            $0
          },
          otherwise: "none", example: nil,
          """
          Name of an environment variable with the client secret, instead of `client_secret_file`. A \
          file is the better place: environments are inherited and dumped.
          """
        ),
        make.value(
          "token_endpoint_auth_method", \.tokenEndpointAuthMethod, .word,
          """
          How the proxy proves who it is at the token endpoint. `workload_identity`: with an assertion that \
          the platform puts into a file. `tls_client_auth`: with a client certificate (RFC 8705).
          """
        ),
        make.optional(
          "assertion_file", \.assertionFile, .file, otherwise: "`$AZURE_FEDERATED_TOKEN_FILE`",
          example: "/var/run/secrets/azure/tokens/azure-identity-token",
          "File with the assertion for `workload_identity`. It is read again for each request."),
        make.optional(
          "private_key_file", \.privateKeyFile, .file, otherwise: "none",
          example: "/etc/coatcheck/client.key",
          """
          PEM file with the private key that signs client assertions (RFC 7523), or that of the client \
          certificate. For `private_key_jwt` and `tls_client_auth`.
          """
        ),
        make.optional(
          "certificate_file", \.certificateFile, .file, otherwise: "assertions carry no thumbprint",
          example: "/etc/coatcheck/client.crt",
          """
          PEM file with the certificate of that key. Assertions then name it by `x5t#S256`, as Microsoft \
          Entra ID demands; `tls_client_auth` presents it.
          """
        ),
        make.optional(
          "key_id", \.keyID, .line("a key identifier"), otherwise: "assertions carry no `kid`",
          example: "2026-01",
          "Assertions name the key by this `kid`."),
        make.optional(
          "signing_alg", \.signingAlg, .word, otherwise: "`RS256` or `ES256`, as the key is",
          example: "PS256",
          "Algorithm of client assertions. Microsoft Entra ID wants `PS256`."),
        make.value(
          "profile", \.profile, .word,
          """
          How the provider behaves beyond the standards. `entra`: scopes name their resource, there is no \
          `resource` parameter, each token call is for one resource, claims challenges are asked for \
          (`cp1`). `auto`: `entra` for issuers of Microsoft's, else `standard`.
          """
        ),
        make.value(
          "allowed_tenants", \.allowedTenants,
          Form<String>.text(
            "the GUID of a tenant",
            pattern: "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
          ) {
            tenant($0)
          } write: {
            $0
          }.list(),
          example: ["00000000-0000-0000-0000-000000000000"],
          """
          Tenants (`tid`) whose people may sign in. Empty: all that the issuer stands for, which for \
          `common` and `organizations` is everybody.
          """
        ),
        make.value(
          "scope", \.scope,
          .words("scopes separated by single spaces, none twice").demanding { scope in
            scope.contains("openid") ? nil : "must contain the scope openid: without it nobody is signed in"
          },
          """
          Scopes of the sign-in itself. `offline_access` asks for a refresh token. Scopes of an API \
          belong to the `scope` of its route.
          """
        ),
        make.optional(
          "redirect_path", \.redirectPathSetting,
          .text(
            "a path under /auth/ that the proxy does not use itself, such as \"/auth/callback\"",
            pattern: "^/auth/[A-Za-z0-9._~!$'()*+,=:@/-]*[A-Za-z0-9._~!$'()*+,=:@-]$"
          ) {
            isRedirectPath($0) ? $0 : nil
          } write: {
            $0
          },
          otherwise: "`/auth/callback`; of several providers each `/auth/callback/` and its `name`",
          example: "/auth/callback",
          """
          Path of the redirect URI. Register `public_url` followed by this path with the provider. No two \
          providers have the same.
          """
        ),
        make.value(
          "post_logout_redirect_uri", \.postLogoutRedirectURI,
          .text(
            "a path of the proxy such as \"/\", or an absolute https URL without query and fragment",
            pattern: "^(/|[Hh][Tt][Tt][Pp][Ss]?://)"
          ) {
            isLandingPlace($0) ? $0 : nil
          } write: {
            $0
          },
          """
          Where the provider sends the browser after sign-out. The full URL must be registered with the \
          provider. At `/`, where no route serves it, the page stands that says so.
          """
        ),
        make.value(
          "front_channel_logout", \.frontChannelLogout, .word,
          """
          What `/auth/frontchannel-logout` goes by when the provider opens it in a frame. `sid`: by `iss` and `sid` of \
          its address, because browsers do not send the ticket there. `cookie`: the session's own ticket has to come \
          along. `off`: the address does not exist.
          """
        ),
        make.value(
          "extra_authorization_params", \.extraAuthorizationParams, parameters,
          example: ["domain_hint": "example.com"],
          "Parameters added to every authorization request."),
        make.optional(
          "prompt", \.prompt,
          .text(
            "one or more of login, consent, select_account and create, separated by single spaces",
            pattern: "^(login|consent|select_account|create)( (login|consent|select_account|create))*$"
          ) {
            isPrompt($0) ? $0 : nil
          } write: {
            $0
          },
          otherwise: "the provider decides", example: "select_account",
          """
          `prompt` of every sign-in. Think twice about `consent`: some providers then ask for an \
          administrator every time.
          """
        ),
        make.optional(
          "acr_values", \.acrValues, .words("values separated by single spaces, none twice"),
          otherwise: "the provider decides", example: "urn:example:mfa",
          "`acr_values` of every sign-in, the preferred value first."),
        make.value(
          "clock_skew", \.clockSkew, .duration(.zero ... .seconds(300)),
          "How far the provider's clock may be off when times in ID tokens are checked."),
        make.optional(
          "ca_file", \.caFile, .file, otherwise: "the system's authorities",
          example: "/etc/coatcheck/provider-ca.pem",
          """
          PEM file with the authorities that the provider's certificate is checked against, instead of \
          the system's.
          """
        ),
      ]
    }
  }

  /// Parameters that the proxy sets itself, and the key that governs them, if any.
  private static let ownParameters: [String: String?] = [
    "response_type": nil, "client_id": "oidc.client_id", "redirect_uri": "oidc.redirect_path",
    "scope": "oidc.scope", "state": nil, "nonce": nil, "code_challenge": nil, "code_challenge_method": nil,
    "response_mode": nil, "request": nil, "request_uri": nil, "claims": nil, "max_age": nil,
    "id_token_hint": nil,
    "prompt": "oidc.prompt", "acr_values": "oidc.acr_values", "resource": "routes[].resource",
  ]

  private static var parameters: Form<[Parameter]> {
    let shape = Shape.map(says: "an object of names and texts")
    return Form<[Parameter]>(shape: shape) { node, path, reading in
      guard let members = node.members else { return reading.refuse(node, path, shape) }
      var parameters: [Parameter] = []
      for member in members {
        let place = "\(path).\(member.key)"
        reading.places.note(place, member.keyPosition)
        if let owner = ownParameters[member.key] {
          reading.note(place, "is set by the proxy itself" + (owner.map { "; see \($0)" } ?? ""))
        } else if member.key.isEmpty || !member.key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
          reading.note(place, "must be named by printable ASCII characters")
        } else if let value: String = Form<String>.line("a text").read(member.value, place, &reading) {
          parameters.append(Parameter(name: member.key, value: value))
        }
      }
      return parameters.sorted { $0.name < $1.name }
    } write: { parameters in
      .object(JSONObject(parameters.map { ($0.name, .string($0.value)) }))
    }
  }

  private static func isVariable(_ text: String) -> Bool {
    guard let first = text.utf8.first, !ASCII.isDigit(first), text.utf8.count <= 256 else { return false }
    return text.utf8.allSatisfy { ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "_") }
  }

  /// The GUID in lower case.
  private static func tenant(_ text: String) -> String? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    let isGUID =
      parts.map(\.count) == [8, 4, 4, 4, 12] && parts.allSatisfy { $0.allSatisfy(\.isHexDigit) }
    return isGUID ? ASCII.lowercased(text) : nil
  }

  private static func isRedirectPath(_ path: String) -> Bool {
    let own = [
      "/auth/login", "/auth/logout", "/auth/session", "/auth/continue", "/auth/revoke",
      "/auth/backchannel-logout", "/auth/frontchannel-logout",
    ]
    return PlainPath.isValid(path) && path.hasPrefix("/auth/") && !path.hasSuffix("/")
      && !own.contains { PlainPath.isUnder(path, $0) }
  }

  private static func isLandingPlace(_ text: String) -> Bool {
    if text.hasPrefix("/") { return PlainPath.isValid(text) }
    return WebURL(text).map { $0.isSecure || $0.isLoopback } ?? false
  }

  private static func isPrompt(_ text: String) -> Bool {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    return words.allSatisfy { ["login", "consent", "select_account", "create"].contains(String($0)) }
      && Set(words).count == words.count
  }
}
