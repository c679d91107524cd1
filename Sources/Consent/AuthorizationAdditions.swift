internal import OAuth

/// What a need adds to the next authorization request: the parameters to send, ready to use.
public struct AuthorizationAdditions: Sendable, Hashable {
  /// The whole `scope` to ask for.
  public var scopes: [String]
  /// The whole `claims` parameter, a JSON object as text; nil when nothing is demanded.
  public var claims: String?
  /// `acr_values` in order of preference.
  public var acrValues: [String]
  /// `max_age` in seconds.
  public var maxAge: Int?

  /// What to ask for.
  ///
  /// The union keeps what was granted and adds what is missing (MCP 2026-07-28, authorization, *Scope
  /// Challenge Handling*).
  ///
  /// - Parameters:
  ///   - need: what the refusal demands.
  ///   - signIn: scopes of the sign-in itself (`openid` and the like); they come first.
  ///   - granted: what the token has.
  ///   - requested: what the route asks for anyway.
  public init(for need: ConsentNeed, signIn: [String], granted: [String], requested: [String]) {
    scopes = ScopeList.union(signIn, granted, requested, need.scopes)
    claims = need.claims.flatMap { ClaimsRequest.object($0) == nil ? nil : $0 }
    acrValues = need.acrValues
    maxAge = need.maxAge
  }
}
