internal import Basics

// What is in memory: finding, loading, letting go.
extension SessionAuthority {
  /// What a search gives.
  enum Finding {
    case entry(SessionEntry)
    case unknown
    case unavailable
  }

  /// What a load gives to all who wait for it.
  enum LoadResult: Sendable {
    /// It is in memory now.
    case arrived
    case unknown
    case unavailable
    /// Its ticket stands for another session: look there.
    case moved
    /// The session was ended while it was read: look again.
    case overtaken
  }

  /// Loads at a time, so that unknown tickets cannot pile up work behind a slow store.
  private static let maxLoads = 4096
  /// Tickets that stand for tickets that stand for tickets.
  private static let maxAliases = 8

  /// The ticket hash that this one stands for.
  func current(_ ticket: TicketHash, now: Timestamp) -> TicketHash {
    guard let overlap = overlaps[ticket], overlap.until > now else { return ticket }
    return overlap.new
  }

  /// The live entry of a ticket, from memory or from the store. All who ask for one ticket share one load.
  ///
  /// The entry is in the table when this returns; a caller that awaits afterwards must look again.
  func find(_ ticket: TicketHash) async -> Finding {
    var aliases = 0
    while true {
      checkGrace()
      if isOutOfReach { return .unavailable }
      let now = clock()
      let hash = current(ticket, now: now)
      if let entry = entries.use(hash) {
        guard let reason = policy.ending(of: entry, at: now) else { return .entry(entry) }
        guard let isUsed = await isUsedElsewhere(entry, now: now) else { return .unavailable }
        if isUsed || !entry.isAlive { continue }
        finish(entry, reason)
        await remove(.session(hash))
        return .unknown
      }
      if removals.contains(.session(hash)) { return .unknown }
      let task: Task<LoadResult, Never>
      if let running = loads[hash] {
        task = running.task
      } else {
        guard loads.count < Self.maxLoads else { return .unavailable }
        lastLoadID += 1
        let id = lastLoadID
        task = Task { await self.load(hash, id: id) }
        loads[hash] = (id, task)
      }
      switch await task.value {
      case .arrived, .overtaken: continue
      case .moved:
        aliases += 1
        guard aliases <= Self.maxAliases else { return .unknown }
      case .unknown: return .unknown
      case .unavailable: return .unavailable
      }
    }
  }

  private func load(_ hash: TicketHash, id: UInt64) async -> LoadResult {
    var loaded: Session?
    var alias: TicketHash?
    var failure: StoreError?
    do {
      loaded = try await store.load(hash)
      if loaded == nil { alias = try await store.alias(of: hash, now: clock()) }
    } catch {
      failure = error
    }
    guard loads[hash]?.id == id else { return .overtaken }
    loads[hash] = nil
    if let failure {
      report(failure)
      // A row that no key opens is nobody's session any more; for all else the session may be there.
      if case .sealed = failure { return .unknown }
      return .unavailable
    }
    if let alias, alias != hash {
      if overlaps.count < policy.memoryCapacity { overlaps[hash] = (alias, clock() + Self.aliasMemory) }
      return current(hash, now: clock()) == hash ? .unavailable : .moved
    }
    guard var session = loaded else { return mayComeBack ? .unavailable : .unknown }
    guard !removals.contains(where: { $0.covers(session) }) else { return .unknown }
    if let seen = touches[hash] { session.lastSeenAt = max(session.lastSeenAt, seen) }
    let now = clock()
    if session.isAhead(of: now) { session.takeBack(to: now) }
    let entry = SessionEntry(session: session, storedGeneration: session.generation)
    entries.insert(entry, for: hash)
    makeRoom(needed: entry)
    return .arrived
  }

  /// Runs `work` when everything that was lined up for this session before is finished. One line a session,
  /// whatever the resource: all its tokens hang on one refresh token, and two refreshes at once make
  /// providers that rotate it end the whole family (RFC 9700 §4.14).
  func inLine<Value: Sendable>(_ entry: SessionEntry, _ work: @escaping () async -> Value) -> Task<
    Value, Never
  > {
    let before = entry.activity.line
    entry.activity.lineLength += 1
    let task = Task {
      await before?.value
      let value = await work()
      self.stepOut(entry)
      return value
    }
    entry.activity.line = Task { _ = await task.value }
    return task
  }

  private func stepOut(_ entry: SessionEntry) {
    entry.activity.lineLength -= 1
    guard entry.activity.lineLength == 0 else { return }
    entry.activity.line = nil
    letGo(entry)
  }

  /// Takes an entry out of memory. What is under way for it will find that it has ended.
  func detach(_ entry: SessionEntry, _ ending: SessionEntry.Ending) {
    guard entry.isAlive else { return }
    entry.ending = ending
    entries.remove(entry.hash)
    touches[entry.hash] = nil
    unsaved.remove(entry.hash)
    spent[entry.hash] = nil
    unsavedAliases[entry.hash] = nil
    if !entry.isBusy { letGo(entry) }
  }

  /// Ends a session in memory and says so. The store is the caller's business.
  func finish(_ entry: SessionEntry, _ reason: EndReason) {
    guard entry.isAlive else { return }
    detach(entry, .over)
    events.changed(.ended(entry.hash, reason))
  }

  /// Lets the least recently used sessions go until the table fits. Those that are busy or not saved stay,
  /// and the one that is `needed` now.
  func makeRoom(needed: SessionEntry) {
    while entries.count > policy.memoryCapacity {
      let gone = entries.removeOldest(probes: 16) {
        $0 !== needed && !$0.isBusy && !unsaved.contains($0.hash)
      }
      if gone == nil { return }
      hasLetGo = true
    }
  }
}
