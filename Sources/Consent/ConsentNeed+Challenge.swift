public import OAuth

extension ConsentNeed {
  /// The demand in the `WWW-Authenticate` fields of a refusal; nil when they demand nothing, as a bare 401 or
  /// 403.
  ///
  /// Understood: RFC 6750 §3.1 (`insufficient_scope`, `invalid_token`), RFC 9470
  /// (`insufficient_user_authentication`), Entra's claims challenge (`insufficient_claims`),
  /// Microsoft.Identity.Web's form without an error code, and `interaction_required` or `consent_required` as
  /// on-behalf-of APIs send them. Of several challenges the most demanding counts; scopes of equals are
  /// joined.
  public static func from(challenges: [Challenge], status: Int) -> ConsentNeed? {
    guard status == 401 || status == 403 else { return nil }
    var best: ConsentNeed?
    for challenge in challenges where isTokenScheme(challenge.scheme) {
      guard let need = need(in: challenge) else { continue }
      guard let known = best else {
        best = need
        continue
      }
      if rank(need) > rank(known) {
        best = need
      } else if need.kind == known.kind {
        best?.scopes = ScopeList.union(known.scopes, need.scopes)
      }
    }
    return best
  }

  private static func need(in challenge: Challenge) -> ConsentNeed? {
    let claims = challenge.claims.flatMap { ClaimsRequest.object($0) == nil ? nil : $0 }
    func need(_ kind: Kind, _ code: String, _ target: Target = .upstream) -> ConsentNeed {
      ConsentNeed(
        kind, source: .challenge, code: code, scopes: challenge.scope, claims: claims,
        acrValues: challenge.acrValues, maxAge: challenge.maxAge, target: target,
        link: challenge.consentURI.flatMap(ConsentLink.safe))
    }
    switch challenge.error {
    case "insufficient_claims":
      // Without claims to send there is nothing to demand of the provider but a fresh token.
      return claims == nil
        ? need(.reauth(.tokenRejected), "insufficient_claims") : need(.claims, "insufficient_claims")
    case "insufficient_scope":
      var need = need(claims == nil ? .consent : .claims, "insufficient_scope")
      // The official Python SDK names the scope in the description alone.
      if need.scopes.isEmpty { need.scopes = ErrorText.scopes(challenge.errorDescription ?? "") }
      return need
    case "insufficient_user_authentication", "insufficient_authentication_context":
      return need(.stepUp, "insufficient_user_authentication")
    case "consent_required": return need(.consent, "consent_required")
    case "interaction_required":
      if claims != nil { return need(.claims, "interaction_required") }
      return need(challenge.scope.isEmpty ? .stepUp : .consent, "interaction_required")
    case "invalid_token":
      return claims == nil ? need(.reauth(.tokenRejected), "invalid_token") : need(.claims, "invalid_token")
    case nil:
      guard challenge.consentURI != nil || challenge.proposedAction != nil else { return nil }
      return need(claims == nil ? .consent : .claims, "microsoft_identity_web", .downstream)
    default: return nil
    }
  }

  private static func isTokenScheme(_ scheme: String) -> Bool {
    ["bearer", "dpop", "pop"].contains(scheme.lowercased())
  }

  private static func rank(_ need: ConsentNeed) -> Int {
    switch need.kind {
    case .claims: 4
    case .stepUp: 3
    case .consent: 2
    default: 1
    }
  }
}
