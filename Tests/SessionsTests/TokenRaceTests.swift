import Basics
import Sessions
import Testing

@Suite struct `A refresh, while something else happens` {
  @Test func `a refresh that ends after the sign-out brings nothing back, and its token is handed over`()
    async throws
  {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return .renewed("late", refreshToken: "orphan")
      })
    let ticket = await scene.signIn()
    let authority = scene.authority
    let caller = Task { await authority.token(for: ticket, resource: .files).word }
    await scene.refresher.calls.reaches(1)
    #expect(await authority.end(ticket) != nil)
    await gate.open()
    #expect(await caller.value == "unknown session")
    #expect(scene.orphans.items == [Secret("orphan")])
    #expect(await scene.found(ticket) == nil)
    #expect(try await scene.store.inner.count() == 0)
  }

  @Test func `a sign-out while the refreshed session is being saved wins too`() async throws {
    let scene = AuthorityScene()
    let gate = Gate()
    let ticket = await scene.signIn()
    scene.store.holdSaves(gate)
    let authority = scene.authority
    let caller = Task { await authority.token(for: ticket, resource: .files).word }
    await scene.store.saves.reaches(1)
    _ = await authority.end(ticket)
    await gate.open()
    #expect(await caller.value == "unknown session")
    #expect(scene.orphans.items == [Secret("refresh-1")])
    #expect(try await scene.store.inner.count() == 0)
  }

  @Test func `a refresh that ends after a new sign-in is dropped without revoking what the new one holds`()
    async
  {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return .renewed("late", refreshToken: "sibling")
      })
    let ticket = await scene.signIn()
    let authority = scene.authority
    let caller = Task { await authority.token(for: ticket, resource: .files).word }
    await scene.refresher.calls.reaches(1)
    let new = await scene.signIn(replacing: ticket, refreshToken: "second")
    await gate.open()
    #expect(await caller.value == "unknown session")
    #expect(scene.orphans.items.isEmpty)
    #expect(await scene.found(new)?.refreshToken == Secret("second"))
  }

  @Test func `a sign-in without a refresh token waits for the refresh that rotates the one it takes over`()
    async
  {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return .renewed("new", refreshToken: "rotated")
      })
    let ticket = await scene.signIn()
    let authority = scene.authority
    let caller = Task { await authority.token(for: ticket, resource: .files).word }
    await scene.refresher.calls.reaches(1)
    let signIn = Task { await scene.signIn(replacing: ticket, refreshToken: nil) }
    await gate.open()
    #expect(await caller.value == "new")
    #expect(await scene.found(await signIn.value)?.refreshToken == Secret("rotated"))
  }

  @Test func `a new refresh token is in the store before its access token is seen by anybody`() async {
    let scene = AuthorityScene()
    let gate = Gate()
    let ticket = await scene.signIn()
    scene.store.holdSaves(gate)
    let authority = scene.authority
    let caller = Task {
      let word = await authority.token(for: ticket, resource: .files).word
      scene.store.log.note("used \(word)")
    }
    await scene.store.saves.reaches(1)
    #expect(await scene.found(ticket)?.tokens[.files] == nil)
    #expect(scene.updates.count == 1)
    await gate.open()
    await caller.value
    #expect(scene.store.log.items.suffix(2) == ["save 2 refresh-1", "used files-1"])
  }

  @Test func `a refreshed ID token of another user ends the session`() async throws {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        RefreshAnswer(
          .success(
            RefreshGrant(
              token: TokenGrant(accessToken: Secret("x"), expiresIn: .seconds(60)),
              refreshToken: Secret("theirs"),
              idToken: Secret("id"), user: .bob)))
      })
    let ticket = await scene.signIn()
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "unknown session")
    #expect(try await scene.store.inner.count() == 0)
    #expect(scene.orphans.items == [Secret("theirs")])
  }

  @Test func `when another process used the refresh token, its newer one is taken up instead of a sign-out`()
    async
  {
    let provider = ReuseTolerantProvider()
    let scene = AuthorityScene(tokens: provider)
    let ticket = await scene.signIn()
    let other = scene.another(refresher: provider)
    #expect(await other.token(for: ticket, resource: .files).word == "files-1")
    #expect(await scene.authority.token(for: ticket, resource: ResourceKey("third")).word == "third-2")
    #expect(await scene.found(ticket)?.tokens[.files]?.secret == Secret("files-1"))
  }

  @Test func `a change by another process is built upon, not overwritten`() async throws {
    let scene = AuthorityScene(refresher: ScriptedRefresher { request, _ in .renewed(request.resource.name) })
    let ticket = await scene.signIn()
    let other = scene.another(refresher: ScriptedRefresher { request, _ in .renewed(request.resource.name) })
    #expect(await other.token(for: ticket, resource: .files).word == "files")
    #expect(await scene.authority.token(for: ticket, resource: ResourceKey("third")).word == "third")
    let stored = try #require(try await scene.store.inner.load(ticket))
    #expect(Set(stored.tokens.keys.map(\.name)) == ["tools", "files", "third"])
    #expect(stored.generation == 3)
  }

  @Test func `a session that another process ended ends here when it changes`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    _ = await scene.another().end(ticket)
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "unknown session")
    #expect(await scene.found(ticket) == nil)
    guard case .ended(ticket, .vanished) = scene.changes.items.last else {
      Issue.record("not told")
      return
    }
  }
}

/// Refuses a used refresh token without ending the family.
actor ReuseTolerantProvider: TokenRefresher {
  private var current = Secret("first")
  private var count = 0

  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    guard request.refreshToken == current else { return .refused }
    count += 1
    current = Secret("rotated-\(count)")
    return .renewed("\(request.resource)-\(count)", refreshToken: current.reveal())
  }
}
