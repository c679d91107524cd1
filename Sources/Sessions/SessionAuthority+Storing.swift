internal import Basics

// What is in the store: saving, removing, and what waits until the store answers again.
extension SessionAuthority {
  /// A removal that the store has to carry out.
  enum Removal: Hashable {
    case session(TicketHash)
    case user(UserKey)
    case providerSession(issuer: String, sid: String)

    func covers(_ session: Session) -> Bool {
      switch self {
      case .session(let hash): session.hash == hash
      case .user(let user): session.user == user
      case .providerSession(let issuer, let sid): session.belongs(issuer: issuer, sid: sid)
      }
    }
  }

  /// How often the store is swept.
  private static let sweepInterval = Duration.seconds(60)
  /// How often notes are swept: they live for months.
  private static let noteSweepInterval = Duration.seconds(3600)
  /// How much later than its idle timeout a session is swept: uses reach the store late. What is only swept
  /// late is found to be over when it is loaded.
  private static let sweepDelay = Duration.seconds(120)

  /// Writes what waits to be written, tries again what failed, forgets what timed out. Call it every 10 to 60
  /// seconds.
  public func maintain() async {
    await keepContact()
    await retryRemovals()
    await retryRevocations()
    await saveUnsaved()
    let areTouchesStored = await flushTouches()
    let now = clock()
    for entry in Array(entries.values) {
      if entry.isAhead(of: now) {
        entry.session.takeBack(to: now)
        events.changed(.updated(entry.session))
      }
      guard let reason = policy.ending(of: entry, at: now),
        let isUsed = await isUsedElsewhere(entry, now: now)
      else { continue }
      if !isUsed { finish(entry, reason) }
    }
    overlaps = overlaps.filter { $0.value.until > now }
    await sweepNotes(now: now)
    guard areTouchesStored, isDue(lastSweep, every: Self.sweepInterval, now) else { return }
    do {
      try await store.sweep(
        createdBefore: now - policy.absoluteTimeout, seenBefore: now - policy.idleTimeout - Self.sweepDelay,
        now: now)
      lastSweep = now
    } catch {
      report(error)
    }
  }

  /// A clock that was set back counts as time passed.
  private func isDue(_ last: Timestamp?, every interval: Duration, _ now: Timestamp) -> Bool {
    last.map { now < $0 || now - $0 >= interval } ?? true
  }

  private func sweepNotes(now: Timestamp) async {
    guard isDue(lastNoteSweep, every: Self.noteSweepInterval, now) else { return }
    do {
      try await store.sweepNotes(updatedBefore: now - policy.noteLifetime)
      lastNoteSweep = now
    } catch {
      report(error)
    }
  }

  /// Waits for the refreshes that run and writes what waits to be written. Call it before the store closes.
  public func shutdown() async {
    for entry in Array(entries.values) { await entry.activity.line?.value }
    await retryRemovals()
    await saveUnsaved()
    await flushTouches()
    // Nobody else has to wait until they run out.
    for entry in Array(entries.values) { drop(entry) }
    for release in Array(releases.values) { await release.value }
  }

  /// Adds a new session to the store; called in the entry's line.
  func addToStore(_ entry: SessionEntry, removing old: TicketHash?, aliasUntil: Timestamp?) async {
    do {
      try await store.insert(entry.session, removing: old, aliasUntil: aliasUntil)
      entry.storedGeneration = entry.session.generation
    } catch {
      report(error)
      if entry.isAlive {
        unsaved.insert(entry.hash)
        if let old, let aliasUntil { unsavedAliases[entry.hash] = (old, aliasUntil) }
        scheduleSaves()
      }
      if let old { note(.session(old)) }
    }
    // Whoever ended it meanwhile removed it before it was there.
    if !entry.isAlive { await remove(.session(entry.hash)) }
  }

  /// Makes a change, saves it, and only then lets it be seen: a rotated refresh token is on disk before the
  /// access token that came with it is used. If the store fails, the change counts in memory and is saved
  /// later.
  ///
  /// Called in the entry's line. When another process changed the row, the change is made on top of that.
  /// - Returns: the session after the change; nil when it ended meanwhile.
  func commit(_ entry: SessionEntry, _ change: (inout Session) -> Void) async -> Session? {
    let before = entry.session
    var next = before
    change(&next)
    next.generation += 1
    var failure: StoreError?
    do throws(StoreError) {
      do throws(StoreError) {
        try await save(&next, of: entry, change)
        unsaved.remove(entry.hash)
        spent[entry.hash] = nil
        unsavedAliases[entry.hash] = nil
      } catch .conflict(current: nil) {
        try await vanish(entry)
      }
    } catch { failure = error }
    if let failure {
      report(failure)
      if entry.isAlive {
        if entry.session.generation > before.generation {
          next = entry.session
          change(&next)
          next.generation += 1
        }
        if unsaved.insert(entry.hash).inserted, entry.session.refreshToken != next.refreshToken {
          spent[entry.hash] = entry.session.refreshToken
        }
        scheduleSaves()
      }
    }
    guard entry.isAlive else {
      if entry.ending == .over { await remove(.session(entry.hash)) }
      return nil
    }
    next.lastSeenAt = max(next.lastSeenAt, entry.times.seen)
    entry.session = next
    events.changed(.updated(next))
    return next
  }

