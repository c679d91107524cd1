extension Configuration {
  /// Requests below one path, and the upstream they go to.
  public struct Route: Sendable, Hashable {
    /// Prefix of the path, matched at segment boundaries: `/mcp` covers `/mcp` and `/mcp/x`, never `/mcpx`.
    /// Begins with a slash and, unless it is `/`, does not end with one; has no percent escapes.
    public var path = ""
    /// Where requests go: the route's path is replaced by this URL's path. Has no query.
    public var upstream = WebURL.unset
    /// Name of the provider whose people may use it; nil: those of every provider.
    public var provider: String?
    /// Scopes that the token for this route is asked with.
    public var scope: [String] = []
    /// `resource` parameter of token requests for this route (RFC 8707).
    public var resource: String?
    /// Whether requests carry the user's token.
    public var authorization = Authorization.bearer
    /// Whether a session is needed.
    public var session = SessionNeed.required
    /// Whether the Model Context Protocol is spoken here: bodies are looked into and refusals are JSON-RPC
    /// errors.
    public var mcp: Bool {
      get { mcpSetting ?? (authorization == .bearer) }
      set { mcpSetting = newValue }
    }
    /// What the file says; nil: it follows from ``authorization``.
    var mcpSetting: Bool?
    /// PEM file with the authorities that the upstream's certificate is checked against; nil: the system's.
    public var caFile: String?
    /// PEM file with the certificate that is presented to the upstream; nil: none.
    public var clientCertificateFile: String?
    /// PEM file with the private key of ``clientCertificateFile``.
    public var clientPrivateKeyFile: String?
    /// Names of cookies that pass to the upstream.
    public var passCookies: [String] = []
    /// Response fields that pass to the client although they are withheld by default; lower case.
    public var passResponseHeaders: [String] = []
    /// Connections to this route's upstream, all workers together; nil: ``Limits/upstreamConnections``.
    public var maxConnections: Int?

    /// What people are told the server is called; nil: ``path``.
    public var name: String?
    /// How the user's token becomes the upstream's; nil: it goes there itself.
    public var exchange: Exchange?
    /// Whether calls without all scopes they need go no further; nil: ``Consent/requirePreConsent``.
    public var requirePreConsent: Bool?
    /// What is done when the upstream lacks consent for a service behind it.
    public var downstreamConsent = DownstreamConsent.combined
    /// Hosts that links of the upstream's may lead to.
    public var consentLinkHosts: [String] = []
    /// How this upstream says in its own form that consent is needed.
    public var consentRules: [ConsentRule] = []

    /// What `Authorization` field upstream requests get.
    public enum Authorization: String, Sendable, CaseIterable { case bearer, none }

    /// Whether requests without a session pass.
    public enum SessionNeed: String, Sendable, CaseIterable { case required, optional }
  }
}
