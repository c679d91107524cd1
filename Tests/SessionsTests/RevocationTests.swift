import Basics
import Sessions
import Testing

@Suite struct `Scopes that are taken back` {
  /// A session with `read` and `write` granted, `write` and `admin` asked for beyond, and a token each for
  /// `files` and `tools`.
  private func signIn(_ scene: AuthorityScene, _ user: UserKey = .alice, replacing old: TicketHash? = nil)
    async -> TicketHash
  {
    var grant = scene.grant(user)
    grant.grantedScopes = ["openid", "read", "write"]
    grant.tokens[.files] = TokenGrant(accessToken: Secret("files"), expiresIn: .seconds(3600))
    grant.extraScopes = [.files: ["write", "admin"], .tools: ["write"]]
    return await scene.authority.signIn(grant, replacing: old).ticket.hash
  }

  private func isTaken(_ session: Session?) -> Bool {
    guard let session else { return false }
    return session.tokens[.files] == nil && session.grantedScopes == ["openid", "read"]
      && session.extraScopes == [.files: ["admin"], .tools: ["write"]] && session.withheldScopes == ["write"]
      && session.tokens[.tools]?.secret == Secret("initial") && session.refreshToken == Secret("first")
  }

  @Test func `are gone from every session of the user, in memory and in the store, and from no other`()
    async throws
  {
    let scene = AuthorityScene()
    let (one, two, bob) = (await signIn(scene), await signIn(scene), await signIn(scene, .bob))
    // Knows `two` in memory, `one` only in the store.
    let changes = Journal<SessionChange>()
    let fresh = SessionAuthority(
      executor: QueueExecutor(), store: scene.store, refresher: scene.refresher, clock: scene.clock.wallClock,
      jitter: { 0 }, events: SessionEvents(changed: { changes.note($0) }))
    _ = await fresh.session(for: two)
    await fresh.revoke(["write"], of: .files, for: .alice)
    for ticket in [one, two] {
      guard case .found(let session) = await fresh.session(for: ticket) else {
        Issue.record("lost")
        return
      }
      #expect(isTaken(session) && session.generation == 2)
      expectSame(try await scene.store.inner.load(ticket), session)
    }
    let updated = changes.items.compactMap { change in
      if case .updated(let session) = change { session.hash } else { nil }
    }
    #expect(updated.count == 2 && Set(updated) == [one, two])
    #expect(try await scene.store.inner.load(bob)?.tokens[.files] != nil)
    #expect(try await scene.store.inner.load(bob)?.generation == 1)

    // The next refresh asks for what is left.
    _ = await fresh.token(for: one, resource: .files)
    #expect(scene.refresher.requests.items.map(\.extraScopes) == [["admin"]])
  }

  @Test func `change nothing where there is nothing to take`() async throws {
    let scene = AuthorityScene()
    let ticket = await signIn(scene)
    await scene.authority.revoke(["unheard-of"], of: ResourceKey("third"), for: .alice)
    await scene.authority.revoke(["write"], of: .files, for: UserKey(issuer: "i", subject: "nobody"))
    #expect(try await scene.store.inner.load(ticket)?.generation == 1)
    #expect(scene.updates.count == 1)
    await scene.authority.revoke(["admin", "write"], of: .files, for: .alice)
    #expect(await scene.found(ticket)?.extraScopes == [.tools: ["write"]])
  }

