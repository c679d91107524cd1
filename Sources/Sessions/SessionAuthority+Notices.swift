internal import Basics

// What other processes at the same store do.
extension SessionAuthority {
  /// Begins to hear of other processes. Call it once, before the first session is asked for.
  public func start() async {
    guard store.isShared else { return }
    store.onTrouble { [weak self] in
      guard let self else { return }
      Task { await self.watchStore() }
    }
    identity = try? await store.identity()
    let notices = notices
    await store.listen { [weak self] notice in
      guard notices.push(notice), let self else { return }
      Task { await self.drainNotices() }
    }
  }

  private func drainNotices() {
    while let batch = notices.takeAll() {
      for notice in batch { heard(notice) }
      if !reloads.isEmpty, !isReloading { Task { await self.runReloads() } }
    }
  }

  private func heard(_ notice: StoreNotice) {
    switch notice {
    case .saved(let hash, let generation):
      callWaiter(hash)
      if entries[hash] == nil {
        // One that is being read may have been read before it was saved.
        loads[hash] = nil
        events.changed(.stale(hash))
      } else {
        reloads[hash] = max(generation, reloads[hash] ?? 0)
      }
    case .ended(let hash): endedElsewhere(hash)
    case .replaced(let old, let new): replacedElsewhere(old, by: new)
    case .leaseEnded(let hash): callWaiter(hash)
    case .endedAll:
      for entry in Array(entries.values) { endedElsewhere(entry.hash) }
      loads.removeAll()
      overlaps = [:]
      events.changed(.allEnded)
    case .message: events.told(notice)
    case .interrupted:
      (isDeaf, isCutOff) = (true, true)
      events.told(notice)
      // Whatever cut this off may have cut off the rest. Loops serve from what they have, so nobody else might ask for a while.
      Task { await self.watchStore() }
    case .resumed:
      isCutOff = false
      events.told(notice)
      for waiter in waiters.values { waiter.call() }
      // Not here: what is heard meanwhile must not wait for it.
      Task { await self.reconcile() }
    }
  }

  private func endedElsewhere(_ hash: TicketHash) {
    callWaiter(hash)
    loads[hash] = nil
    reloads[hash] = nil
    if let entry = entries[hash] {
      finish(entry, .vanished)
    } else {
      events.changed(.ended(hash, .vanished))
    }
  }

  /// Another process took a new sign-in in this session's place.
  func replacedElsewhere(_ old: TicketHash, by new: TicketHash) {
    callWaiter(old)
    loads[old] = nil
    reloads[old] = nil
    let now = clock()
    for (ticket, known) in overlaps where known.new == old { overlaps[ticket] = (new, known.until) }
    overlaps[old] = (new, now + Self.aliasMemory)
    if let entry = entries[old] { detach(entry, .replaced) }
    // Its ticket is asked for anew, and so are those that led to it.
    events.changed(.moved(old: old, new: new))
  }

  /// So long an alias that the store told is believed.
  static let aliasMemory = Duration.seconds(30)

  // MARK: A store that came back empty

  /// Whether the store lost everything since it was last looked at. What is in memory is put back then: a server that kept nothing signs nobody
  /// out whom any process knows.
  func restoreIfLost() async throws(StoreError) -> Bool {
    let found = try await store.identity()
    defer { identity = found }
    guard let identity, identity != found else { return false }
    lastLoss = clock()
    for entry in entries.values {
      // Whoever asks for it now gets it.
      entry.activity.lease?.isLost = true
      guard entry.storedGeneration != nil else { continue }
      entry.storedGeneration = nil
      unsaved.insert(entry.hash)
    }
    events.storeFailed(.corrupt("it came back empty; \(entries.count) sessions are put back from memory"))
    scheduleSaves()
    return true
  }

  /// Whether a session that the store does not have may be one that another process is about to put back.
  var mayComeBack: Bool {
    guard store.isShared else { return false }
    if isDeaf { return true }
    guard let lastLoss else { return false }
    let passed = clock() - lastLoss
    return passed >= .zero && passed < Self.restoringTime
  }

  /// So long a session that nobody put back yet is waited for.
  private static let restoringTime = Duration.seconds(15)

  // MARK: Reading again

  private func runReloads() async {
    isReloading = true
    defer { isReloading = false }
    while !reloads.isEmpty {
      let batch = Array(reloads.prefix(Self.reloadBatch))
      for (hash, _) in batch { reloads[hash] = nil }
      await withTaskGroup(of: Void.self) { group in
        for (hash, generation) in batch { group.addTask { await self.reload(hash, generation) } }
      }
    }
  }

  /// Reads a ticket's session again if it is in memory and another process may have changed it: what that one tells about the session may
  /// come before the session has been read.
  public func catchUp(_ ticket: TicketHash) async {
    guard store.isShared, let entry = entries[current(ticket, now: clock())] else { return }
    await reload(entry.hash, .max)
  }

  private func reload(_ hash: TicketHash, _ generation: UInt64) async {
    guard let entry = entries[hash], entry.storedGeneration ?? 0 < generation, !unsaved.contains(hash) else {
      return
    }
    do throws(StoreError) { try await adoptStored(entry) } catch {
      report(error)
      if case .sealed = error { return }
      // Looked after at the next opportunity.
      isDeaf = true
    }
  }

  /// Compares all sessions in memory with the store, after notices may have been lost. False when the store did
  /// not answer.
  @discardableResult
  func reconcile() async -> Bool {
    if let running = reconciling {
      mustReconcileAgain = true
      return await running.value
    }
    let task = Task { await self.compareAll() }
    reconciling = task
    return await task.value
  }

  private func compareAll() async -> Bool {
    defer { reconciling = nil }
    repeat {
      mustReconcileAgain = false
      isDeaf = false
      if hasLetGo { events.changed(.allStale) }
      do throws(StoreError) { _ = try await restoreIfLost() } catch {
        report(error)
        isDeaf = true
        return false
      }
      let hashes = entries.values.filter { $0.storedGeneration != nil }.map(\.hash)
      for start in stride(from: 0, to: hashes.count, by: Self.reconcileBatch) {
        let batch = Array(hashes[start..<min(start + Self.reconcileBatch, hashes.count)])
        let known: [TicketHash: UInt64]
        do throws(StoreError) { known = try await store.generations(of: batch) } catch {
          report(error)
          isDeaf = true
          return false
        }
        for hash in batch {
          guard let entry = entries[hash], let mine = entry.storedGeneration else { continue }
          guard let stored = known[hash] else {
            // A new one in its place is found by its alias.
            do throws(StoreError) { try await vanish(entry) } catch {
              report(error)
              isDeaf = true
              return false
            }
            continue
          }
          if stored != mine { await reload(hash, .max) }
        }
      }
    } while mustReconcileAgain
    return true
  }

  private static let reloadBatch = 64
  private static let reconcileBatch = 512
}
