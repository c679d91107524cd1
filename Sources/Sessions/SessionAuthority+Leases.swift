internal import Basics

// One refresh per session over all processes at one store: whoever asks the provider has the session's lease.
extension SessionAuthority {
  /// A lease that this process has, and keeps alive.
  final class HeldLease {
    let lease: SessionLease
    /// Another may have it by now.
    var isLost = false
    /// When it was last asked for with success: it lasts from then on, whatever the answer took.
    var askedAt: Timestamp
    var renewal: Task<Void, Never>?

    init(_ lease: SessionLease, askedAt: Timestamp) {
      self.lease = lease
      self.askedAt = askedAt
    }
  }

  /// One who waits for another's lease to end. Called before it waits, it does not wait at all.
  final class Waiter {
    private var isCalled = false
    private var continuation: CheckedContinuation<Void, Never>?

    func call() {
      isCalled = true
      continuation?.resume()
      continuation = nil
    }

    func wait(_ continuation: CheckedContinuation<Void, Never>) {
      if isCalled { continuation.resume() } else { self.continuation = continuation }
    }
  }

  /// Whether a session's tokens may be asked for.
  enum Turn {
    /// Nobody else does, and what is at hand is the newest.
    case ours
    /// What is at hand was brought up to date: look again.
    case adopted
    /// The session is over.
    case over
    /// Not now; the detail is for the log.
    case unavailable(String)
  }

  /// How long a lease lasts without a renewal, and how often it is renewed.
  static let leaseDuration = Duration.seconds(6)
  private static let renewalInterval = Duration.seconds(2)
  /// How long one waits for another's lease, renewed or not.
  private static let leasePatience = Duration.seconds(30)
  /// Longer than a process takes to find that the store is back.
  private static let savingTime = Duration.seconds(2)

  /// Waits until this process alone may ask for the session's tokens. Called in the entry's line; the lease is
  /// given back when the line is empty.
  func takeTurn(_ entry: SessionEntry) async -> Turn {
    guard store.isShared else { return .ours }
    if isHeld(entry) { return .ours }
    if entry.storedGeneration == nil || unsaved.contains(entry.hash) {
      // What the store has must be the newest: another may be the next to refresh.
      guard await commit(entry, { _ in }) != nil else { return .over }
      if unsaved.contains(entry.hash) { return .unavailable(Self.storeIsAway) }
      if isHeld(entry) { return .ours }
    }
    await letOthersSave()
    do throws(StoreError) {
      let before = entry.storedGeneration
      guard try await obtainLease(entry, adopting: true) else {
        return entry.isAlive ? .unavailable("another process is refreshing") : .over
      }
      return entry.storedGeneration == before ? .ours : .adopted
    } catch {
      report(error)
      return .unavailable(Self.storeIsAway)
    }
  }

  /// Whether this process has the lease, as far as it can know: one that could not be renewed has run out.
  private func isHeld(_ entry: SessionEntry) -> Bool {
    guard let held = entry.activity.lease, !held.isLost else { return false }
    return clock() - held.askedAt < Self.leaseDuration
  }

  /// After an outage another process may have a refresh token that it could not save: it saves before anybody uses the one before.
  private func letOthersSave() async {
    guard let recovery = [lastRecovery, lastLoss].compactMap({ $0 }).max() else { return }
    let left = recovery + Self.savingTime - clock()
    // A clock that was set back is not waited for.
    if left > .zero, left <= Self.savingTime { try? await sleep(left) }
  }

  /// Gets the session's lease, and what was stored before. False when that took too long, when what another
  /// stored is enough, or when the session is over.
  /// - Parameter adopting: whether to end with what another has stored meanwhile, without the lease.
  func obtainLease(_ entry: SessionEntry, adopting: Bool) async throws(StoreError) -> Bool {
    let start = clock()
    var hasWaited = false
    while entry.isAlive {
      let waiter = Waiter()
      waiters[entry.hash] = waiter
      defer { if waiters[entry.hash] === waiter { waiters[entry.hash] = nil } }
      let askedAt = clock()
      switch try await store.acquireLease(entry.hash, holder: holder, for: Self.leaseDuration) {
      case .missing:
        guard clock() - start < Self.leasePatience else { return false }
        try await vanish(entry)
        guard entry.isAlive else { break }
        // The store lost it, and all others.
        guard await commit(entry, { _ in }) != nil else { break }
        if unsaved.contains(entry.hash) { throw .unavailable(Self.storeIsAway) }
        await letOthersSave()
      case .granted(let lease):
        hold(lease, askedAt, entry)
        guard entry.isAlive else { break }
        do throws(StoreError) {
          let stored = try await store.generations(of: [entry.hash])[entry.hash]
          if stored != entry.storedGeneration { try await adoptStored(entry) }
        } catch {
          // Nobody knows whether what is at hand is the newest.
          drop(entry)
          throw error
        }
        return entry.isAlive
      case .held(let remaining):
        if !hasWaited { counts.leasesWaited += 1 }
        hasWaited = true
        guard clock() - start < Self.leasePatience else { return false }
        await wait(waiter, atMost: remaining)
        let before = entry.storedGeneration
        if entry.isAlive { try await adoptStored(entry) }
        if adopting, entry.isAlive, entry.storedGeneration != before { return true }
      }
    }
    letGo(entry)
    return false
  }