  @Test func `do not come back with a refresh that was under way`() async {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return .renewed("with write")
      })
    let ticket = await signIn(scene)
    let authority = scene.authority
    let caller = Task {
      await authority.token(for: ticket, resource: .files, rejected: Secret("files")).word
    }
    await scene.refresher.calls.reaches(1)
    let revocation = Task { await authority.revoke(["write"], of: .files, for: .alice) }
    await gate.open()
    await revocation.value
    #expect(await caller.value == "with write")
    #expect(isTaken(await scene.found(ticket)))
  }

  @Test func `a refusal that was remembered for them is forgotten`() async {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { request, _ in
        request.extraScopes.contains("write")
          ? RefreshAnswer(.interactionRequired(ProviderRefusal(error: "consent_required")))
          : .renewed("without")
      })
    let ticket = await signIn(scene)
    let word = await scene.authority.token(for: ticket, resource: .files, rejected: Secret("files")).word
    #expect(word == "consent_required")
    await scene.authority.revoke(["write"], of: .files, for: .alice)
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "without")
  }

  @Test func `while the store fails go from memory at once, and from the rest when it is back`() async throws
  {
    let scene = AuthorityScene()
    let (one, two) = (await signIn(scene), await signIn(scene))
    let fresh = scene.another()
    _ = await fresh.session(for: two)
    scene.store.set(.down)
    await fresh.revoke(["write"], of: .files, for: .alice)
    guard case .found(let session) = await fresh.session(for: two) else {
      Issue.record("lost")
      return
    }
    #expect(isTaken(session))
    await fresh.maintain()
    scene.store.set(.none)
    #expect(!isTaken(try await scene.store.inner.load(one)))
    // Somebody who consents anew meanwhile keeps what the new sign-in brought.
    scene.clock.advance(by: .seconds(1))
    let new = await signIn(scene)
    await fresh.maintain()
    for ticket in [one, two] { #expect(isTaken(try await scene.store.inner.load(ticket))) }
    #expect(try await scene.store.inner.load(new)?.tokens[.files] != nil)
    await fresh.maintain()
    #expect(scene.store.log.items.filter { $0 == "hashes" }.count == 3)
  }

  @Test func `are not carried over by a sign-in once the store is back`() async {
    let scene = AuthorityScene()
    let old = await signIn(scene)
    let fresh = scene.another()
    scene.store.set(.down)
    await fresh.revoke(["admin"], of: .files, for: .alice)
    scene.store.set(.none)
    scene.clock.advance(by: .seconds(1))
    let result = await fresh.signIn(scene.grant(), replacing: old)
    #expect(result.session.extraScopes == [.files: ["write"], .tools: ["write"]])
  }

  @Test func `are withheld until they are agreed to again`() async {
    let scene = AuthorityScene()
    let first = await signIn(scene)
    await scene.authority.revoke(["admin"], of: .files, for: .alice)
    var other = scene.grant()
    other.extraScopes = [.files: ["more"]]
    let second = await scene.authority.signIn(other, replacing: first)
    #expect(second.session.withheldScopes == ["admin"])
    other.extraScopes = [.files: ["admin"]]
    #expect(await scene.authority.signIn(other, replacing: second.ticket.hash).session.withheldScopes == [])
  }
}

@Suite struct `Maintenance of notes` {
  private func note(_ key: String, _ time: Timestamp) -> Note {
    Note(kind: .consent, owner: .alice, key: key, payload: [], updatedAt: time)
  }

  @Test func `sweeps those that are too old, once an hour`() async throws {
    let policy = SessionPolicy(noteLifetime: .seconds(10_000))
    let scene = AuthorityScene(policy: policy)
    let start = scene.clock.now
    try await scene.store.put(note("old", start), keeping: 10)
    try await scene.store.put(note("new", start + .seconds(5000)), keeping: 10)
    func keys() async throws -> [String] {
      try await scene.store.notes(.consent, owner: .alice).map(\.key)
    }
    func sweeps() -> Int { scene.store.log.items.filter { $0 == "sweep notes" }.count }
    scene.clock.advance(by: .seconds(9999))
    await scene.authority.maintain()
    #expect(try await keys() == ["new", "old"])
    scene.clock.advance(by: .seconds(3599))
    await scene.authority.maintain()
    #expect(sweeps() == 1)
    scene.clock.advance(by: .seconds(1))
    scene.store.set(.down)
    await scene.authority.maintain()
    scene.store.set(.none)
    await scene.authority.maintain()
    #expect(sweeps() == 3)
    #expect(try await keys() == ["new"])
  }

  @Test func `keeps them for more than a year unless told otherwise`() {
    #expect(SessionPolicy().noteLifetime == .seconds(400 * 86_400))
  }
}
