internal import Basics
internal import Consent
internal import JSON
internal import OAuth
internal import Sessions

/// The tokens a session can hold: one slot for each distinct (resource, scope, exchange) among the routes. Routes that want the same
/// token share a slot.
struct CredentialSlots: Sendable {
  struct Slot: Sendable, Equatable {
    var key: ResourceKey
    var scope: [String]
    /// RFC 8707 parameter, where configured.
    var resource: String?
    /// How the token comes about; nil: from the refresh token.
    var exchange: Exchange?
  }

  /// A token that is had in exchange for another one of the session.
  struct Exchange: Sendable, Equatable {
    var form: ExchangeRequest.Form
    /// The slot of the access token that is exchanged; nil: the ID token is.
    var subject: Int?
    /// RFC 8693 §2.1.
    var audience: [String]
    /// File with the actor's token, read for each exchange.
    var actorTokenFile: String?
  }

  private(set) var slots: [Slot] = []
  /// The provider names the resource inside the scope and gives one resource a call (Microsoft Entra).
  let scopeNamesResource: Bool
  /// The slots that the routes of this provider's people use, in order; nil: all.
  private let usedOnly: [Int]?
  /// ID token claims that page scripts may see.
  let sessionClaims: [String]

  init(scopeNamesResource: Bool, sessionClaims: [String]) {
    self.scopeNamesResource = scopeNamesResource
    self.sessionClaims = sessionClaims
    usedOnly = nil
  }

  /// The table of `all` as one of several providers reads it: the slots are the same, those of other providers' routes are not used.
  init(_ all: CredentialSlots, scopeNamesResource: Bool, used: Set<Int>) {
    slots = all.slots
    self.scopeNamesResource = scopeNamesResource
    sessionClaims = all.sessionClaims
    usedOnly = used.sorted()
  }

  /// The slots that tokens are had for, in order.
  var used: [Int] { usedOnly ?? Array(slots.indices) }

  /// One token is all that a session has.
  var isSingle: Bool { used.count == 1 }

  /// The first slot whose token comes from the refresh token.
  var firstRefreshed: Int? { used.first { slots[$0].exchange == nil } }

  /// What all routes together want of a sign-in. An exchanged token's own scopes are asked for when they turn out to be missing.
  var routeScopes: [String] {
    used.lazy.map { slots[$0] }.filter { $0.exchange == nil }.reduce([]) { ScopeList.union($0, $1.scope) }
  }

  /// The slot for a route's token; a new one when no route before wanted the same.
  ///
  /// The key names all that makes a token another one within a session: the session itself stands for provider, client and user.
  mutating func slot(scope: [String], resource: String?, exchange: Exchange? = nil) -> Int {
    var name = (resource ?? "") + "|" + scope.sorted().joined(separator: " ")
    if let exchange {
      let subject = exchange.subject.map { slots[$0].key.name } ?? "id_token"
      name =
        [exchange.form.rawValue, subject, exchange.audience.sorted().joined(separator: " "), name]
        .joined(separator: "|")
    }
    let slot = Slot(key: ResourceKey(name), scope: scope, resource: resource, exchange: exchange)
    if let index = slots.firstIndex(of: slot) { return index }
    slots.append(slot)
    return slots.count - 1
  }

  func key(_ index: Int) -> ResourceKey { slots[index].key }

  func slot(of key: ResourceKey) -> Slot? { slots.first { $0.key == key } }

  /// What the provider is asked for so that this slot's token can be had: for an exchange also what the exchanged token needs.
  func askedScope(_ index: Int) -> [String] {
    guard let subject = slots[index].exchange?.subject else { return slots[index].scope }
    return ScopeList.union(slots[subject].scope, slots[index].scope)
  }

  /// The `resource` of the token that comes of an authorization request. Where scopes name their resource it is never sent: it picks
  /// those of the scopes that the code is redeemed with.
  func askedResource(_ index: Int) -> String? {
    guard let slot = redeemed(index).map({ slots[$0] }) else { return nil }
    if let resource = slot.resource { return resource }
    return scopeNamesResource ? slot.scope.lazy.compactMap(EntraScope.resource).first : nil
  }

  /// The slot of the token that an authorization code is redeemed for.
  func redeemed(_ index: Int) -> Int? {
    guard let exchange = slots[index].exchange else { return index }
    return exchange.subject
  }

  /// The scopes of a slot's token as far as they are known.
  func scopes(of session: Session, slot index: Int) -> [String] {
    guard let token = session.tokens[key(index)] else { return [] }
    return token.scopes ?? wantedScope(of: session, slot: index)
  }

  /// The scopes that a slot's next token is asked with.
  func wantedScope(of session: Session, slot index: Int) -> [String] {
    wantedScope(of: session, slots[index])
  }

  /// The same for a slot that need not be in the table.
  func wantedScope(of session: Session, _ slot: Slot) -> [String] {
    // Mostly there are none, and all sessions can share one list.
    session.extraScopes[slot.key].map { ScopeList.union(slot.scope, $0) } ?? slot.scope
  }

