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
      case .providerSession(let issuer, let sid): session.sid == sid && session.user.issuer == issuer
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
      if policy.isOver(entry, at: now) { finish(entry, .timedOut) }
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
      events.storeFailed(error)
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
      events.storeFailed(error)
    }
  }

  /// Waits for the refreshes that run and writes what waits to be written. Call it before the store closes.
  public func shutdown() async {
    for entry in Array(entries.values) { await entry.activity.line?.value }
    await retryRemovals()
    await saveUnsaved()
    await flushTouches()
  }

  /// Adds a new session to the store; called in the entry's line.
  func addToStore(_ entry: SessionEntry, removing old: TicketHash?) async {
    do {
      try await store.insert(entry.session, removing: old, aliasUntil: nil)
      entry.storedGeneration = entry.session.generation
    } catch {
      events.storeFailed(error)
      if entry.isAlive { unsaved.insert(entry.hash) }
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
    var next = entry.session
    change(&next)
    next.generation += 1
    do {
      try await save(&next, of: entry, change)
      unsaved.remove(entry.hash)
    } catch .conflict(current: nil) {
      finish(entry, .vanished)
    } catch {
      events.storeFailed(error)
      if entry.isAlive { unsaved.insert(entry.hash) }
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
    // Three attempts: with more than one other process at the same row, the next call tries again.
    for _ in 0..<3 {
      do {
        if let stored = entry.storedGeneration {
          try await store.save(next, replacing: stored, under: nil)
        } else {
          try await store.insert(next, removing: nil, aliasUntil: nil)
        }
        entry.storedGeneration = next.generation
        return
      } catch .conflict(current: .some(let stored)) {
        if stored <= entry.session.generation {
          // Our own write, which seemed to have failed: what is in memory is newer.
          entry.storedGeneration = stored
          continue
        }
        guard let newer = try await store.load(entry.hash) else { throw .conflict(current: nil) }
        entry.storedGeneration = newer.generation
        next = newer
        change(&next)
        next.generation += 1
      }
    }
    throw .unavailable("the stored session keeps changing")
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
        guard let entry = entries[hash] else { continue }
        entry.storedGeneration = nil
        unsaved.insert(hash)
      }
      return true
    } catch {
      events.storeFailed(error)
      return false
    }
  }

  private func saveUnsaved() async {
    for hash in unsaved {
      guard let entry = entries[hash] else {
        unsaved.remove(hash)
        continue
      }
      // Whoever stands in its line saves it.
      if entry.isBusy { continue }
      _ = await inLine(entry) { await self.commit(entry) { _ in } }.value
      // The store still fails: the rest would too.
      if unsaved.contains(hash) { return }
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
      events.storeFailed(error)
      touches.merge(batch) { max($0, $1) }
      return false
    }
  }
}
