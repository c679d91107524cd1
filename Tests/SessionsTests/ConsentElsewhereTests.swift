import Basics
import Sessions
import Testing

@Suite struct `A consent that was given in another browser` {
  /// What a consent for `files` brings: a new refresh token, and the scope `write`.
  private func consent(_ scene: AuthorityScene, _ user: UserKey = .alice, token: String? = "widened")
    -> SignInGrant
  {
    SignInGrant(
      user: user, profile: UserProfile(name: "Alice A."), refreshToken: Secret("second"),
      grantedScopes: ["openid", "read", "write"],
      tokens: token.map {
        [
          .files: TokenGrant(
            accessToken: Secret($0), expiresIn: .seconds(3600), scopes: ["read", "write"])
        ]
      } ?? [:],
      extraScopes: [.files: ["write"]])
  }

  /// A session with a token each for `tools` and `files`.
  private func signIn(_ scene: AuthorityScene, extra: [ResourceKey: [String]] = [:]) async -> TicketHash {
    var grant = scene.grant()
    grant.grantedScopes = ["openid", "read"]
    grant.tokens[.files] = TokenGrant(accessToken: Secret("narrow"), expiresIn: .seconds(3600))
    grant.extraScopes = extra
    return await scene.authority.signIn(grant, replacing: nil).ticket.hash
  }

  @Test func `widens the session under the ticket that it has, in memory and in the store`() async throws {
    let scene = AuthorityScene()
    let ticket = await signIn(scene)
    let before = try #require(await scene.found(ticket))
    scene.clock.advance(by: .seconds(600))
    let session = try #require(await scene.authority.extend(ticket, with: consent(scene)))
    #expect(session.hash == ticket && session.generation == 2 && session.createdAt == before.createdAt)
    #expect(session.refreshToken == Secret("second") && session.grantedScopes == ["openid", "read", "write"])
    #expect(session.tokens[.files]?.secret == Secret("widened"))
    #expect(session.tokens[.files]?.expiresAt == scene.clock.now + .seconds(3600))
    #expect(session.tokens[.tools]?.secret == Secret("initial"), "another resource's token stays")
    #expect(session.profile.name == "Alice A.")
    expectSame(await scene.found(ticket), session)
    expectSame(try await scene.store.inner.load(ticket), session)
    #expect(try await scene.store.inner.count() == 1)
    guard case .updated(let told) = scene.changes.items.last, scene.changes.items.count == 2 else {
      Issue.record("told something else")
      return
    }
    expectSame(told, session)
    guard case .found(let reloaded) = await scene.another().session(for: ticket) else {
      Issue.record("lost at a restart")
      return
    }
    expectSame(reloaded, session)
  }

  @Test func `keeps the refresh token where it brings none`() async throws {
    let scene = AuthorityScene()
    let ticket = await signIn(scene)
    var grant = consent(scene)
    grant.refreshToken = nil
    #expect(await scene.authority.extend(ticket, with: grant)?.refreshToken == Secret("first"))
  }

  @Test func `adds to the scopes that were asked for before, each once, and the next refresh asks for all`()
    async throws
  {
    let scene = AuthorityScene()
    let ticket = await signIn(scene, extra: [.files: ["admin"], .tools: ["run"]])
    let session = try #require(await scene.authority.extend(ticket, with: consent(scene, token: nil)))
    #expect(session.extraScopes == [.files: ["admin", "write"], .tools: ["run"]])
    #expect(session.tokens[.files] == nil, "a token without the scope would only be refused again")
    #expect(session.tokens[.tools]?.secret == Secret("initial"))
    _ = await scene.authority.token(for: ticket, resource: .files)
    #expect(scene.refresher.requests.items.map(\.extraScopes) == [["admin", "write"]])
    #expect(scene.refresher.requests.items.map(\.refreshToken) == [Secret("second")])
    // What is known already drops nothing.
    let again = await scene.authority.extend(ticket, with: consent(scene, token: nil))
    #expect(again?.extraScopes[.files] == ["admin", "write"] && again?.tokens[.files] != nil)
  }

  @Test func `drops a token that is of no use any more, unless it brings the next`() async {
    let scene = AuthorityScene()
    let ticket = await signIn(scene)
    var grant = consent(scene)
    grant.extraScopes = [:]
    grant.renewed = [.files, .tools]
    let session = await scene.authority.extend(ticket, with: grant)
    #expect(session?.tokens[.files]?.secret == Secret("widened") && session?.tokens[.tools] == nil)
  }

