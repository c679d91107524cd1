import Basics
import Sessions
import Testing

@Suite struct `The authority over sessions` {
  @Test func `a sign-in makes a session that its ticket finds, also after a restart`() async throws {
    let scene = AuthorityScene()
    let result = await scene.authority.signIn(scene.grant(), replacing: nil)
    #expect(TicketHash(result.ticket.reveal()) == result.session.hash)
    expectSame(await scene.found(result.ticket.hash), result.session)
    guard case .found(let reloaded) = await scene.another().session(for: result.ticket.hash) else {
      Issue.record("lost")
      return
    }
    expectSame(reloaded, result.session)
  }

  @Test func `an unknown ticket stays unknown and is never taken up`() async {
    let scene = AuthorityScene()
    let planted = Ticket.make().hash
    guard case .unknown = await scene.authority.session(for: planted) else {
      Issue.record("known")
      return
    }
    let ticket = await scene.signIn(replacing: planted)
    #expect(ticket != planted)
    #expect(await scene.found(planted) == nil)
  }

  @Test func `a thousand questions for one ticket at once ask the store once`() async {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let fresh = scene.another()
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<1000 {
        group.addTask { if case .found = await fresh.session(for: ticket) { true } else { false } }
      }
      for await isFound in group { #expect(isFound) }
    }
    #expect(scene.store.loads.count == 1)
  }

