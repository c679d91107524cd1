internal import Basics
internal import Consent
internal import OAuth
internal import Sessions

/// Refreshes tokens at the provider (RFC 6749 §6) and tells failures apart by what they mean for the session.
struct ProviderRefresher: TokenRefresher {
  let provider: Provider
  let slots: CredentialSlots
  let log: EventLog
  let count: @Sendable (RefreshOutcome) -> Void

  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    let outcome = await attempt(request)
    switch outcome {
    case .success: break
    case .invalidGrant(let refusal), .subjectRefused(let refusal), .interactionRequired(let refusal):
      log.refreshRefused("\(refusal.error) \(refusal.suberror ?? "") \(refusal.codes)", user: request.user)
    case .transient(_, let detail): log.refreshFailed(detail)
    case .misconfigured(let detail): log.providerMisconfigured(detail)
    }
    count(outcome)
    return RefreshAnswer(outcome)
  }

  private func attempt(_ request: RefreshRequest) async -> RefreshOutcome {
    guard let slot = slots.slot(of: request.resource) else {
      return .misconfigured(detail: "no such resource")
    }
    guard let refreshToken = request.refreshToken else {
      return .misconfigured(detail: "a refresh without a refresh token")
    }
    do throws(OAuthError) {
      let response = try await provider.refresh(
        refreshToken: refreshToken, scope: scope(slot, request), resource: slot.resource,
        claims: request.claims)
      var grant = RefreshGrant(
        token: TokenGrant(
          accessToken: response.accessToken, expiresIn: response.expiresIn, refreshIn: response.refreshIn,
          scopes: response.scope),
        refreshToken: response.refreshToken)
      if let idToken = response.idToken {
        do throws(OAuthError) {
          // A refreshed ID token need not carry a nonce (OpenID Connect Core §12.2), but it must be good, and the same person's.
          let claims = try await provider.validate(
            idToken: idToken, expecting: IDTokenExpectation(nonce: nil))
          grant.idToken = idToken
          grant.user = slots.user(of: claims)
        } catch  where error.isTransient {
          // The keys cannot be had at the moment. The tokens came over TLS from the token endpoint itself, and the old refresh
          // token may be spent: they are kept, the ID token is not.
          log.refreshFailed("ID token of a refresh not checked: \(error)")
        }
      }
      return .success(grant)
    } catch {
      return ProviderFault.outcome(of: error)
    }
  }

  /// With one token for everything the scope is left out and stays as granted. With several, each is asked for by its own.
  private func scope(_ slot: CredentialSlots.Slot, _ request: RefreshRequest) -> [String]? {
    if slots.slots.count == 1 && !slots.scopeNamesResource { return nil }
    let scope = ScopeList.union(slot.scope, request.extraScopes)
    return slots.scopeNamesResource ? ScopeList.union(scope, ["openid", "profile", "offline_access"]) : scope
  }
}
