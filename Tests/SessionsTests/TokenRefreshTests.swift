import Basics
import Sessions
import Testing

@Suite struct `Tokens of a session` {
  @Test func `a fresh token is handed out without asking anybody`() async {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    #expect(scene.refresher.calls.count == 0)
  }

  @Test func `a thousand callers that meet one expired token share one refresh, and all get the new one`()
    async
  {
    let scene = AuthorityScene(policy: SessionPolicy(idleTimeout: .seconds(36_000)))
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(3600))
    let authority = scene.authority
    let words = await withTaskGroup(of: String.self) { group in
      for _ in 0..<1000 { group.addTask { await authority.token(for: ticket, resource: .tools).word } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(words == Array(repeating: "tools-1", count: 1000))
    #expect(scene.refresher.calls.count == 1)
  }

  @Test func `a thousand callers share a refresh that fails, too`() async {
    let scene = AuthorityScene(refresher: ScriptedRefresher { _, _ in .busy })
    let ticket = await scene.signIn()
    let authority = scene.authority
    let words = await withTaskGroup(of: String.self) { group in
      for _ in 0..<1000 { group.addTask { await authority.token(for: ticket, resource: .files).word } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(words == Array(repeating: "transient: 503", count: 1000))
    #expect(scene.refresher.calls.count == 1)
  }

  @Test func `two resources take turns with the one refresh token, and reuse is never seen`() async {
    let provider = ReuseDetectingProvider(first: "first")
    let scene = AuthorityScene(tokens: provider)
    let ticket = await scene.signIn()
    let resources = (0..<10).map { ResourceKey("resource-\($0)") }
    let authority = scene.authority
    let words = await withTaskGroup(of: String.self) { group in
      for resource in resources {
        for _ in 0..<5 { group.addTask { await authority.token(for: ticket, resource: resource).word } }
      }
      return await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(words.count == 10 && words.allSatisfy { $0.hasPrefix("resource-") })
    #expect(await provider.refreshes == 10)
    #expect(await scene.found(ticket)?.refreshToken == Secret("rotated-10"))
  }

  @Test func `a provider that does not rotate keeps its refresh token in use`() async {
    let scene = AuthorityScene(refresher: ScriptedRefresher { _, call in .renewed("token-\(call)") })
    let ticket = await scene.signIn()
    _ = await scene.authority.token(for: ticket, resource: .files)
    #expect(await scene.found(ticket)?.refreshToken == Secret("first"))
  }

  @Test func `a caller that is cancelled does not end the refresh`() async throws {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return Task.isCancelled ? .busy : .renewed("new", refreshToken: "second")
      })
    let ticket = await scene.signIn()
    let authority = scene.authority
    let caller = Task { await authority.token(for: ticket, resource: .files).word }
    await scene.refresher.calls.reaches(1)
    caller.cancel()
    await gate.open()
    #expect(await caller.value == "new")
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "new")
    #expect(scene.refresher.calls.count == 1)
    #expect(try await scene.store.inner.load(ticket)?.refreshToken == Secret("second"))
  }

  @Test func `soon before its end the old token is served while the next is fetched, once`() async {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return .renewed("new")
      }, policy: SessionPolicy(idleTimeout: .seconds(36_000)))
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(3300))
    for _ in 0..<20 { #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial") }
    await gate.open()
    await scene.updates.reaches(2)
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "new")
    #expect(scene.refresher.calls.count == 1)
  }

  @Test func `a failed refresh in the background leaves the old token in use and is not repeated at once`()
    async
  {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in .busy }, policy: SessionPolicy(idleTimeout: .seconds(36_000)))
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(3300))
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    await scene.authority.shutdown()
    for _ in 0..<10 { #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial") }
    await scene.authority.shutdown()
    #expect(scene.refresher.calls.count == 1)
    scene.clock.advance(by: .seconds(1))
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    await scene.authority.shutdown()
    #expect(scene.refresher.calls.count == 2)
  }

  @Test(arguments: [
    RefreshOutcome.transient(retryAfter: nil, detail: "503"), .misconfigured(detail: "invalid_client"),
    .interactionRequired(ProviderRefusal(error: "interaction_required")),
  ])
  func `an overdue token still serves when the refresh fails, an expired one does not`(
    outcome: RefreshOutcome
  ) async {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in RefreshAnswer(outcome) },
      policy: SessionPolicy(idleTimeout: .seconds(36_000)))
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(3541))
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    scene.clock.advance(by: .seconds(60))
    let word = await scene.authority.token(for: ticket, resource: .tools).word
    #expect(["transient: 503", "misconfigured: invalid_client", "interaction_required"].contains(word))
    let session = await scene.found(ticket)
    #expect(session?.refreshToken == Secret("first") && session?.state == .active)
    scene.clock.advance(by: .seconds(60))
    scene.refresher.answer { _, _ in .renewed("later") }
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "later")
  }

  @Test func `a provider that asks for a pause gets it, up to two minutes`() async {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        RefreshAnswer(.transient(retryAfter: .seconds(86_400), detail: "429"))
      })
    let ticket = await scene.signIn()
    for seconds in [0, 119] as [Int64] {
      scene.clock.advance(by: .seconds(seconds))
      guard case .transient(let pause, "429") = await scene.authority.token(for: ticket, resource: .files)
      else {
        Issue.record("no pause")
        return
      }
      #expect(pause == .seconds(120 - seconds))
    }
    #expect(scene.refresher.calls.count == 1)
    scene.clock.advance(by: .seconds(1))
    _ = await scene.authority.token(for: ticket, resource: .files)
    #expect(scene.refresher.calls.count == 2)
  }

  @Test func `a refusal of one resource is remembered for a minute and leaves the others alone`() async {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { request, _ in
        request.resource == .files
          ? RefreshAnswer(.interactionRequired(ProviderRefusal(error: "consent_required")))
          : .renewed("other")
      })
    let ticket = await scene.signIn()
    for _ in 0..<5 {
      #expect(await scene.authority.token(for: ticket, resource: .files).word == "consent_required")
    }
    #expect(scene.refresher.calls.count == 1)
    #expect(await scene.authority.token(for: ticket, resource: ResourceKey("third")).word == "other")
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    let again = await scene.signIn(replacing: ticket)
    scene.refresher.answer { _, _ in .renewed("consented") }
    #expect(await scene.authority.token(for: again, resource: .files).word == "consented")
  }

  @Test func `an ended grant ends the tokens and keeps the identity`() async throws {
    let scene = AuthorityScene(refresher: ScriptedRefresher { _, _ in .refused })
    let ticket = await scene.signIn()
    guard case .needsSignIn(let session) = await scene.authority.token(for: ticket, resource: .files) else {
      Issue.record("no sign-in asked for")
      return
    }
    #expect(session.user == .alice && session.profile.name == "Alice")
    #expect(session.tokens.isEmpty && session.refreshToken == nil)
    #expect(session.state == .needsSignIn("invalid_grant"))
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "needs sign-in")
    #expect(scene.refresher.calls.count == 1)
    #expect(try await scene.store.inner.load(ticket)?.state == .needsSignIn("invalid_grant"))
    #expect(await scene.found(ticket) != nil)
  }

  @Test func `without a refresh token a session works until its token ends, then needs a sign-in`() async {
    let scene = AuthorityScene(policy: SessionPolicy(idleTimeout: .seconds(36_000)))
    let ticket = await scene.signIn(refreshToken: nil)
    scene.clock.advance(by: .seconds(3599))
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    scene.clock.advance(by: .seconds(1))
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "needs sign-in")
    #expect(scene.refresher.calls.count == 0)
  }

  @Test func `twenty callers that had the same token rejected share one forced refresh`() async {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let authority = scene.authority
    let words = await withTaskGroup(of: String.self) { group in
      for _ in 0..<20 {
        group.addTask {
          await authority.token(for: ticket, resource: .tools, rejected: Secret("initial")).word
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(words == Array(repeating: "tools-1", count: 20))
    #expect(
      await authority.token(for: ticket, resource: .tools, rejected: Secret("initial")).word == "tools-1")
    #expect(scene.refresher.calls.count == 1)
    for _ in 0..<3 {
      let word = await authority.token(for: ticket, resource: .tools, rejected: Secret("tools-1")).word
      #expect(word == "rejected again")
    }
    #expect(scene.refresher.calls.count == 1)
  }

  @Test func `a provider that answers a forced refresh with the same token is not asked forever`() async {
    let scene = AuthorityScene(refresher: ScriptedRefresher { _, _ in .renewed("initial") })
    let ticket = await scene.signIn()
    for _ in 0..<3 {
      let word = await scene.authority.token(for: ticket, resource: .tools, rejected: Secret("initial")).word
      #expect(word == "rejected again")
    }
    #expect(scene.refresher.calls.count == 1)
  }

  @Test func `claims of a challenge go to the provider`() async {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let claims = #"{"access_token":{"nbf":{"essential":true}}}"#
    #expect(await scene.authority.token(for: ticket, resource: .tools, claims: claims).word == "tools-1")
    #expect(scene.refresher.requests.items.map(\.claims) == [claims])
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "tools-1")
  }

  @Test func `refreshes of different sessions run side by side`() async {
    let gate = Gate()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return .renewed("new")
      })
    let (one, two) = (await scene.signIn(), await scene.signIn(.bob))
    let authority = scene.authority
    async let first = authority.token(for: one, resource: .files).word
    async let second = authority.token(for: two, resource: .files).word
    await scene.refresher.calls.reaches(2)
    await gate.open()
    #expect(await [first, second] == ["new", "new"])
    #expect(scene.refresher.mostAtOnce == 2)
  }
}
