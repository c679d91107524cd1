internal import Basics

/// How the store fares, for metrics and the readiness check.
public struct StoreFacts: Sendable {
  /// Whether it answered when it was last asked.
  public var isUp: Bool
  /// Whether sessions in memory may be used: the store answers, or ``SessionPolicy/outageGrace`` is not over.
  public var isWithinGrace: Bool
  /// Since it last answered.
  public var sinceContact: Duration
  /// Waits and losses of leases, and what came of them.
  public var counts: LeaseCounts

  /// Facts.
  public init(isUp: Bool, isWithinGrace: Bool, sinceContact: Duration, counts: LeaseCounts) {
    self.isUp = isUp
    self.isWithinGrace = isWithinGrace
    self.sinceContact = sinceContact
    self.counts = counts
  }
}

/// What happened to leases, from the start on.
public struct LeaseCounts: Sendable {
  /// Refreshes that found another process at it, and waited for it.
  public var leasesWaited: UInt64 = 0
  /// Leases that ran out before they were given back.
  public var leasesLost: UInt64 = 0
  /// Saves that were refused because another process had been given the lease.
  public var savesFenced: UInt64 = 0
  /// Tokens that another process fetched while somebody here wanted them.
  public var refreshesAdopted: UInt64 = 0

  /// None yet.
  public init() {}
}

// While a shared store does not answer.
extension SessionAuthority {
  /// How the store fares.
  public var storeFacts: StoreFacts {
    StoreFacts(
      isUp: store.isUp, isWithinGrace: !isOutOfReach, sinceContact: clock() - store.lastContact,
      counts: counts)
  }

  /// Tells of a failure, but not again and again that the store is down.
  func report(_ error: StoreError) {
    if error != WatchedStore.knownDown { events.storeFailed(error) }
  }

  /// Asks a shared store that failed until it answers, and sees to it that the sessions in memory are not used
  /// for longer than they may be.
  func watchStore() async {
    guard !isWatching else { return }
    isWatching = true
    defer { isWatching = false }
    var pause = Self.firstProbe
    var wasDown = false
    while true {
      do { try await sleep(pause) } catch { return }
      pause = Self.probeInterval
      wasDown = wasDown || store.isDown
      do throws(StoreError) {
        try await store.ping()
        if await recovered(wasDown: wasDown), store.isUp { return }
      } catch {
        wasDown = true
        checkGrace()
      }
    }
  }

  /// Sessions in memory are out of reach when the store has not answered for ``SessionPolicy/outageGrace``.
  func checkGrace() {
    guard store.isShared, !isOutOfReach, store.isDown else { return }
    let away = clock() - store.lastContact
    guard away >= policy.outageGrace else { return }
    isOutOfReach = true
    events.storeReachable(false)
  }

  /// The store answers again: what waited is carried out, and what is in memory is compared with it, before
  /// anybody uses it.
  private func recovered(wasDown: Bool) async -> Bool {
    await retryRemovals()
    // A single failure kept nobody from hearing what the others did.
    if wasDown || isOutOfReach {
      lastRecovery = clock()
      guard await reconcile() else { return false }
    }
    await saveUnsaved()
    if isOutOfReach {
      isOutOfReach = false
      events.storeReachable(true)
    }
    await retryRevocations()
    await flushTouches()
    return true
  }

  /// Asks a shared store that nobody asked for a while: loops serve from what they have, and must hear when it
  /// is down.
  func keepContact() async {
    guard store.isShared else { return }
    if clock() - store.lastContact >= Self.contactInterval {
      do throws(StoreError) { try await store.ping() } catch { report(error) }
    }
    if isDeaf || isCutOff, !store.isDown { await reconcile() }
    checkGrace()
  }

  /// Saves what could not be saved, soon and again: until then another process may use a refresh token that is
  /// spent.
  func scheduleSaves() {
    guard !isSaving else { return }
    isSaving = true
    Task {
      var pause = Self.firstRetry
      while !self.unsaved.isEmpty {
        do { try await self.sleep(pause) } catch { break }
        pause = min(pause * 2, Self.retryInterval)
        // Whoever watches it saves when it answers again.
        if self.store.isShared, self.store.isDown { continue }
        await self.saveUnsaved()
      }
      self.isSaving = false
    }
  }

  /// Whether a session that seems idle here was used in another process; nil when the store cannot tell.
  func isUsedElsewhere(_ entry: SessionEntry, now: Timestamp) async -> Bool? {
    guard store.isShared, entry.times.created + policy.absoluteTimeout > now else { return false }
    do throws(StoreError) {
      guard let stored = try await store.load(entry.hash) else { return false }
      entry.noteUse(stored.lastSeenAt)
      adopt(stored, entry)
      return !policy.isOver(entry, at: clock())
    } catch {
      report(error)
      if case .sealed = error { return false }
      return nil
    }
  }

  private static let firstProbe = Duration.milliseconds(100)
  private static let probeInterval = Duration.seconds(1)
  private static let contactInterval = Duration.seconds(10)
  private static let firstRetry = Duration.milliseconds(250)
  private static let retryInterval = Duration.seconds(2)
}
