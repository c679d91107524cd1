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
    case challenge, tokenEndpoint, rpcError, toolResult, elicitation
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
  /// A page the upstream names, `https` or loopback. Its host is not checked against anything: never redirect
  /// to it without an allow-list.
  public var link: String?
  /// Where it was said.
  public var source: Source
  /// The code that was recognised, for logs and metrics: `insufficient_scope`, `AADSTS65001`. Short, from a
  /// fixed set.
  public var code: String
  /// The provider's own id of the event, for logs.
  public var correlation: String?

  /// A need of `kind`.
  public init(
    _ kind: Kind, source: Source, code: String, scopes: [String] = [], claims: String? = nil,
    acrValues: [String] = [], maxAge: Int? = nil, target: Target = .upstream, link: String? = nil,
    correlation: String? = nil
  ) {
    self.kind = kind
    self.scopes = ScopeList.union(scopes)
    self.claims = claims
    self.acrValues = acrValues
    self.maxAge = maxAge
    self.target = target
    self.link = link
    self.source = source
    self.code = code
    self.correlation = correlation
  }

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
