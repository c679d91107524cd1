import Basics
import Sessions
import Testing

/// Tokens that come from an exchange: `files` is exchanged from `tools`.
@Suite struct `A refresh that may end in an exchange` {
  private static let refusal = ProviderRefusal(error: "invalid_grant")

  private func gains(_ refreshToken: String? = "rotated") -> RefreshGains {
    RefreshGains(
      refreshToken: refreshToken.map { Secret($0) }, idToken: Secret("new id"),
      also: [.tools: TokenGrant(accessToken: Secret("subject"), expiresIn: .seconds(7200))])
  }

  @Test func `is given the session as it is, with its other tokens`() async throws {
    let scene = AuthorityScene()
    let old = await scene.signIn()
    var grant = scene.grant()
    grant.extraScopes = [.files: ["write"]]
    let ticket = await scene.authority.signIn(grant, replacing: old).ticket.hash
    _ = await scene.authority.token(for: ticket, resource: .files, claims: "{}")
    let request = try #require(scene.refresher.requests.items.first)
    #expect(request.session.hash == ticket && request.session.tokens[.tools]?.secret == Secret("initial"))
    #expect(request.refreshToken == Secret("first") && request.user == .alice)
    #expect(request.extraScopes == ["write"] && request.resource == .files && request.claims == "{}")
  }

