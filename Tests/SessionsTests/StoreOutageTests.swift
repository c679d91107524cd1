import Basics
import Sessions
import Testing

@Suite struct `While the store fails` {
  @Test func `sessions in memory go on, are refreshed, and are saved when it is back`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    scene.store.set(.down)
    scene.clock.advance(by: .seconds(1000))
    await scene.authority.touch(ticket, at: scene.clock.now)
    #expect(await scene.found(ticket) != nil)
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "files-1")
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "files-1")
    #expect(scene.failures.items == [.unavailable("disk I/O error")])
    await scene.authority.maintain()
    scene.store.set(.none)
    await scene.authority.maintain()
    let stored = try #require(try await scene.store.inner.load(ticket))
    #expect(stored.refreshToken == Secret("refresh-1") && stored.tokens[.files]?.secret == Secret("files-1"))
    #expect(stored.lastSeenAt == scene.clock.now)
  }

  @Test func `a sign-in works, and its session is saved when the store is back`() async throws {
    let scene = AuthorityScene()
    let old = await scene.signIn()
    scene.store.set(.down)
    let ticket = await scene.signIn(replacing: old)
    #expect(await scene.found(ticket) != nil)
    scene.store.set(.none)
    await scene.authority.maintain()
    #expect(try await scene.store.inner.load(ticket) != nil)
    #expect(try await scene.store.inner.load(old) == nil)
  }

  @Test func `a ticket that is not in memory is neither known nor unknown`() async {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let fresh = scene.another()
    scene.store.set(.down)
    guard case .unavailable = await fresh.session(for: ticket) else {
      Issue.record("answered")
      return
    }
    #expect(
      await fresh.token(for: ticket, resource: .tools).word == "transient: the session store is unavailable")
    scene.store.set(.none)
    guard case .found = await fresh.session(for: ticket) else {
      Issue.record("lost")
      return
    }
  }

  @Test func `a sign-out holds, and is carried out when the store is back`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    scene.store.set(.down)
    #expect(await scene.authority.end(ticket) != nil)
    scene.store.set(.none)
    guard case .unknown = await scene.authority.session(for: ticket) else {
      Issue.record("came back")
      return
    }
    await scene.authority.maintain()
    #expect(try await scene.store.inner.load(ticket) == nil)
  }

  @Test func `ending all sessions of a user holds, but not for a session that begins afterwards`()
    async throws
  {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let fresh = scene.another()
    scene.store.set(.down)
    await fresh.endAll(of: .alice)
    let later = await fresh.signIn(scene.grant(), replacing: nil).ticket.hash
    scene.store.set(.none)
    guard case .unknown = await fresh.session(for: ticket), case .found = await fresh.session(for: later)
    else {
      Issue.record("wrong sessions")
      return
    }
    await fresh.maintain()
    #expect(try await scene.store.inner.load(ticket) == nil)
    #expect(try await scene.store.inner.load(later) != nil)
  }

  @Test func `sessions that are not saved stay in memory beyond its bound`() async {
    let scene = AuthorityScene(policy: SessionPolicy(memoryCapacity: 3))
    scene.store.set(.down)
    var tickets: [TicketHash] = []
    for _ in 0..<6 { tickets.append(await scene.signIn()) }
    for ticket in tickets { #expect(await scene.found(ticket) != nil) }
  }

  @Test func `uses are not lost, and nothing is swept before they are written`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(1500))
    await scene.authority.touch(ticket, at: scene.clock.now)
    scene.store.set(.down)
    await scene.authority.maintain()
    #expect(!scene.store.log.items.contains("sweep"))
    scene.clock.advance(by: .seconds(1500))
    scene.store.set(.none)
    await scene.authority.maintain()
    #expect(scene.store.log.items.contains("sweep"))
    #expect(try await scene.store.inner.load(ticket) != nil)
  }
}