  @Test func `without use a session ends after the idle timeout, and asking is no use`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    for _ in 0..<29 {
      scene.clock.advance(by: .seconds(60))
      #expect(await scene.found(ticket) != nil)
    }
    scene.clock.advance(by: .seconds(60))
    #expect(await scene.found(ticket) == nil)
    #expect(try await scene.store.inner.load(ticket) == nil)
    guard case .ended(ticket, .timedOut) = scene.changes.items.last else {
      Issue.record("not told")
      return
    }
  }

  @Test func `with use it goes on until the absolute timeout`() async {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    for _ in 0..<(12 * 3 - 1) {
      scene.clock.advance(by: .seconds(1200))
      await scene.authority.touch(ticket, at: scene.clock.now)
      #expect(await scene.found(ticket) != nil)
    }
    scene.clock.advance(by: .seconds(1200))
    await scene.authority.touch(ticket, at: scene.clock.now)
    #expect(await scene.found(ticket) == nil)
  }

  @Test func `a use that comes too late does not bring a session back, nor does one from the future keep it`()
    async
  {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    await scene.authority.touch(ticket, at: scene.clock.now + .seconds(100_000))
    scene.clock.advance(by: .seconds(1800))
    await scene.authority.touch(ticket, at: scene.clock.now)
    #expect(await scene.found(ticket) == nil)
  }

  @Test func `uses reach the store together, so that a restart does not shorten the session`() async {
    let scene = AuthorityScene()
    let (one, two) = (await scene.signIn(), await scene.signIn(.bob))
    scene.clock.advance(by: .seconds(1700))
    for ticket in [one, two, one] { await scene.authority.touch(ticket, at: scene.clock.now) }
    #expect(!scene.store.log.items.contains { $0.hasPrefix("touch") })
    await scene.authority.maintain()
    #expect(scene.store.log.items.filter { $0.hasPrefix("touch") } == ["touch 2"])
    scene.clock.advance(by: .seconds(1700))
    guard case .found = await scene.another().session(for: one) else {
      Issue.record("timed out")
      return
    }
  }

  @Test func `maintenance ends what timed out, and sweeps it from the store a little later`() async throws {
    let scene = AuthorityScene()
    let (old, used) = (await scene.signIn(), await scene.signIn(.bob))
    scene.clock.advance(by: .seconds(1000))
    await scene.authority.touch(used, at: scene.clock.now)
    scene.clock.advance(by: .seconds(800))
    await scene.authority.maintain()
    #expect(await scene.authority.countInMemory == 1)
    guard case .ended(old, .timedOut) = scene.changes.items.last else {
      Issue.record("not told")
      return
    }
    scene.clock.advance(by: .seconds(120))
    await scene.authority.maintain()
    #expect(try await scene.store.inner.load(old) == nil)
    #expect(try await scene.store.inner.load(used) != nil)
  }

  @Test func `memory is bounded, and what had to go comes back from the store with its latest use`() async {
    let scene = AuthorityScene(policy: SessionPolicy(memoryCapacity: 10))
    var tickets: [TicketHash] = []
    for _ in 0..<25 { tickets.append(await scene.signIn()) }
    #expect(await scene.authority.countInMemory == 10)
    scene.clock.advance(by: .seconds(1000))
    await scene.authority.touch(tickets[0], at: scene.clock.now)
    scene.clock.advance(by: .seconds(1000))
    #expect(await scene.found(tickets[0]) != nil)
    #expect(await scene.found(tickets[1]) == nil)
  }

  @Test func `a new sign-in gets a new ticket and carries over what else was fetched`() async throws {
    let scene = AuthorityScene()
    let old = await scene.signIn()
    #expect(await scene.authority.token(for: old, resource: .files).word == "files-1")
    var grant = scene.grant(refreshToken: "second")
    grant.extraScopes = [.tools: ["admin"]]
    let result = await scene.authority.signIn(grant, replacing: old)
    #expect(result.session.hash != old && result.previous?.hash == old && !result.userChanged)
    #expect(result.session.tokens[.files]?.secret == Secret("files-1"))
    #expect(result.session.refreshToken == Secret("second"))
    #expect(result.session.extraScopes == [.tools: ["admin"]])
    #expect(try await scene.store.inner.count() == 1)
    guard case .replaced(old, let new) = scene.changes.items.last else {
      Issue.record("not told")
      return
    }
    #expect(new.hash == result.session.hash)
  }

  @Test func `the old ticket stands for the new session for half a minute only`() async {
    let scene = AuthorityScene()
    let old = await scene.signIn()
    let new = await scene.signIn(replacing: old)
    scene.clock.advance(by: .milliseconds(29_999))
    #expect(await scene.found(old)?.hash == new)
    scene.clock.advance(by: .milliseconds(1))
    #expect(await scene.found(old) == nil)
    #expect(await scene.found(new) != nil)
  }

  @Test func `a resource that needs more scopes loses its old token, unless the sign-in brought one`() async {
    let scene = AuthorityScene()
    let old = await scene.signIn()
    _ = await scene.authority.token(for: old, resource: .files)
    let more = SignInGrant(user: .alice, refreshToken: Secret("second"), extraScopes: [.files: ["write"]])
    let result = await scene.authority.signIn(more, replacing: old)
    #expect(result.session.tokens.keys.map(\.name) == ["tools"])
    _ = await scene.authority.token(for: result.ticket.hash, resource: .files)
    #expect(scene.refresher.requests.items.last?.extraScopes == ["write"])
  }

  @Test func `another user takes over nothing`() async {
    let scene = AuthorityScene()
    let alice = await scene.signIn()
    _ = await scene.authority.token(for: alice, resource: .files)
    var grant = scene.grant(.bob, refreshToken: nil)
    grant.tokens = [:]
    let result = await scene.authority.signIn(grant, replacing: alice)
    #expect(result.userChanged && result.session.tokens.isEmpty && result.session.refreshToken == nil)
    #expect(await scene.found(alice) == nil)
    guard case .ended(alice, .userChanged) = scene.changes.items.dropLast().last else {
      Issue.record("not told")
      return
    }
  }

  @Test func `two tabs that finish with the same old ticket both have a live session`() async {
    let scene = AuthorityScene()
    let old = await scene.signIn()
    async let one = scene.signIn(replacing: old)
    async let two = scene.signIn(replacing: old)
    let tickets = await [one, two]
    scene.clock.advance(by: .seconds(60))
    for ticket in tickets { #expect(await scene.found(ticket)?.hash == ticket) }
  }

  @Test func `an ended session is gone from memory and store and hands out its last state`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let last = await scene.authority.end(ticket)
    #expect(last?.refreshToken == Secret("first"))
    #expect(await scene.found(ticket) == nil)
    #expect(try await scene.store.inner.count() == 0)
    #expect(await scene.authority.end(ticket) == nil)
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "unknown session")
  }

  @Test func `a session that is being read while it is ended does not come back`() async {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let fresh = scene.another()
    let gate = Gate()
    scene.store.holdLoads(gate)
    async let answer = fresh.session(for: ticket)
    await scene.store.loads.reaches(1)
    async let end: Void = fresh.endAll(of: .alice)
    // It reads what it ends, too.
    await scene.store.loads.reaches(2)
    scene.store.holdLoads(nil)
    await gate.open()
    await end
    guard case .unknown = await answer else {
      Issue.record("came back")
      return
    }
    #expect(await fresh.countInMemory == 0)
  }

  @Test func `all sessions of a user, or of a provider's session, end together, in memory or not`()
    async throws
  {
    let scene = AuthorityScene()
    let (a1, a2, b) = (
      await scene.signIn(sid: "s1"), await scene.signIn(sid: "s2"), await scene.signIn(.bob, sid: "s1b")
    )
    let fresh = scene.another()
    guard case .found = await fresh.session(for: a2) else {
      Issue.record("lost")
      return
    }
    await fresh.endAll(issuer: "https://id.example", sid: "s1")
    #expect(try await scene.store.inner.load(a1) == nil)
    await fresh.endAll(of: .alice)
    guard case .unknown = await fresh.session(for: a2), case .found = await fresh.session(for: b) else {
      Issue.record("wrong sessions")
      return
    }
  }
}
