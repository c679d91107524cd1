import Basics
import Sessions
import Testing

@Suite struct `After the clock was set back` {
  private let day = Duration.seconds(86_400)

  @Test func `a session in memory lives on, from now, and its token is fetched anew`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    scene.clock.advance(by: .zero - day)
    await scene.authority.maintain()
    let session = try #require(await scene.found(ticket))
    #expect(session.createdAt == scene.clock.now && session.lastSeenAt == scene.clock.now)
    #expect(session.tokens[.tools]?.issuedAt == scene.clock.now)
    #expect(session.tokens[.tools]?.expiresAt == scene.clock.now + .seconds(3600))
    // The data loops hear of it, too.
    guard case .updated(let told)? = scene.changes.items.last else {
      Issue.record("not told")
      return
    }
    #expect(told.createdAt == scene.clock.now)
    // The old one serves while the next is fetched.
    #expect(await scene.authority.token(for: ticket, resource: .tools).word == "initial")
    await scene.refresher.calls.reaches(1)
    scene.clock.advance(by: scene.authority.policy.idleTimeout)
    #expect(await scene.found(ticket) == nil)
  }

  @Test func `a session from the store lives on, from now`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let fresh = scene.another()
    scene.clock.advance(by: .zero - day)
    guard case .found(let session) = await fresh.session(for: ticket) else {
      Issue.record("lost")
      return
    }
    #expect(session.createdAt == scene.clock.now && session.lastSeenAt == scene.clock.now)
  }

  @Test func `what differs by less than a minute stays as it is`() async throws {
    let scene = AuthorityScene()
    let ticket = await scene.signIn()
    let began = scene.clock.now
    scene.clock.advance(by: .seconds(-59))
    await scene.authority.maintain()
    #expect(await scene.found(ticket)?.createdAt == began)
  }

  @Test func `a failure is forgotten after its two minutes at the latest`() async {
    let scene = AuthorityScene(
      refresher: ScriptedRefresher { _, call in call == 1 ? .busy : .renewed("files-2") })
    let ticket = await scene.signIn()
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "transient: 503")
    scene.clock.advance(by: .seconds(-1000))
    #expect(await scene.authority.token(for: ticket, resource: .files).word == "files-2")
  }

  @Test func `the store is swept all the same`() async {
    let scene = AuthorityScene()
    await scene.authority.maintain()
    func sweeps() -> Int { scene.store.log.items.filter { $0 == "sweep" }.count }
    let before = sweeps()
    scene.clock.advance(by: .zero - day)
    await scene.authority.maintain()
    #expect(sweeps() == before + 1)
  }
}