  private func wait(_ waiter: Waiter, atMost limit: Duration) async {
    let alarm = Task {
      try? await self.sleep(limit)
      waiter.call()
    }
    await withCheckedContinuation { waiter.wait($0) }
    alarm.cancel()
  }

  /// What another process did may end a wait.
  func callWaiter(_ hash: TicketHash) { waiters[hash]?.call() }

  private func hold(_ lease: SessionLease, _ askedAt: Timestamp, _ entry: SessionEntry) {
    drop(entry)
    let held = HeldLease(lease, askedAt: askedAt)
    entry.activity.lease = held
    held.renewal = Task { await self.renew(held) }
    if !entry.isAlive { letGo(entry) }
  }

  private func renew(_ held: HeldLease) async {
    while !held.isLost {
      do { try await sleep(Self.renewalInterval) } catch { return }
      let askedAt = clock()
      do throws(StoreError) {
        if try await store.renewLease(held.lease, for: Self.leaseDuration) {
          held.askedAt = askedAt
          continue
        }
        if Task.isCancelled { continue }
        held.isLost = true
        counts.leasesLost += 1
      } catch {
        // It may live on: what is saved under it tells.
        report(error)
      }
    }
  }

  /// Gives a session's lease back, unless the store still has a refresh token that is spent.
  func letGo(_ entry: SessionEntry) {
    if entry.isAlive, unsaved.contains(entry.hash), entry.activity.lease?.isLost == false { return }
    drop(entry)
  }

  /// Gives a session's lease back.
  func drop(_ entry: SessionEntry) {
    guard let held = entry.activity.lease else { return }
    held.renewal?.cancel()
    entry.activity.lease = nil
    if held.isLost { return }
    let lease = held.lease
    releases[lease] = Task {
      do throws(StoreError) { try await self.store.releaseLease(lease) } catch { self.report(error) }
      self.releases[lease] = nil
    }
  }

  /// Takes over what the store has, if that is newer than what is at hand.
  func adoptStored(_ entry: SessionEntry) async throws(StoreError) {
    while entry.isAlive {
      let known = entry.storedGeneration
      let stored = try await store.load(entry.hash)
      // Saved here meanwhile: what was read may be from before, and must not be taken for a loss.
      guard entry.storedGeneration == known else { continue }
      guard let stored else { return try await vanish(entry) }
      return adopt(stored, entry)
    }
  }

  /// Takes over a version of the session that another process stored.
  func adopt(_ stored: Session, _ entry: SessionEntry) {
    guard entry.isAlive, !unsaved.contains(entry.hash), stored.generation != entry.storedGeneration else {
      return
    }
    guard stored.generation > entry.session.generation else {
      if stored.generation < entry.storedGeneration ?? 0 {
        // The store lost what it had.
        entry.storedGeneration = stored.generation
        unsaved.insert(entry.hash)
        scheduleSaves()
      }
      return
    }
    var session = stored
    session.lastSeenAt = max(stored.lastSeenAt, entry.times.seen)
    entry.storedGeneration = stored.generation
    entry.session = session
    // What failed, failed with what was at hand before.
    entry.activity.troubles = [:]
    events.changed(.updated(session))
  }

  /// The session is not in the store any more: another process ended it, or put a new one in its place.
  /// When the store lost everything, nobody ended it: it is put back.
  /// - Throws: the store did not say which it is.
  func vanish(_ entry: SessionEntry) async throws(StoreError) {
    if store.isShared {
      // What is about to be put back is not there yet; another who met the loss may have seen to it meanwhile.
      guard entry.storedGeneration != nil, try await !restoreIfLost(), entry.storedGeneration != nil else {
        return
      }
    }
    if store.isShared, let new = try? await store.alias(of: entry.hash, now: clock()) {
      replacedElsewhere(entry.hash, by: new)
    }
    finish(entry, .vanished)
  }

  static let storeIsAway = "the session store is unavailable"
}
