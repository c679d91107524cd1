internal import Basics
internal import Consent
internal import JSON
internal import OAuth
internal import Sessions

/// The tokens a session can hold: one slot for each distinct (resource, scope) among the routes. Routes that want the same token share
/// a slot.
struct CredentialSlots: Sendable {
  struct Slot: Sendable, Equatable {
    var key: ResourceKey
    var scope: [String]
    /// RFC 8707 parameter, where configured.
    var resource: String?
  }

  private(set) var slots: [Slot] = []
  /// The provider names the resource inside the scope and gives one resource a call (Microsoft Entra).
  let scopeNamesResource: Bool
  /// ID token claims that page scripts may see.
  let sessionClaims: [String]

  init(scopeNamesResource: Bool, sessionClaims: [String]) {
    self.scopeNamesResource = scopeNamesResource
    self.sessionClaims = sessionClaims
  }

  /// The slot for a route's token; a new one when no route before wanted the same.
  mutating func slot(scope: [String], resource: String?) -> Int {
    let name = (resource ?? "") + "|" + scope.sorted().joined(separator: " ")
    let slot = Slot(key: ResourceKey(name), scope: scope, resource: resource)
    if let index = slots.firstIndex(of: slot) { return index }
    slots.append(slot)
    return slots.count - 1
  }

  func key(_ index: Int) -> ResourceKey { slots[index].key }

  func slot(of key: ResourceKey) -> Slot? { slots.first { $0.key == key } }

  /// The scopes of a slot's token as far as they are known.
  func scopes(of session: Session, slot index: Int) -> [String] {
    guard let token = session.tokens[key(index)] else { return [] }
    return token.scopes ?? ScopeList.union(slots[index].scope, session.extraScopes[key(index)] ?? [])
  }

  /// The frozen form for data loops.
  func snapshot(of session: Session) -> SessionSnapshot {
    let credentials = slots.enumerated().map { index, slot in
      session.tokens[slot.key].map { token in
        SessionSnapshot.Credential(
          line: Array("Authorization: Bearer \(token.secret.reveal())\r\n".utf8),
          softExpiry: token.softExpiry,
          expiry: token.hardExpiry, scopes: scopes(of: session, slot: index), token: token.secret)
      }
    }
    return SessionSnapshot(
      hash: session.hash, user: session.user, userDigest: session.user.digest, createdAt: session.createdAt,
      lastSeen: session.lastSeenAt, generation: session.generation, credentials: credentials,
      needsSignIn: session.state != .active)
  }

  /// Who an ID token names: for Entra the pair that stays the same in all applications of a tenant.
  func user(of claims: IDTokenClaims) -> UserKey {
    if scopeNamesResource, let tenant = claims.tid, let object = claims.oid {
      return UserKey(issuer: claims.issuer, tenant: tenant, objectID: object)
    }
    return UserKey(issuer: claims.issuer, subject: claims.subject)
  }

  /// What a finished walk brings to the session.
  func grant(_ arrival: SignIn.Arrival, user: UserKey, previous: Session?, consentSlot: Int?) -> SignInGrant {
    let tokens = arrival.tokens
    let granted = tokens.scope ?? arrival.attempt.scope
    let carried = previous.flatMap { $0.user == user ? $0 : nil }
    var extra = carried?.extraScopes ?? [:]
    if case .consent(let consent) = arrival.attempt.purpose, let consentSlot {
      extra[key(consentSlot)] = ScopeList.union(extra[key(consentSlot)] ?? [], consent.scopes)
    }
    let token = TokenGrant(
      accessToken: tokens.accessToken, expiresIn: tokens.expiresIn, refreshIn: tokens.refreshIn,
      scopes: tokens.scope)
    var fresh: [ResourceKey: TokenGrant] = [:]
    for key in keys(ofCodeTokenFor: consentSlot, arrival) { fresh[key] = token }
    let claims = arrival.claims
    return SignInGrant(
      user: user,
      profile: UserProfile(
        name: claims.name, username: claims.preferredUsername, email: claims.email,
        claims: claims.selected(sessionClaims).serialized()),
      authTime: claims.authTime, idToken: tokens.idToken, refreshToken: tokens.refreshToken,
      grantedScopes: granted,
      tokens: fresh, extraScopes: extra, sid: claims.sid, loginHint: claims.loginHint)
  }

  /// Which slots the access token of the code exchange is good for. With one slot it is that one's. With several it is only
  /// kept where it is known to be for that resource alone; the others are fetched by refresh, so that no upstream
  /// gets a token that is good for another.
  private func keys(ofCodeTokenFor consentSlot: Int?, _ arrival: SignIn.Arrival) -> [ResourceKey] {
    guard slots.count > 1 else { return slots.map(\.key) }
    let wanted = [key(consentSlot ?? 0)]
    if arrival.attempt.resource != nil { return wanted }
    return arrival.tokens.refreshToken == nil ? wanted : []
  }
}