  /// The frozen form for data loops.
  ///
  /// - Parameter provider: the place of the session's provider in the configuration.
  func snapshot(of session: Session, provider: Int = 0) -> SessionSnapshot {
    let credentials = slots.enumerated().map { index, slot in
      session.tokens[slot.key].map { token in
        SessionSnapshot.Credential(
          softExpiry: token.softExpiry,
          expiry: token.hardExpiry, scopes: scopes(of: session, slot: index), token: token.secret)
      }
    }
    return SessionSnapshot(
      hash: session.hash, user: session.user, provider: provider, createdAt: session.createdAt,
      lastSeen: session.lastSeenAt, generation: session.generation, credentials: credentials)
  }

  /// Who an ID token names: for Entra the pair that stays the same in all applications of a tenant.
  func user(of claims: IDTokenClaims) -> UserKey {
    if scopeNamesResource, let tenant = claims.tid, let object = claims.oid {
      return UserKey(issuer: claims.issuer, tenant: tenant, objectID: object)
    }
    return UserKey(issuer: claims.issuer, subject: claims.subject)
  }

  /// Whom a logout token names; nil where it does not say it in the way in which users are known here.
  func user(of claims: LogoutTokenClaims) -> UserKey? {
    if scopeNamesResource {
      guard let tenant = claims.tid, let object = claims.oid else { return nil }
      return UserKey(issuer: claims.issuer, tenant: tenant, objectID: object)
    }
    return claims.subject.map { UserKey(issuer: claims.issuer, subject: $0) }
  }

  /// What a finished walk brings to the session.
  ///
  /// What was granted stays granted: the scopes are those that the token answer names, together with the ones of before. When the
  /// new token has fewer than the one it replaces, neither it nor its refresh token is kept: the grant of before goes on.
  ///
  /// - Parameters:
  ///   - previous: of the same provider.
  ///   - provider: what the new session has as its provider.
  func grant(
    _ arrival: SignIn.Arrival, user: UserKey, provider: String? = nil, previous: Session?, consentSlot: Int?
  ) -> SignInGrant {
    let tokens = arrival.tokens
    let granted = tokens.scope ?? arrival.attempt.scope
    let carried = previous.flatMap { $0.user == user ? $0 : nil }
    var extra = carried?.extraScopes ?? [:]
    if case .consent(let consent) = arrival.attempt.purpose, let consentSlot {
      let agreed = self.granted(of: consent, arrival, slot: consentSlot)
      extra[key(consentSlot)] = ScopeList.union(
        extra[key(consentSlot)] ?? [], consent.isWhole ? [] : agreed)
    }
    let token = TokenGrant(tokens)
    var fresh: [ResourceKey: TokenGrant] = [:]
    let isNarrower = tokens.refreshToken != nil && !narrowed(arrival, previous: carried).isEmpty
    if !isNarrower {
      for key in keys(ofCodeTokenFor: consentSlot, arrival) { fresh[key] = token }
    }
    let claims = arrival.claims
    return SignInGrant(
      // A session from before providers had names stays one.
      user: user, provider: carried.map(\.provider) ?? provider,
      profile: UserProfile(
        name: claims.name, username: claims.preferredUsername, email: claims.email,
        claims: claims.selected(sessionClaims).serialized()),
      authTime: claims.authTime, idToken: tokens.idToken,
      // Not the one that was at hand: it may be refreshed at this moment, and the session keeps what it has then.
      refreshToken: isNarrower && carried?.refreshToken != nil ? nil : tokens.refreshToken,
      grantedScopes: ScopeList.union(granted, carried?.grantedScopes ?? []),
      tokens: fresh, extraScopes: extra, renewed: consentSlot.map { [key($0)] } ?? [], sid: claims.sid,
      loginHint: claims.loginHint)
  }

  /// What of a consent the provider granted. A token answer names the scopes of its own resource only: those of another one were
  /// agreed to as asked.
  func granted(of consent: SignInAttempt.Consent, _ arrival: SignIn.Arrival, slot: Int?) -> [String] {
    guard let slot, slots[slot].exchange == nil, !consent.isWhole else { return consent.scopes }
    let missing = ScopeList.missing(consent.scopes, from: arrival.tokens.scope ?? arrival.attempt.scope)
    return consent.scopes.filter { !missing.contains($0) }
  }

  /// The scopes that the token of before had and the new one lacks: a provider may grant less than it was asked for.
  func narrowed(_ arrival: SignIn.Arrival, previous: Session?) -> [String] {
    guard case .consent(let consent) = arrival.attempt.purpose, let scope = arrival.tokens.scope,
      let previous, previous.user == user(of: arrival.claims), isSingle, let only = used.first,
      let before = previous.tokens[key(only)]?.scopes, !consent.isWhole
    else { return [] }
    return ScopeList.missing(before, from: scope)
  }

  /// Which slots the access token of the code exchange is good for. With one slot it is that one's. With several it is only
  /// kept where it is known to be for that resource alone; the others are fetched by refresh, so that no upstream
  /// gets a token that is good for another.
  private func keys(ofCodeTokenFor consentSlot: Int?, _ arrival: SignIn.Arrival) -> [ResourceKey] {
    var first = firstRefreshed
    if let consentSlot {
      // What was asked for as a whole is the upstream's own token, and none that can be exchanged for it.
      let isUpstreams = slots[consentSlot].exchange != nil && arrival.attempt.isWhole
      first = isUpstreams ? nil : redeemed(consentSlot)
    }
    guard let first else { return [] }
    if isSingle || arrival.attempt.resource != nil || scopeNamesResource { return [key(first)] }
    return arrival.tokens.refreshToken == nil ? [key(first)] : []
  }
}
