internal import Basics
internal import JSON

extension Configuration.Route {
  static var section: Section<Self> {
    Section(Self()) { make in
      [
        make.required(
          "path", \.path, path, example: "/mcp",
          """
          Prefix of the paths that go here, matched at segment boundaries: `/mcp` covers `/mcp` and \
          `/mcp/x`, never `/mcpx`. A slash at the end does not count.
          """
        ),
        make.required(
          "upstream", \.upstream, .url, example: "https://tools.internal.example:8443/mcp",
          """
          Where requests go. The route's path is replaced by the path of this URL: with `/mcp` in front \
          and `http://127.0.0.1:3000/v1` here, `/mcp/x` becomes `/v1/x`.
          """
        ),
        make.optional(
          "provider", \.provider, .providerName, otherwise: "sessions of every provider",
          example: "staff",
          """
          `name` of the provider whose people may use this route. Who is signed in elsewhere is asked to sign \
          in there. Without it people of every provider pass, each with a token of their own provider.
          """
        ),
        make.optional(
          "scope", \.scope, .words("scopes separated by single spaces, none twice"), otherwise: "none",
          example: "tools.use",
          """
          Scopes that the token for this route is asked with, beside `oidc.scope`. A route with a token \
          needs them, or a `resource`, or an API's scope in `oidc.scope`.
          """
        ),
        make.optional(
          "resource", \.resource, .resource,
          otherwise: "no such parameter", example: "https://tools.example.com/mcp",
          """
          `resource` parameter of token requests for this route (RFC 8707). Leave it out for Microsoft \
          Entra ID, which refuses it.
          """
        ),
        make.value(
          "authorization", \.authorization, .word,
          "`bearer`: each request carries the user's token. `none`: no token leaves the proxy."),
        make.value(
          "session", \.session, .word,
          """
          `required`: without a session there is an answer that leads to the sign-in. `optional`: \
          everybody may pass; only with `"authorization": "none"`.
          """
        ),
        make.optional(
          "mcp", \.mcpSetting, .truth, otherwise: "`true` with `\"authorization\": \"bearer\"`",
          example: true,
          """
          Whether the Model Context Protocol is spoken here: JSON-RPC messages are looked into, and \
          refusals are JSON-RPC errors.
          """
        ),
        make.optional(
          "name", \.name, .line("a name for people", limit: 80), otherwise: "the `path`",
          example: "Team tools", "What people are told the server is called: in messages, and on pages."),
        make.optionalSection(
          "exchange", \.exchange, Configuration.Exchange.section, otherwise: "the user's token goes upstream",
          """
          Exchange the user's token for one that is meant for the upstream, asked with `scope` and \
          `resource` of the route.
          """
        ),
        make.optional(
          "require_pre_consent", \.requirePreConsent, .truth, otherwise: "`consent.require_pre_consent`",
          example: true, "The same for this route alone."),
        make.value(
          "downstream_consent", \.downstreamConsent, .word,
          """
          What happens when the upstream itself lacks consent for a service behind it. `combined`: the \
          provider is asked for both in one go, as far as scopes are named or the provider can (Microsoft \
          Entra ID). `upstream_link`: the user is shown the upstream's own link. `deny`: the user is told \
          that its operator has to help.
          """
        ),
        make.value(
          "consent_link_hosts", \.consentLinkHosts,
          Form<String>.hostName.list(),
          example: ["consent.example.com"],
          "Hosts that links of the upstream's may lead to, for `upstream_link`. Others are not shown."),
        make.list(
          "consent_rules", \.consentRules, of: Configuration.ConsentRule.section,
          "How this upstream says in its own form that consent is needed."),
        make.optional(
          "ca_file", \.caFile, .file, otherwise: "the system's authorities",
          example: "/etc/coatcheck/upstream-ca.pem",
          """
          PEM file with the authorities that the upstream's certificate is checked against, instead of \
          the system's. For https upstreams.
          """
        ),
        make.optional(
          "client_certificate_file", \.clientCertificateFile, .file, otherwise: "none",
          example: "/etc/coatcheck/client.crt",
          """
          PEM file with the certificate, and its chain, that is presented to this upstream alone, if it asks \
          for one (mutual TLS). With `client_private_key_file`, for https upstreams.
          """
        ),
        make.optional(
          "client_private_key_file", \.clientPrivateKeyFile, .file, otherwise: "none",
          example: "/etc/coatcheck/client.key", "PEM file with the private key of `client_certificate_file`."),
        make.value(
          "pass_cookies", \.passCookies, Form<String>.token("the name of a cookie").list(),
          example: ["theme"],
          "Names of cookies that pass to the upstream. All others stay here, the ticket always."),
        make.value(
          "pass_response_headers", \.passResponseHeaders,
          Form<String>.text(
            "the name of a response field that is not about the connection itself",
            pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
          ) {
            passable($0)
          } write: {
            $0
          }.list(),
          example: ["set-cookie"],
          """
          Response fields of the upstream that pass although they are withheld by default, such as \
          `set-cookie` and `www-authenticate`.
          """
        ),
        make.optional(
          "max_connections", \.maxConnections, .number(1...100_000),
          otherwise: "`limits.upstream_connections`",
          example: 256, "Connections to this route's upstream, all workers together."),
      ]
    }
  }

  private static var path: Form<String> {
    Form<String>.text(
      """
      a path such as "/mcp": it begins with a slash and has no percent escapes, no empty, "." or ".." \
      segments
      """,
      pattern: "^/[A-Za-z0-9._~!$'()*+,=:@/-]*$"
    ) { text in
      guard PlainPath.isValid(text) else { return nil }
      return text.count > 1 && text.hasSuffix("/") ? String(text.dropLast()) : text
    } write: {
      $0
    }
    .demanding { path in
      let own = ["/auth", "/.well-known"].first { PlainPath.isUnder(path, $0) }
      return own.map { "must not be under \($0)/, which belongs to the proxy itself" }
    }
  }

  /// The field's name in lower case, unless it is one that belongs to the connection and never passes.
  private static func passable(_ name: String) -> String? {
    let ofConnection: Set<String> = [
      "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authentication-info", "te",
      "trailer", "transfer-encoding", "upgrade", "content-length", "date",
    ]
    let name = ASCII.lowercased(name)
    let isToken = name.utf8.allSatisfy {
      ASCII.isLetter($0) || ASCII.isDigit($0) || "!#$%&'*+-.^_`|~".utf8.contains($0)
    }
    return isToken && !name.isEmpty && name.utf8.count <= 128 && !ofConnection.contains(name) ? name : nil
  }
}
