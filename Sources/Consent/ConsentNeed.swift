/// What has to happen before a refused call can go through, whichever dialect said so.
///
/// Every classifier of this module makes one of these, or nil when the answer says nothing of the kind. A
/// pure value.
public struct ConsentNeed: Sendable, Hashable {
  /// What has to happen.
  public enum Kind: Sendable, Hashable {
    /// The token is of no use any more: refresh it once, else sign in again.
    case reauth(Reauth)
    /// The user has to agree to ``ConsentNeed/scopes``.
    case consent
    /// A token with ``ConsentNeed/claims`` is wanted: refresh with them, then ask the user.
    case claims
    /// The user has to prove more: ``ConsentNeed/acrValues``, ``ConsentNeed/maxAge``, or whatever the
    /// provider asks for.
    case stepUp
    /// Only an administrator can grant it. Asking the user would go round in circles.
    case adminConsent
    /// The user said no. Only they may start again.
    case declined
    /// Policy forbids it (device, location, risk): nothing the user does on our page helps.
    case blocked
    /// It may work later. The wait, where it was named.
    case transient(retryAfter: Duration?)
    /// This installation is refused, not the user: client credential, registration, scope names.
    case config
  }

  /// Why a new sign-in may be needed.
  public enum Reauth: Sendable, Hashable {
    /// The upstream refuses the token: RFC 6750 `invalid_token`.
    case tokenRejected
    /// The refresh token or code is expired, revoked or used: RFC 6749 `invalid_grant`.
    case grantEnded
    /// An on-behalf-of assertion is outside its validity: a fresh token repairs it.
    case assertionStale
  }

  /// Whose grant is missing. The two are repaired in different ways and must not be mixed up.
  public enum Target: Sendable, Hashable {
    /// Ours: the user's grant to this proxy for the upstream.
    case upstream
    /// The upstream's own, for a service behind it. A new authorization by us repairs it only when its scopes
    /// can be asked for along with ours.
    case downstream
  }

  /// Where it was said.
  public enum Source: Sendable, Hashable {
    /// A `WWW-Authenticate` field.
    case challenge
    /// The provider's token endpoint.
    case tokenEndpoint
    /// This proxy itself, before the call went out: the token does not have the scopes the route asks for.
    case precheck
    /// A JSON-RPC error.
    case rpcError
    /// The result of a tool.
    case toolResult
    /// The upstream's own elicitation: error -32042 (MCP 2025-11-25) or an `input_required` result (2026-07-28).
    case elicitation
    /// JSON that is no JSON-RPC, in a body or an event of its own type.
    case body
  }

  /// What has to happen.
  public var kind: Kind
  /// The scopes named, valid by RFC 6749 §3.3, in order, none twice. Empty when none were named.
  public var scopes: [String]
  /// The claims wanted, a JSON object as text, as it was sent (decoded from base64). Never re-typed.
  public var claims: String?
  /// Authentication contexts in order of preference (RFC 9470 §3).
  public var acrValues: [String]
  /// Greatest age of the authentication in seconds (RFC 9470 §3).
  public var maxAge: Int?
  /// Whose grant is missing.
  public var target: Target
  /// Pages the upstream names, `https` or loopback, without user information, in order, none twice, at most
  /// ``maxLinks``. Their hosts are not checked against anything: never redirect to one without an allow-list.
  public var links: [String]
  /// Where it was said.
  public var source: Source
  /// The code that was recognised, for logs and metrics: `insufficient_scope`, `AADSTS65001`. Short, from a
  /// fixed set.
  public var code: String
  /// The provider's own id of the event, for logs.
  public var correlation: String?
  /// Whether the refusal proves that the call did not run, so that it may be sent once more without harm.
  public var isUnexecuted: Bool

  /// More links of one answer are dropped.
  public static let maxLinks = 8

  /// A need of `kind`.
  ///
  /// - Parameters:
  ///   - link: the first of ``links``, before those of `links`.
  ///   - isUnexecuted: nil takes what the source alone proves: a challenge, the token endpoint, our own check and
  ///     an elicitation prove it; errors, tool results and other bodies do not.
  public init(
    _ kind: Kind, source: Source, code: String, scopes: [String] = [], claims: String? = nil,
    acrValues: [String] = [], maxAge: Int? = nil, target: Target = .upstream, link: String? = nil,
    links: [String] = [], correlation: String? = nil, isUnexecuted: Bool? = nil
  ) {
    self.kind = kind
    self.scopes = ScopeList.union(scopes)
    self.claims = claims
    self.acrValues = acrValues
    self.maxAge = maxAge
    self.target = target
    self.links = []
    for link in [link].compactMap(\.self) + links
    where self.links.count < Self.maxLinks && !self.links.contains(link) {
      self.links.append(link)
    }
    self.source = source
    self.code = code
    self.correlation = correlation
    self.isUnexecuted = isUnexecuted ?? source.provesThatNothingRan
  }

  /// The first of ``links``.
  public var link: String? { links.first }

  /// Whether the upstream asked with an elicitation of its own: a caller that can follow it gets the answer
  /// untouched, a caller that cannot gets what was read out of it.
  public var isElicitation: Bool { source == .elicitation }

  /// The need once a fresh token was refused as well: a server that names scopes the token does not have
  /// wants these, even when it calls the token invalid.
  public func afterRefresh(granted: [String]) -> ConsentNeed {
    guard case .reauth = kind, !ScopeList.missing(scopes, from: granted).isEmpty else { return self }
    var need = self
    need.kind = .consent
    return need
  }

  /// Whether a new authorization request by this proxy can change the outcome. When not, the upstream's
  /// answer is better passed on as it is.
  public var isRepairable: Bool {
    switch kind {
    case .reauth, .stepUp: true
    case .claims: claims != nil
    case .consent: target == .upstream || !scopes.isEmpty
    case .adminConsent, .declined, .blocked, .transient, .config: false
    }
  }
}

extension ConsentNeed.Source {
  fileprivate var provesThatNothingRan: Bool {
    switch self {
    case .challenge, .tokenEndpoint, .precheck, .elicitation: true
    case .rpcError, .toolResult, .body: false
    }
  }
}
