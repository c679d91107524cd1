public import JSON

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
  /// `prompt`; nil lets the provider decide, which shows consent only for what is new.
  public var prompt: String?

  /// What to ask for.
  ///
  /// The union keeps what was granted and adds what is missing (MCP 2026-07-28, authorization, *Scope
  /// Challenge Handling*). A second attempt at the same consent asks with `prompt=consent`, because the
  /// provider thought nothing was new.
  ///
  /// - Parameters:
  ///   - need: what the refusal demands.
  ///   - signIn: scopes of the sign-in itself (`openid` and the like); they come first.
  ///   - granted: what the token has.
  ///   - requested: what the route asks for anyway.
  ///   - attempt: 1 for the first round of this need.
  ///   - baseClaims: claims to demand always, such as the client capability `cp1`.
  public init(
    for need: ConsentNeed, signIn: [String], granted: [String], requested: [String], attempt: Int = 1,
    baseClaims: JSONObject? = nil
  ) {
    scopes = ScopeList.union(signIn, granted, requested, need.scopes)
    claims = ClaimsRequest.merged(baseClaims, need.claims)
    acrValues = need.acrValues
    maxAge = need.maxAge
    prompt = need.kind == .consent && attempt > 1 ? "consent" : nil
  }
}

/// The `claims` parameter of OpenID Connect Core §5.5.
public enum ClaimsRequest {
  /// Longest claims text that is accepted, in bytes.
  public static let maxBytes = 8 << 10

  /// `base` and the object in `text` merged member by member at every depth; where both name a value, `text`
  /// wins.
  ///
  /// Text without a base is returned as it was sent: providers compare spellings such as `Values`, so nothing
  /// is re-typed. Nil when there is nothing to demand. A text that is no JSON object is ignored.
  public static func merged(_ base: JSONObject?, _ text: String?) -> String? {
    let base = base.flatMap { $0.isEmpty ? nil : $0 }
    guard let text, let demand = object(text) else { return base.map { JSONValue.object($0).serialized() } }
    guard let base else { return text }
    return JSONValue.object(merge(base, demand)).serialized()
  }

  /// The object in `text`, when it is one within the bounds.
  public static func object(_ text: String) -> JSONObject? {
    guard text.utf8.count <= maxBytes else { return nil }
    return (try? JSONValue.parse(text, limits: JSONLimits(depth: 16, bytes: maxBytes)))?.object
  }

  private static func merge(_ base: JSONObject, _ demand: JSONObject) -> JSONObject {
    var out = base
    for member in demand.members {
      if case .object(let inner)? = out[member.key], case .object(let added) = member.value {
        out[member.key] = .object(merge(inner, added))
      } else {
        out[member.key] = member.value
      }
    }
    return out
  }
}