  @Test func `is asked without a refresh token where it needs none, and only there`() async {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher(exchanged: [.files]) { request, call in
        #expect(request.refreshToken == nil)
        return .renewed("exchanged-\(call)")
      }, policy: SessionPolicy(idleTimeout: .seconds(36_000)))
    let ticket = await scene.signIn(refreshToken: nil)
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "exchanged-1")
    let third = await scene.authority.token(for: ticket, resource: ResourceKey("third")).word
    #expect(third == "needs sign-in")
    // Due soon: fetched in the background, too.
    scene.clock.advance(by: .seconds(3300))
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "exchanged-1")
    await scene.authority.shutdown()
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "exchanged-2")
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    await scene.authority.shutdown()
    #expect(scene.refresher.calls.count == 2)
  }

  @Test func `saves the tokens that came along in one step, with times of their own`() async throws {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        RefreshAnswer(
          .success(
            RefreshGrant(
              token: TokenGrant(accessToken: Secret("exchanged"), expiresIn: .seconds(600)),
              refreshToken: Secret("rotated"),
              also: [
                .tools: TokenGrant(accessToken: Secret("subject"), expiresIn: .seconds(7200)),
                .files: TokenGrant(accessToken: Secret("not this"), expiresIn: .seconds(60)),
              ])))
      })
    let ticket = await scene.signIn()
    let now = scene.clock.now
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "exchanged")
    #expect(scene.store.log.items.suffix(1) == ["save 2 rotated"])
    let stored = try #require(try await scene.store.inner.load(ticket))
    #expect(stored.tokens[.files]?.secret == Secret("exchanged"))
    #expect(stored.tokens[.files]?.expiresAt == now + .seconds(600))
    #expect(stored.tokens[.tools]?.secret == Secret("subject"))
    #expect(stored.tokens[.tools]?.expiresAt == now + .seconds(7200))
    #expect(stored.tokens[.tools]?.softExpiry == now + .seconds(6900))
    #expect(stored.generation == 2)
  }

  @Test(arguments: [
    RefreshOutcome.transient(retryAfter: nil, detail: "503"), .misconfigured(detail: "invalid_target"),
    .interactionRequired(ProviderRefusal(error: "consent_required")),
    .subjectRefused(ProviderRefusal(error: "invalid_grant")),
    .invalidGrant(ProviderRefusal(error: "invalid_grant")),
  ])
  func `keeps what it won although the exchange failed`(outcome: RefreshOutcome) async throws {
    let gains = gains()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in RefreshAnswer(outcome, gains: gains) })
    let ticket = await scene.signIn()
    let word = await scene.authority.token(for: ticket, resource: .files).word
    #expect(
      ["transient: 503", "misconfigured: invalid_target", "consent_required", "needs sign-in"]
        .contains(word))
    let stored = try #require(try await scene.store.inner.load(ticket))
    #expect(stored.refreshToken == Secret("rotated") && stored.idToken == Secret("new id"))
    #expect(stored.tokens[.tools]?.secret == Secret("subject") && stored.tokens[.files] == nil)
    #expect(stored.state == .active)
    expectSame(await scene.found(ticket), stored)
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "subject")
    // Remembered like every failure, and tried again with the new refresh token.
    #expect(await scene.authority.token(for: ticket, resource: .files).word == word)
    #expect(scene.refresher.calls.count == 1)
    scene.clock.advance(by: .seconds(60))
    scene.refresher.answer { request, _ in .renewed("after \(request.refreshToken?.reveal() ?? "-")") }
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "after rotated")
  }

  @Test func `saves a rotated refresh token before the failure is seen by anybody`() async {
    let (gate, gains) = (Gate(), gains())
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        RefreshAnswer(.subjectRefused(Self.refusal), gains: gains)
      })
    let ticket = await scene.signIn()
    scene.store.holdSaves(gate)
    let authority = scene.authority
    let caller = Task {
      let word = await authority.token(for: ticket, resource: .files).word
      scene.store.log.note(word)
    }
    await scene.store.saves.reaches(1)
    #expect(scene.updates.count == 1)
    await gate.open()
    await caller.value
    #expect(scene.store.log.items.suffix(2) == ["save 2 rotated", "needs sign-in"])
  }

  @Test func `gains with a success are kept under what the success brings`() async {
    let gains = gains()
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        var answer = RefreshAnswer.renewed("exchanged", refreshToken: "newest")
        answer.gains = gains
        return answer
      })
    let ticket = await scene.signIn()
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "exchanged")
    let session = await scene.found(ticket)
    #expect(session?.refreshToken == Secret("newest") && session?.idToken == Secret("new id"))
    #expect(session?.tokens[.tools]?.secret == Secret("subject"))
  }

  @Test func `that is refused for good costs this resource's token only`() async throws {
    let scene = AuthorityScene(policy: SessionPolicy(idleTimeout: .seconds(36_000)))
    let ticket = await scene.signIn()
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "files-1")
    scene.refresher.answer { _, _ in RefreshAnswer(.subjectRefused(Self.refusal)) }
    for _ in 0..<3 {
      let word = await scene.authority.token(for: ticket, resource: .files, rejected: Secret("files-1")).word
      #expect(word == "needs sign-in")
    }
    #expect(scene.refresher.calls.count == 2)
    let stored = try #require(try await scene.store.inner.load(ticket))
    #expect(Array(stored.tokens.keys) == [.tools] && stored.refreshToken == Secret("refresh-1"))
    #expect(stored.state == .active)
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    // A new sign-in is tried at once.
    let again = await scene.signIn(replacing: ticket)
    scene.refresher.answer { _, _ in .renewed("new") }
    #expect(await scene.authority.token(for: again, resource: .files).word == "new")
  }

  @Test func `that is refused without a refresh token leaves the other tokens, whatever it is called`()
    async
  {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher(exchanged: [.files]) { _, _ in .refused })
    let ticket = await scene.signIn(refreshToken: nil)
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "needs sign-in")
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    #expect(await scene.found(ticket)?.state == .active)
  }

  @Test func `gains that come after the end are handed over, not kept`() async throws {
    let (gate, gains) = (Gate(), gains("orphan"))
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return RefreshAnswer(.transient(retryAfter: nil, detail: "503"), gains: gains)
      })
    let ticket = await scene.signIn()
    let authority = scene.authority
    let caller = Task { await authority.token(for: ticket, resource: .files).word }
    await scene.refresher.calls.reaches(1)
    _ = await authority.end(ticket)
    await gate.open()
    #expect(await caller.value == "unknown session")
    #expect(scene.orphans.items == [Secret("orphan")])
    #expect(try await scene.store.inner.count() == 0)
  }

  @Test func `whoever waits in line for a token that came along does not fetch it again`() async {
    let (gate, gains) = (Gate(), gains())
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, _ in
        await gate.wait()
        return RefreshAnswer(.transient(retryAfter: nil, detail: "503"), gains: gains)
      })
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(1700))
    let authority = scene.authority
    async let files = authority.token(for: ticket, resource: .files).word
    await scene.refresher.calls.reaches(1)
    async let tools = authority.token(for: ticket, resource: .tools, rejected: Secret("initial")).word
    // Time for the second caller to get in line; it has the same answer if it comes later.
    for _ in 0..<20 { await Task.yield() }
    await gate.open()
    #expect(await [files, tools] == ["transient: 503", "subject"])
    #expect(scene.refresher.calls.count == 1)
  }

  @Test func `a refused exchange takes up what another process stored meanwhile`() async {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { request, _ in
        request.refreshToken == Secret("first")
          ? RefreshAnswer(.subjectRefused(Self.refusal)) : .renewed("exchanged")
      })
    let ticket = await scene.signIn()
    _ = await scene.another().token(for: ticket, resource: .tools, rejected: Secret("initial"))
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "exchanged")
    #expect(scene.refresher.calls.count == 2)
  }
}