  private func save(
    _ next: inout Session, of entry: SessionEntry, _ change: (inout Session) -> Void
  ) async throws(StoreError) {
    // Few attempts: with more than one other process at the same row, the next call tries again.
    for _ in 0..<4 {
      do {
        if let stored = entry.storedGeneration {
          try await store.save(next, replacing: stored, under: entry.activity.lease?.lease)
        } else {
          let alias = unsavedAliases[entry.hash]
          try await store.insert(next, removing: alias?.old, aliasUntil: alias?.until)
        }
        entry.storedGeneration = next.generation
        return
      } catch .conflict(current: .some(let stored)) {
        if stored <= entry.session.generation, !store.isShared {
          // Our own write, which seemed to have failed: what is in memory is newer.
          entry.storedGeneration = stored
          continue
        }
        try await rebase(&next, of: entry, change)
      } catch .fenced {
        counts.savesFenced += 1
        entry.activity.lease?.isLost = true
        drop(entry)
        // Whoever has the lease now comes first.
        guard try await obtainLease(entry, adopting: false) else {
          if entry.isAlive { throw .unavailable("another process is refreshing") }
          throw .conflict(current: nil)
        }
        try await rebase(&next, of: entry, change)
      }
    }
    throw .unavailable("the stored session keeps changing")
  }

  /// Makes the change on top of what the store has.
  private func rebase(
    _ next: inout Session, of entry: SessionEntry, _ change: (inout Session) -> Void
  ) async throws(StoreError) {
    guard let stored = try await store.load(entry.hash) else { throw .conflict(current: nil) }
    let mine = entry.session
    entry.storedGeneration = stored.generation
    next = unsaved.contains(entry.hash) ? mine.unsaved(on: stored, spent: spent[entry.hash]) : stored
    change(&next)
    next.generation = max(stored.generation, mine.generation) + 1
  }

  /// Removes from the store; if that fails, it is tried again later, and until then nothing that is covered
  /// comes back.
  func remove(_ removal: Removal) async {
    note(removal)
    await carryOut(removal)
  }

  func retryRemovals() async {
    for removal in removals {
      guard await carryOut(removal) else { return }
    }
  }

  private func note(_ removal: Removal) {
    if case .session(let hash) = removal { loads[hash] = nil }
    // A bound for an outage that lasts: what is forgotten here ends by its timeout.
    if removals.count >= policy.memoryCapacity { removals.removeFirst() }
    removals.insert(removal)
  }

  @discardableResult
  private func carryOut(_ removal: Removal) async -> Bool {
    do {
      let gone: [TicketHash]
      switch removal {
      case .session(let hash):
        try await store.delete(hash)
        gone = []
      case .user(let user): gone = try await store.deleteAll(of: user)
      case .providerSession(let issuer, let sid): gone = try await store.deleteAll(issuer: issuer, sid: sid)
      }
      removals.remove(removal)
      // A session that began while this removal was waiting is not meant by it.
      for hash in gone {
        guard let entry = entries[hash] else {
          // Loops may have what had to make room here.
          if hasLetGo { events.changed(.ended(hash, .revoked)) }
          continue
        }
        entry.storedGeneration = nil
        unsaved.insert(hash)
      }
      return true
    } catch {
      report(error)
      return false
    }
  }

  func saveUnsaved() async {
    for hash in unsaved {
      guard let entry = entries[hash] else {
        unsaved.remove(hash)
        continue
      }
      // Whoever stands in its line saves it.
      if entry.isBusy { continue }
      _ = await inLine(entry) { await self.commit(entry) { _ in } }.value
      // The store still fails: the rest would too. A shared one may fail for this one alone.
      if unsaved.contains(hash), !store.isShared || store.isDown { return }
    }
  }

  /// Writes the uses that wait; false when they could not be written.
  @discardableResult
  func flushTouches() async -> Bool {
    guard !touches.isEmpty, !isFlushingTouches else { return touches.isEmpty }
    isFlushingTouches = true
    defer { isFlushingTouches = false }
    let batch = touches
    touches = [:]
    do {
      try await store.touch(batch)
      return true
    } catch {
      report(error)
      touches.merge(batch) { max($0, $1) }
      return false
    }
  }
}

extension Session {
  /// What could not be saved, on top of what another process stored meanwhile.
  /// - Parameter spent: the refresh token that the store had when this one's took its place.
  fileprivate func unsaved(on stored: Session, spent: Secret?) -> Session {
    var merged = stored
    // One that another process fetched with what was stored is the newer one.
    let isNewest =
      refreshToken != nil
      && (stored.refreshToken == spent || stored.refreshToken == refreshToken || stored.state != .active)
    guard isNewest else { return merged }
    merged.refreshToken = refreshToken
    merged.idToken = idToken
    merged.state = state
    // What was taken back meanwhile stays so.
    guard stored.withheldScopes == withheldScopes else { return merged }
    merged.tokens.merge(tokens) { $0.issuedAt < $1.issuedAt ? $1 : $0 }
    return merged
  }
}
