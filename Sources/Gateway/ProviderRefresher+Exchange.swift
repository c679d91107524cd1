internal import Basics
internal import Consent
internal import OAuth
internal import Sessions

// Tokens that are had in exchange for another one of the session: on behalf of its user, and of nobody else.
extension ProviderRefresher {
  /// The token that is exchanged.
  private struct Subject {
    var token: Secret
    /// When it ends; nil: not known.
    var expiresAt: Timestamp?
    /// It was fetched just now.
    var isNew: Bool
  }

  /// What came of looking for it.
  private enum Search {
    case found(Subject)
    case ended(RefreshAnswer)
  }

  /// Takes the session's own token for this proxy, fetches a newer one where that is due, and exchanges it. A subject that the
  /// provider refuses is renewed once.
  func exchange(
    _ request: RefreshRequest, _ slot: CredentialSlots.Slot, _ exchange: CredentialSlots.Exchange
  ) async -> RefreshAnswer {
    var gains: RefreshGains?
    var subject: Subject
    switch await find(exchange, request, &gains) {
    case .found(let found): subject = found
    case .ended(let answer): return answer
    }
    while true {
      do throws(OAuthError) {
        let response = try await provider.exchange(try await message(slot, exchange, subject, request))
        var token = TokenGrant(response)
        // Where the subject's end is known, nobody acts for a person longer than that.
        if let end = subject.expiresAt {
          let left = end - clock()
          token.expiresIn = min(token.expiresIn ?? left, left)
        }
        return RefreshAnswer(
          .success(
            RefreshGrant(
              token: token, refreshToken: gains?.refreshToken, idToken: gains?.idToken,
              also: gains?.also ?? [:])))
      } catch {
        let outcome = ProviderFault.exchangeOutcome(of: error)
        guard case .subjectRefused = outcome, !subject.isNew, request.refreshToken != nil else {
          return RefreshAnswer(outcome, gains: gains)
        }
        switch await renew(exchange, request, &gains) {
        case .found(let renewed): subject = renewed
        case .ended(let answer): return answer
        }
      }
    }
  }

  private func message(
    _ slot: CredentialSlots.Slot, _ exchange: CredentialSlots.Exchange, _ subject: Subject,
    _ request: RefreshRequest
  ) async throws(OAuthError) -> ExchangeRequest {
    var message = ExchangeRequest(
      form: exchange.form, subjectToken: subject.token,
      subjectTokenType: exchange.subject == nil ? .idToken : .accessToken, audience: exchange.audience,
      resource: slot.resource.map { [$0] } ?? [],
      scope: ScopeList.union(slot.scope, request.extraScopes), claims: request.claims)
    if exchange.form == .onBehalfOf {
      // Entra's names for this proxy as an API: a token for anybody else must not be sent there.
      message.expectedAudience =
        [clientID, "api://\(clientID)"]
        + (exchange.subject.map { slots.slots[$0].scope } ?? [])
        .compactMap(EntraScope.resource)
    }
    if let file = exchange.actorTokenFile {
      do {
        let bytes = try await readFile(file)
        message.actorToken = Secret(String(decoding: bytes, as: UTF8.self).trimmed)
      } catch {
        throw .credential("actor token file \(file): \(error)")
      }
    }
    return message
  }

  /// The subject that the session has, if it is still good.
  private func find(
    _ exchange: CredentialSlots.Exchange, _ request: RefreshRequest, _ gains: inout RefreshGains?
  ) async -> Search {
    if let index = exchange.subject {
      if let token = request.session.tokens[slots.key(index)], clock() < token.hardExpiry {
        return .found(Subject(token: token.secret, expiresAt: token.expiresAt, isNew: false))
      }
    } else if let token = request.session.idToken {
      return .found(Subject(token: token, expiresAt: nil, isNew: false))
    }
    return await renew(exchange, request, &gains)
  }

  /// Fetches a new subject with the refresh token. What came along is kept, whatever becomes of the exchange.
  private func renew(
    _ exchange: CredentialSlots.Exchange, _ request: RefreshRequest, _ gains: inout RefreshGains?
  ) async -> Search {
    guard request.refreshToken != nil else {
      return .ended(RefreshAnswer(.subjectRefused(ProviderRefusal(error: "no_subject_token"))))
    }
    let slot =
      exchange.subject.map { slots.slots[$0] }
      ?? CredentialSlots.Slot(key: ResourceKey("id_token"), scope: ["openid"])
    do throws(OAuthError) {
      let grant = try await self.grant(slot, request, claims: nil)
      // Another person's: the authority ends the session, and nothing is exchanged.
      if let user = grant.user, user != request.user { return .ended(RefreshAnswer(.success(grant))) }
      gains = RefreshGains(refreshToken: grant.refreshToken, idToken: grant.idToken)
      guard let index = exchange.subject else {
        guard let idToken = grant.idToken else {
          return .ended(
            RefreshAnswer(.subjectRefused(ProviderRefusal(error: "no_id_token")), gains: gains))
        }
        return .found(Subject(token: idToken, expiresAt: nil, isNew: true))
      }
      gains?.also = [slots.key(index): grant.token]
      let end = grant.token.expiresIn.map { clock() + $0 }
      return .found(Subject(token: grant.token.accessToken, expiresAt: end, isNew: true))
    } catch {
      return .ended(RefreshAnswer(ProviderFault.outcome(of: error)))
    }
  }
}

extension String {
  /// Without white space around it.
  fileprivate var trimmed: String {
    let isSpace: (Character) -> Bool = { $0.isWhitespace }
    return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }
}
