public import Basics

extension Configuration {
  /// How missing consent is handled.
  public struct Consent: Sendable, Hashable {
    /// How long a link to `/auth/continue` works.
    public var linkLifetime = Duration.seconds(600)
    /// How often in a row a user is sent to the provider for the same scopes.
    public var maxRounds = 2
    /// Status of the answer to a page's script: 200, 401 or 403.
    public var scriptStatus = 403
    /// How long a call that comes again before the consent is given is held open; zero: not at all.
    public var hold = Duration.seconds(25)
    /// Refused calls of pages that are kept for one user; zero: none.
    public var keptCalls = 8
    /// The longest body of a refused call that is kept.
    public var keptCallSize = ByteSize(bytes: 256 << 10)
    /// A token without all scopes that a call needs never goes upstream: the user is asked first.
    public var requirePreConsent = false
    /// The scopes that methods and tools need beyond those of their route.
    public var toolScopes: [ToolScope] = []
    /// Whether upstreams' demands teach which scopes a tool needs.
    public var learnToolScopes = false
    /// JSON-RPC error codes of upstreams that mean "consent required", besides the well-known ones.
    public var codes: [Int] = []

    /// The scopes that one method or tool needs.
    public struct ToolScope: Sendable, Hashable {
      /// Path of the route; nil: every route.
      public var route: String?
      /// The MCP method, such as `tools/list`; nil with ``tool``: `tools/call`.
      public var method: String?
      /// Name of the tool or prompt, or the resource's URI; nil: all of the method.
      public var tool: String?
      /// The scopes.
      public var scope: [String] = []

      /// An entry for nothing yet.
      public init() {}
    }
  }

  /// What is done when an upstream lacks consent for a service behind it, which a sign-in of ours cannot give
  /// by itself.
  public enum DownstreamConsent: String, Sendable, CaseIterable {
    /// The provider is asked for both in one go.
    case combined
    /// The user is shown the upstream's own link, if its host is allowed.
    case upstreamLink = "upstream_link"
    /// The user is told who can help.
    case deny
  }

  /// How one upstream says in its own form that consent is needed.
  public struct ConsentRule: Sendable, Hashable {
    /// JSON pointers to the code (RFC 6901), tried in order.
    public var code: [String] = []
    /// The codes that mean it.
    public var values: [String] = []
    /// JSON pointer to the scopes.
    public var scopes: String?
    /// JSON pointer to a link.
    public var link: String?
    /// JSON pointer to a claims request.
    public var claims: String?
    /// Whether such an answer proves that the call was not carried out.
    public var unexecuted = false
    /// Whether the grant that is missing is the upstream's own.
    public var target = Target.upstream

    /// Whose grant is missing.
    public enum Target: String, Sendable, CaseIterable {
      /// This proxy's, for the upstream.
      case upstream
      /// The upstream's, for a service behind it.
      case downstream
    }
  }

  /// How a user's token is exchanged for the one that goes upstream.
  public struct Exchange: Sendable, Hashable {
    /// The grant.
    public var form = Grant.tokenExchange
    /// Scopes that the token to be exchanged is asked with.
    public var subjectScope: [String] = []
    /// `resource` of the token to be exchanged (RFC 8707).
    public var subjectResource: String?
    /// Which of the user's tokens is exchanged.
    public var subjectToken = SubjectToken.accessToken
    /// `audience` parameters (RFC 8693 §2.1).
    public var audience: [String] = []
    /// File with the token of the acting party, read for each exchange.
    public var actorTokenFile: String?

    /// Grants that exchange a token.
    public enum Grant: String, Sendable, CaseIterable {
      /// RFC 8693.
      case tokenExchange = "token_exchange"
      /// Microsoft Entra ID's form of RFC 7523.
      case onBehalfOf = "on_behalf_of"
    }

    /// Tokens of a user that can be exchanged.
    public enum SubjectToken: String, Sendable, CaseIterable {
      case accessToken = "access_token"
      case idToken = "id_token"
    }
  }
}
