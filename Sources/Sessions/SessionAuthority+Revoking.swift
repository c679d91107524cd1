internal import Basics

// Scopes that a user takes back, in every session at once.
extension SessionAuthority {
  /// Scopes to take back from the sessions of a user.
  struct Revocation: Hashable {
    let scopes: [String]
    let resource: ResourceKey
    let user: UserKey
    /// Sessions that began later are not meant: their user may have consented anew. Nil: all are meant.
    var until: Timestamp?

    func covers(_ session: Session) -> Bool {
      session.user == user && until.map { session.createdAt <= $0 } ?? true
    }

    /// Whether there is anything in the session that it takes.
    func concerns(_ session: Session) -> Bool {
      session.tokens[resource] != nil || session.grantedScopes.contains(where: scopes.contains)
        || session.extraScopes[resource, default: []].contains(where: scopes.contains)
    }

    func apply(to session: inout Session) {
      session.tokens[resource] = nil
      session.grantedScopes.removeAll(where: scopes.contains)
      let rest = session.extraScopes[resource, default: []].filter { !scopes.contains($0) }
      session.extraScopes[resource] = rest.isEmpty ? nil : rest
      session.withheldScopes += scopes.filter { !session.withheldScopes.contains($0) }
    }
  }

  /// Takes scopes back: no refresh asks for them any more, and the resource's token, which may have them, is
  /// dropped, in every session that the user has now, also those that only the store has.
  ///
  /// A refresh that runs is waited for, and what it brings is dropped, too. Sessions that the store does not
  /// give now follow at ``maintain()``.
  public func revoke(_ scopes: [String], of resource: ResourceKey, for user: UserKey) async {
    var revocation = Revocation(scopes: scopes, resource: resource, user: user)
    guard await !reachAll(revocation), revocations.count < policy.memoryCapacity else { return }
    revocation.until = clock()
    revocations.insert(revocation)
  }

  func retryRevocations() async {
    for revocation in revocations {
      guard await reachAll(revocation) else { return }
      revocations.remove(revocation)
    }
  }

  /// False when the store did not give every session.
  private func reachAll(_ revocation: Revocation) async -> Bool {
    var isComplete = true
    var hashes = Set(
      entries.values.lazy.filter { $0.belongs(to: revocation.user) && revocation.covers($0.session) }
        .map(\.hash))
    do {
      hashes.formUnion(try await store.hashes(of: revocation.user))
    } catch {
      report(error)
      isComplete = false
    }
    for hash in hashes {
      switch await find(hash) {
      case .entry(let entry):
        await inLine(entry) { await self.take(back: revocation, from: entry) }.value
        // Saved on top of what another process stores meanwhile, it would not be taken back.
        if store.isShared, unsaved.contains(hash) { isComplete = false }
      case .unknown: break
      case .unavailable: isComplete = false
      }
    }
    return isComplete
  }

  /// Called in the entry's line.
  private func take(back revocation: Revocation, from entry: SessionEntry) async {
    guard entry.isAlive, revocation.covers(entry.session), revocation.concerns(entry.session) else { return }
    // What failed, failed with the scopes that are taken back.
    entry.activity.troubles = entry.activity.troubles.filter { $0.key.resource != revocation.resource }
    _ = await commit(entry) { revocation.apply(to: &$0) }
  }
}
