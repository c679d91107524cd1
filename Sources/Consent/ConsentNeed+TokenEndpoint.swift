public import OAuth

extension ConsentNeed {
  /// What a refusal of the token endpoint asks for (RFC 6749 §5.2, OpenID Connect Core §3.1.2.6, and the
  /// dialects of Entra, Auth0 and Keycloak). Always an answer: what is unknown is a fault of the
  /// installation.
  ///
  /// The order is claims, then `error`, then `suberror`; Entra's numbers only break ties, except those that
  /// say that no consent page can help.
  public static func from(_ error: TokenEndpointError) -> ConsentNeed {
    let numbers = error.errorCodes + ErrorText.segments(error.description ?? "").compactMap(EntraCode.number)
    let claims = error.claims.flatMap { ClaimsRequest.object($0) == nil ? nil : $0 }
    let known = numbers.lazy.compactMap { number in EntraCode.meaning(number).map { (number, $0) } }.first
    let facts = TokenEndpointFacts(error: error, meaning: known?.1, hasClaims: claims != nil)
    return ConsentNeed(
      facts.kind, source: .tokenEndpoint, code: known.map { "AADSTS\($0.0)" } ?? facts.code, claims: claims,
      correlation: error.correlationID)
  }

  /// What a failed conversation with the provider asks for.
  public static func from(_ error: OAuthError) -> ConsentNeed {
    func need(_ kind: Kind, _ code: String) -> ConsentNeed {
      ConsentNeed(kind, source: .tokenEndpoint, code: code)
    }
    if case .tokenEndpoint(let refusal) = error { return from(refusal) }
    if error.isTransient { return need(.transient(retryAfter: error.retryAfter), "unreachable") }
    switch error {
    // The tokens of this round are worth nothing; the next sign-in may well be good.
    case .idToken: return need(.reauth(.grantEnded), "id_token")
    case .transport, .metadata, .keys, .tokenEndpoint, .response, .credential:
      return need(.config, "provider")
    }
  }
}

/// The judgement, one rule a line.
private struct TokenEndpointFacts {
  let error: TokenEndpointError
  let meaning: EntraCode.Meaning?
  let hasClaims: Bool

  /// The error code when it is one of the registered ones: nothing else gets into logs or metrics.
  var code: String {
    guard let code = error.effectiveError else { return "none" }
    if let suberror = error.suberror, Self.googleReauth.contains(suberror) { return suberror }
    return Self.known.contains(code) ? code : "other"
  }

  private static let known: Set<String> = [
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope", "invalid_target", "access_denied", "consent_required", "interaction_required",
    "login_required", "account_selection_required", "mfa_required", "temporarily_unavailable", "server_error",
    "slow_down",
  ]

  /// Google Workspace wants a new sign-in after so many hours.
  private static let googleReauth: Set<String> = ["invalid_rapt", "rapt_required"]

  /// Keycloak says that the user's consent is missing only in words, behind `invalid_scope`: to a refresh after the
  /// user withdrew it, and to a token exchange.
  private static let keycloakConsent = [
    "Client no longer has requested consent from user", "Missing consents for Token Exchange",
  ]

  var kind: ConsentNeed.Kind {
    if error.isTransient, !error.isClientLoop { return .transient(retryAfter: error.retryAfter) }
    switch error.effectiveError {
    case "consent_required": return unlessFinal(hasClaims ? .claims : .consent)
    case "interaction_required", "login_required", "account_selection_required":
      return unlessFinal(interaction)
    case "mfa_required": return .stepUp
    case "invalid_grant": return unlessFinal(invalidGrant)
    case "invalid_scope" where Self.keycloakConsent.contains { error.description?.hasPrefix($0) == true }:
      return .consent
    case "access_denied":
      return meaning == .adminConsent ? .adminConsent : meaning == .declined ? .declined : .blocked
    default:
      if meaning == .loop { return unlessFinal(.config) }
      return meaning == .transient ? .transient(retryAfter: error.retryAfter) : .config
    }
  }

  /// Puts first what asking the user cannot repair.
  private func unlessFinal(_ otherwise: ConsentNeed.Kind) -> ConsentNeed.Kind {
    switch meaning {
    case .adminConsent?: return .adminConsent
    case .declined?: return .declined
    case .transient?: return .transient(retryAfter: error.retryAfter)
    case .loop?: return .transient(retryAfter: error.retryAfter ?? EntraCode.loopPause)
    case .config? where !hasClaims: return .config
    case .device? where !hasClaims: return .blocked
    default: break
    }
    return error.suberror == "message_only" && !hasClaims ? .blocked : otherwise
  }

  private var interaction: ConsentNeed.Kind {
    if hasClaims { return .claims }
    return error.suberror == "consent_required" || meaning == .consent ? .consent : .stepUp
  }

  private var invalidGrant: ConsentNeed.Kind {
    if hasClaims { return .claims }
    switch error.suberror {
    case "consent_required": return .consent
    case "client_mismatch", "protection_policy_required": return .config
    case "bad_token", "token_expired", "user_password_expired", "device_authentication_failed":
      return .reauth(.grantEnded)
    default: break
    }
    switch meaning {
    case .consent?: return .consent
    case .stepUp?, .device?: return .stepUp
    case .assertionStale?: return .reauth(.assertionStale)
    default: break
    }
    let isInteractive = error.suberror == "basic_action" || error.suberror == "additional_action"
    return isInteractive ? .stepUp : .reauth(.grantEnded)
  }
}
