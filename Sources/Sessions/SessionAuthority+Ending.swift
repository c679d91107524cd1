internal import Basics

/// Which sessions are to end.
public enum SessionSelection: Sendable, Hashable {
  /// The one of this ticket.
  case session(TicketHash)
  /// All of a user.
  case user(UserKey)
  /// All that came of one session at the provider. With a user, theirs alone, and also those of which no
  /// `sid` is known: which session at the provider they came of cannot be told.
  case providerSession(issuer: String, sid: String, of: UserKey?)

  func covers(_ session: Session) -> Bool {
    switch self {
    case .session(let hash): session.hash == hash
    case .user(let user): session.user == user
    case .providerSession(let issuer, let sid, let user):
      if let user {
        session.user == user && (session.sid == sid || session.sid == nil)
      } else {
        session.belongs(issuer: issuer, sid: sid)
      }
    }
  }
}

/// What an end of sessions came to.
public struct EndedSessions: Sendable {
  /// The last state of each that ended.
  public var sessions: [Session] = []
  /// False when the store did not answer: there may be more, or they may come back until it was reached.
  public var isComplete = true

  /// None yet.
  public init() {}
}

// Ends of sessions that somebody asks for.
extension SessionAuthority {
  /// Ends a session for good and hands out its last state, for revocation and the provider's sign-out. Nil
  /// when there was none, or when its state could not be read; it is over in either case.
  public func end(_ ticket: TicketHash) async -> Session? {
    let hash = current(ticket, now: clock())
    var last: Session?
    if case .entry(let entry) = await find(hash) {
      last = entry.session
      finish(entry, .signedOut)
      await remove(.session(entry.hash))
      if entry.hash == hash { return last }
    } else if let entry = entries[hash] {
      // Out of reach, but its end is no use of it.
      last = entry.session
      finish(entry, .signedOut)
    }
    await remove(.session(hash))
    return last
  }

  /// Ends all sessions of a user, also those that only the store has.
  public func endAll(of user: UserKey) async { _ = await end(.user(user), because: .revoked) }

  /// Ends all sessions that belong to one session at the provider, also those that only the store has.
  public func endAll(issuer: String, sid: String) async {
    _ = await end(.providerSession(issuer: issuer, sid: sid, of: nil), because: .revoked)
  }

  /// Ends sessions for good, also those that only the store has, and hands out their last states. Each that
  /// ends is told by ``SessionEvents/changed``. What the store does not carry out now follows at
  /// ``maintain()``, and is not loaded any more until then.
  public func end(_ selection: SessionSelection, because reason: EndReason) async -> EndedSessions {
    var ended = EndedSessions()
    var hashes: Set<TicketHash>
    do {
      hashes = Set(try await stored(selection))
    } catch {
      report(error)
      hashes = []
      ended.isComplete = false
    }
    // What the store knows it has named: few have to be looked at.
    for entry in entries.values where !ended.isComplete || entry.storedGeneration == nil {
      if selection.covers(entry.unpacked) { hashes.insert(entry.hash) }
    }
    for hash in hashes {
      let last: Session?
      if let entry = entries[hash], entry.isAlive {
        guard selection.covers(entry.session) else { continue }
        last = entry.session
        finish(entry, reason)
      } else {
        // Whoever reads it now finds that it has ended.
        loads[hash] = nil
        let isNew = removals.insert(.session(hash)).inserted
        do { last = try await store.load(hash) } catch {
          report(error)
          ended.isComplete = false
          // Not every session of a user need be meant.
          if isNew, case .providerSession(_, _, .some) = selection { removals.remove(.session(hash)) }
          continue
        }
        guard last.map(selection.covers) ?? true else {
          // One that was to be removed before still is.
          if isNew { removals.remove(.session(hash)) }
          continue
        }
        if last != nil { events.changed(.ended(hash, reason)) }
      }
      if let last, !policy.isOver(last, at: clock()) { ended.sessions.append(last) }
      await remove(.session(hash))
      if removals.contains(.session(hash)) { ended.isComplete = false }
    }
    // Anybody can ask by the front channel: nothing is kept for them that meant nobody.
    if !ended.isComplete, reason != .frontChannel || !ended.sessions.isEmpty, let removal = selection.removal
    {
      await remove(removal)
    }
    return ended
  }

  private func stored(_ selection: SessionSelection) async throws(StoreError) -> [TicketHash] {
    switch selection {
    case .session(let ticket): [current(ticket, now: clock())]
    case .user(let user): try await store.hashes(of: user)
    case .providerSession(_, _, let user?): try await store.hashes(of: user)
    case .providerSession(let issuer, let sid, nil): try await store.hashes(issuer: issuer, sid: sid)
    }
  }

  /// Ends every session there is. All or none: nothing ends when the store does not answer.
  ///
  /// - Parameter each: called with those of each page of the store before they end.
  /// - Returns: how many the store had.
  public func endEverySession(
    because reason: EndReason, each: @Sendable ([Session]) -> Void
  ) async throws(StoreError) -> Int {
    var cursor: String?
    repeat {
      let page = try await page(after: cursor, limit: 500)
      each(page.sessions)
      cursor = page.next
    } while cursor != nil
    let count = try await store.deleteEverySession()
    loads.removeAll()
    overlaps.removeAll()
    touches.removeAll()
    for entry in Array(entries.values) { finish(entry, reason) }
    return count
  }

  /// Sessions as the store has them, page by page, in their newest state that is known here; without those that are over.
  public func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage {
    var page: SessionPage
    do {
      page = try await store.page(after: cursor, limit: limit)
    } catch {
      report(error)
      throw error
    }
    let now = clock()
    page.sessions = page.sessions.compactMap { stored in
      if removals.contains(where: { $0.covers(stored) }) { return nil }
      var session = stored
      if let entry = entries[stored.hash], entry.isAlive { session = entry.session }
      if let seen = touches[stored.hash] { session.lastSeenAt = max(session.lastSeenAt, seen) }
      return policy.isOver(session, at: now) ? nil : session
    }
    return page
  }
}

extension SessionSelection {
  /// The removal that stays to be done when the store did not say which sessions there are.
  fileprivate var removal: SessionAuthority.Removal? {
    switch self {
    case .session(let hash): .session(hash)
    case .user(let user): .user(user)
    case .providerSession(let issuer, let sid, nil): .providerSession(issuer: issuer, sid: sid)
    case .providerSession: nil
    }
  }
}
