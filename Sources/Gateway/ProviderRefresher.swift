internal import Basics
internal import Consent
internal import OAuth
internal import Sessions

/// Fetches tokens at the provider (RFC 6749 §6) and tells failures apart by what they mean for the session. Tokens that are had by
/// exchange are in `ProviderRefresher+Exchange.swift`.
struct ProviderRefresher: TokenRefresher {
  let provider: Provider
  let slots: CredentialSlots
  /// What the provider knows this proxy by.
  let clientID: String
  /// Says which provider a line of the log is about; empty where there is only one.
  var label = ""
  let log: EventLog
  let count: @Sendable (RefreshOutcome) -> Void
  /// Reads a small file without blocking the loop.
  let readFile: @Sendable (String) async throws -> [UInt8]
  let clock: WallClock

  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    let answer = await attempt(request)
    switch answer.outcome {
    case .success: break
    case .invalidGrant(let refusal), .subjectRefused(let refusal), .interactionRequired(let refusal):
      log.refreshRefused("\(refusal.error) \(refusal.suberror ?? "") \(refusal.codes)", user: request.user)
    case .transient(_, let detail): log.refreshFailed(label + detail)
    case .misconfigured(let detail): log.providerMisconfigured(label + detail)
    }
    count(answer.outcome)
    return answer
  }

  func needsRefreshToken(for resource: ResourceKey) -> Bool { slots.slot(of: resource)?.exchange == nil }

  private func attempt(_ request: RefreshRequest) async -> RefreshAnswer {
    guard let slot = slots.slot(of: request.resource) else {
      return RefreshAnswer(.misconfigured(detail: "no such resource"))
    }
    if let exchange = slot.exchange { return await self.exchange(request, slot, exchange) }
    do throws(OAuthError) {
      return RefreshAnswer(.success(try await grant(slot, request, claims: request.claims)))
    } catch {
      return RefreshAnswer(ProviderFault.outcome(of: error))
    }
  }

  /// One refresh grant for a slot.
  func grant(
    _ slot: CredentialSlots.Slot, _ request: RefreshRequest, claims: String?
  ) async throws(OAuthError) -> RefreshGrant {
    guard let refreshToken = request.refreshToken else {
      throw .credential("a refresh without a refresh token")
    }
    let response = try await provider.refresh(
      refreshToken: refreshToken, scope: scope(slot, request), resource: slot.resource, claims: claims)
    var grant = RefreshGrant(token: TokenGrant(response), refreshToken: response.refreshToken)
    if let idToken = response.idToken {
      do throws(OAuthError) {
        // A refreshed ID token need not carry a nonce (OpenID Connect Core §12.2), but it must be good, and the same person's.
        let claims = try await provider.validate(
          idToken: idToken, expecting: IDTokenExpectation(nonce: nil))
        grant.idToken = idToken
        grant.user = slots.user(of: claims)
      } catch  where error.isTransient || error.isOfClocks {
        // The keys cannot be had at the moment, or a clock is wrong. The tokens came over TLS from the token endpoint itself, and the
        // old refresh token may be spent: they are kept, the ID token is not.
        log.refreshFailed(label + "ID token of a refresh not checked: \(error)")
      }
    }
    return grant
  }

  /// With one token for everything the scope is left out and stays as granted, unless the user took some of it back. With several,
  /// each is asked for by its own.
  private func scope(_ slot: CredentialSlots.Slot, _ request: RefreshRequest) -> [String]? {
    if slots.isSingle && !slots.scopeNamesResource {
      let withheld = request.session.withheldScopes
      if withheld.isEmpty { return nil }
      let rest = ScopeList.missing(request.session.grantedScopes, from: withheld)
      return rest.isEmpty ? slot.scope : rest
    }
    let scope = slots.wantedScope(of: request.session, slot)
    return slots.scopeNamesResource ? ScopeList.union(scope, ["openid", "profile", "offline_access"]) : scope
  }
}

extension TokenGrant {
  /// The token of a token answer.
  init(_ response: TokenResponse) {
    self.init(
      accessToken: response.accessToken, expiresIn: response.expiresIn, refreshIn: response.refreshIn,
      scopes: response.scope)
  }
}
