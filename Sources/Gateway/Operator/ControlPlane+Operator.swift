internal import Basics
internal import JSON
internal import Reactor
internal import Sessions

/// What operators see and do of sessions, on the admin listener. Never a token.
extension ControlPlane {
  /// An answer of the admin listener.
  struct AdminAnswer: Sendable {
    var status: Int
    var body: JSONValue

    static func error(_ status: Int, _ error: String, _ description: String) -> AdminAnswer {
      AdminAnswer(
        status: status, body: ["error": .string(error), "error_description": .string(description)])
    }

    static let unavailable = error(503, "store_unavailable", "the session store does not answer")
    static let unknown = error(404, "unknown_session", "there is no such session")
  }

  /// Sessions looked at for one page of an answer, however few of them fit: an answer must not take for ever.
  private static let sessionsLookedAt = 5000

  /// `GET /sessions`.
  func sessionList(_ filter: SessionFilter, after cursor: String?, limit: Int) async -> AdminAnswer {
    do throws(StoreError) {
      if cursor == nil, let key = filter.key {
        let known = try await sessions(of: key).filter { filter.matches($0) }
        if !known.isEmpty { return list(known, next: nil, unreadable: 0) }
      }
      var found: [Session] = []
      var (cursor, lookedAt, unreadable) = (cursor, 0, 0)
      repeat {
        let page = try await authority.page(after: cursor, limit: limit)
        found += page.sessions.filter { filter.matches($0) }
        lookedAt += max(1, page.sessions.count + page.unreadable)
        unreadable += page.unreadable
        cursor = page.next
      } while cursor != nil && found.count < limit && lookedAt < Self.sessionsLookedAt
      return list(found, next: cursor, unreadable: unreadable)
    } catch {
      return .unavailable
    }
  }

  private func sessions(of user: UserKey) async throws(StoreError) -> [Session] {
    let hashes: [TicketHash]
    do { hashes = try await store.hashes(of: user) } catch {
      noteFailure(error)
      throw error
    }
    var found: [Session] = []
    for hash in hashes {
      if case .found(let session) = await authority.session(for: hash) { found.append(session) }
    }
    return found
  }

  private func list(_ sessions: [Session], next: String?, unreadable: Int) -> AdminAnswer {
    AdminAnswer(
      status: 200,
      body: [
        "sessions": .array(sessions.map { describe($0) }), "next": next.map { .string($0) } ?? .null,
        "unreadable": .number(JSONNumber(unreadable)),
      ])
  }

  /// `GET /sessions/ID`.
  func sessionDetail(_ hash: TicketHash) async -> AdminAnswer {
    switch await authority.session(for: hash) {
    case .found(let session): AdminAnswer(status: 200, body: describe(session))
    case .unknown: .unknown
    case .unavailable: .unavailable
    }
  }

  /// `DELETE /sessions/ID`.
  func endSession(_ hash: TicketHash, from peer: String) async -> AdminAnswer {
    let ended = await end(.session(hash), because: .revoked)
    // A loop may still know what the store has no more.
    await homes.forget([hash])
    log.endedByOperator(ended.sessions, count: ended.sessions.count, what: "session \(hash)", from: peer)
    guard ended.isComplete else { return .unavailable }
    return ended.sessions.isEmpty ? .unknown : told(ended.sessions.count)
  }

  /// `DELETE /sessions?user=…`.
  func endSessions(_ filter: SessionFilter, from peer: String) async -> AdminAnswer {
    var ended = EndedSessions()
    if let key = filter.key { ended = await end(.user(key), because: .revoked) }
    if ended.sessions.isEmpty, ended.isComplete {
      do throws(StoreError) {
        var cursor: String?
        repeat {
          let page = try await authority.page(after: cursor, limit: 500)
          for session in page.sessions where filter.matches(session) {
            let one = await end(.session(session.hash), because: .revoked)
            ended.sessions += one.sessions
            if !one.isComplete { ended.isComplete = false }
          }
          cursor = page.next
        } while cursor != nil
      } catch {
        ended.isComplete = false
      }
    }
    log.endedByOperator(ended.sessions, count: ended.sessions.count, what: "user", from: peer)
    return ended.isComplete ? told(ended.sessions.count) : .unavailable
  }

  /// `DELETE /sessions?all=true`.
  func endEverySession(from peer: String) async -> AdminAnswer {
    let tokens = Locked<[Session]>([])
    let count: Int
    do throws(StoreError) {
      count = try await authority.endEverySession(because: .revoked) { page in
        // A million revocations would only keep the provider from its sign-ins.
        tokens.withLock { if $0.count < Self.tokensRevokedAtOnce { $0 += page } }
      }
    } catch {
      return .unavailable
    }
    await homes.forgetAll()
    let sessions = tokens.withLock { $0 }
    for user in Set(sessions.map(\.user)) { await dropPending(of: user) }
    revokeTokens(of: sessions)
    log.endedByOperator(sessions, count: count, what: "all", from: peer)
    return told(count)
  }

  /// Refresh tokens that are taken back at the provider when everything ends.
  private static let tokensRevokedAtOnce = 2000

  private func told(_ count: Int) -> AdminAnswer {
    AdminAnswer(status: 200, body: ["ended": .number(JSONNumber(count))])
  }

  func refusedOperator(_ path: String, from peer: String) {
    metrics.operatorsRefused += 1
    log.operatorRefused(path, from: peer)
  }

  // MARK: Words

  private func describe(_ session: Session) -> JSONValue {
    let state: String
    var detail: String?
    switch session.state {
    case .active: state = "active"
    case .needsSignIn(let why): (state, detail) = ("needs_sign_in", why)
    }
    let slots = providers.of(session)?.slots
    let resources = (slots?.slots ?? []).enumerated().compactMap { index, slot -> JSONValue? in
      guard let token = session.tokens[slot.key] else { return nil }
      let paths = routes.all.filter { $0.credentialSlot == index }.map { JSONValue.string($0.path) }
      return [
        "routes": .array(paths), "token_expires_at": .string(token.expiresAt.rfc3339),
        "scopes": .array((slots?.scopes(of: session, slot: index) ?? []).map { .string($0) }),
      ]
    }
    let members: [(String, JSONValue?)] = [
      ("id", .string(session.hash.text)), ("issuer", .string(session.user.issuer)),
      ("subject", .string(session.user.subject)), ("tenant", session.user.tenant.map { .string($0) }),
      ("name", session.profile.name.map { .string($0) }),
      ("username", session.profile.username.map { .string($0) }),
      ("email", session.profile.email.map { .string($0) }),
      ("provider", session.provider.map { .string($0) }), ("sid", session.sid.map { .string($0) }),
      ("state", .string(state)), ("state_detail", detail.map { .string($0) }),
      ("generation", .number(JSONNumber(session.generation))),
      ("created_at", .string(session.createdAt.rfc3339)),
      ("auth_time", session.authTime.map { .string($0.rfc3339) }),
      ("last_seen_at", .string(session.lastSeenAt.rfc3339)),
      ("expires_at", .string((session.createdAt + policy.absoluteTimeout).rfc3339)),
      ("idle_expires_at", .string((session.lastSeenAt + policy.idleTimeout).rfc3339)),
      ("has_refresh_token", .bool(session.refreshToken != nil)),
      ("granted_scopes", .array(session.grantedScopes.map { .string($0) })), ("resources", .array(resources)),
    ]
    return .object(JSONObject(members.compactMap { name, value in value.map { (name, $0) } }))
  }
}
