internal import Basics
internal import Configuration
internal import Consent
internal import OAuth
internal import Sessions

/// What a failure of the provider means: one reading for sign-in, refresh and start.
enum ProviderFault {
  /// The need behind a refusal that the session authority handed back.
  static func need(of refusal: ProviderRefusal) -> ConsentNeed {
    var error = TokenEndpointError(status: 400, error: refusal.error, grant: .refreshToken)
    error.suberror = refusal.suberror
    error.errorCodes = refusal.codes
    error.claims = refusal.claims
    let need = ConsentNeed.from(error)
    // The authority found that the person is needed: a need without a remedy of its own is a plain consent.
    if case .config = need.kind { return ConsentNeed(.consent, source: .tokenEndpoint, code: refusal.error) }
    return need
  }

  /// What a failed refresh means for the session (RFC 6749 §5.2 and the dialects that `Consent` reads).
  static func outcome(of error: OAuthError) -> RefreshOutcome {
    let need = ConsentNeed.from(error)
    var refusal = ProviderRefusal(error: need.code)
    if case .tokenEndpoint(let told) = error {
      refusal = ProviderRefusal(
        error: told.error ?? "invalid_grant", suberror: told.suberror, claims: told.claims,
        codes: told.errorCodes)
    }
    switch need.kind {
    case .reauth: return .invalidGrant(refusal)
    case .consent, .claims, .stepUp, .adminConsent, .declined, .blocked: return .interactionRequired(refusal)
    case .transient(let wait): return .transient(retryAfter: wait, detail: "\(error)")
    case .config: return .misconfigured(detail: "\(error)")
    }
  }

  /// What a failed exchange means: the refresh token is not at fault, whatever the provider calls it.
  static func exchangeOutcome(of error: OAuthError) -> RefreshOutcome {
    if case .tokenEndpoint(let told) = error, told.isSubjectRefused {
      return .subjectRefused(ProviderRefusal(error: told.error ?? "invalid_grant", codes: told.errorCodes))
    }
    let outcome = outcome(of: error)
    if case .invalidGrant(let refusal) = outcome { return .subjectRefused(refusal) }
    return outcome
  }
}