  @Test func `asks again for what was taken back, as far as it was agreed to anew`() async throws {
    let scene = AuthorityScene()
    let ticket = await signIn(scene)
    await scene.authority.revoke(["write", "erase"], of: .files, for: .alice)
    #expect(await scene.found(ticket)?.withheldScopes == ["write", "erase"])
    #expect(await scene.authority.extend(ticket, with: consent(scene))?.withheldScopes == ["erase"])
    #expect(try await scene.store.inner.load(ticket)?.withheldScopes == ["erase"])
  }

  @Test func `brings back a session whose grant the provider had ended, and forgets why tokens failed`()
    async
  {
    let scene = AuthorityScene(refresher: ScriptedRefresher { _, _ in .refused })
    let ticket = await signIn(scene)
    let third = ResourceKey("third")
    #expect(await scene.authority.token(for: ticket, resource: third).word == "needs sign-in")
    #expect(await scene.authority.extend(ticket, with: consent(scene))?.state == .active)
    scene.refresher.answer { _, _ in
      RefreshAnswer(.interactionRequired(ProviderRefusal(error: "interaction_required")))
    }
    #expect(await scene.authority.token(for: ticket, resource: third).word == "interaction_required")
    scene.refresher.answer { _, _ in .renewed("new") }
    #expect(await scene.authority.token(for: ticket, resource: third).word == "interaction_required")
    _ = await scene.authority.extend(ticket, with: consent(scene))
    #expect(await scene.authority.token(for: ticket, resource: third).word == "new")
  }

  @Test func `changes nothing for another user, nor where there is no session`() async throws {
    let scene = AuthorityScene()
    let ticket = await signIn(scene)
    let before = try #require(await scene.found(ticket))
    #expect(await scene.authority.extend(ticket, with: consent(scene, .bob)) == nil)
    expectSame(await scene.found(ticket), before)
    expectSame(try await scene.store.inner.load(ticket), before)
    #expect(await scene.authority.extend(Ticket.make().hash, with: consent(scene)) == nil)
    _ = await scene.authority.end(ticket)
    #expect(await scene.authority.extend(ticket, with: consent(scene)) == nil)
    #expect(try await scene.store.inner.count() == 0)
  }

  @Test func `brings nothing back when the session ends while it is saved`() async throws {
    let scene = AuthorityScene()
    let gate = Gate()
    let ticket = await signIn(scene)
    scene.store.holdSaves(gate)
    let (authority, grant) = (scene.authority, consent(scene))
    let extending = Task { await authority.extend(ticket, with: grant) }
    await scene.store.saves.reaches(1)
    #expect(await authority.end(ticket) != nil)
    await gate.open()
    #expect(await extending.value == nil)
    #expect(await scene.found(ticket) == nil)
    #expect(try await scene.store.inner.count() == 0)
  }

  @Test func `counts in memory while the store fails, and is saved when it is back`() async throws {
    let scene = AuthorityScene()
    let ticket = await signIn(scene)
    scene.store.set(.down)
    let session = try #require(await scene.authority.extend(ticket, with: consent(scene)))
    #expect(scene.failures.items == [.unavailable("disk I/O error")])
    expectSame(await scene.found(ticket), session)
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "widened")
    #expect(try await scene.store.inner.load(ticket)?.tokens[.files]?.secret == Secret("narrow"))
    scene.store.set(.none)
    await scene.authority.maintain()
    let stored = try #require(try await scene.store.inner.load(ticket))
    #expect(stored.tokens[.files]?.secret == Secret("widened") && stored.refreshToken == Secret("second"))
    #expect(stored.extraScopes == [.files: ["write"]])
  }

  @Test func `waits for a refresh that is under way, whose refresh token does not take the place of its own`()
    async throws
  {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return .renewed("late", refreshToken: "rotated")
      })
    let ticket = await signIn(scene)
    let third = ResourceKey("third")
    let (authority, grant) = (scene.authority, consent(scene))
    let caller = Task { await authority.token(for: ticket, resource: third).word }
    await scene.refresher.calls.reaches(1)
    let extending = Task { await authority.extend(ticket, with: grant) }
    // Long enough for it to be done, if it did not wait.
    for _ in 0..<100 { #expect(await scene.found(ticket)?.generation == 1) }
    #expect(scene.store.saves.count == 0)
    await gate.open()
    #expect(await caller.value == "late")
    let session = try #require(await extending.value)
    #expect(session.generation == 3 && session.refreshToken == Secret("second"))
    #expect(session.tokens[third]?.secret == Secret("late"), "what the refresh brought is kept")
    #expect(session.tokens[.files]?.secret == Secret("widened"))
    #expect(
      scene.store.log.items.filter { $0.hasPrefix("save") } == ["save 2 rotated", "save 3 second"])
    expectSame(try await scene.store.inner.load(ticket), session)
  }
}
