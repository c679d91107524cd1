import Basics
import Sessions
import Testing

/// Ends that somebody asks for: which sessions they are, and what is told of them.
@Suite struct EndingTests {
  private let issuer = UserKey.alice.issuer

  /// Alice twice from one session at the provider, once from another, once from nobody knows which; Bob once.
  private struct People {
    let scene = AuthorityScene()
    let first: TicketHash
    let second: TicketHash
    let elsewhere: TicketHash
    let nameless: TicketHash
    let bob: TicketHash

    init() async {
      first = await scene.signIn(sid: "s1")
      second = await scene.signIn(sid: "s1")
      elsewhere = await scene.signIn(sid: "s2")
      nameless = await scene.signIn()
      bob = await scene.signIn(.bob, sid: "s1")
    }

    var all: Set<TicketHash> { [first, second, elsewhere, nameless, bob] }
  }

  @Test(arguments: [true, false])
  func `exactly those that are meant end, in memory or in the store alone`(isInMemory: Bool) async throws {
    let cases: [(String, (People) -> SessionSelection, (People) -> Set<TicketHash>)] = [
      ("one", { .session($0.first) }, { [$0.first] }),
      ("a user", { _ in .user(.alice) }, { [$0.first, $0.second, $0.elsewhere, $0.nameless] }),
      ("nobody", { _ in .user(UserKey(issuer: "x", subject: "y")) }, { _ in [] }),
      (
        "a provider's session", { _ in .providerSession(issuer: UserKey.alice.issuer, sid: "s1", of: nil) },
        { [$0.first, $0.second, $0.bob] }
      ),
      (
        "a provider's session of a user",
        { _ in .providerSession(issuer: UserKey.alice.issuer, sid: "s1", of: .alice) },
        { [$0.first, $0.second, $0.nameless] }
      ),
      ("another issuer's", { _ in .providerSession(issuer: "https://x", sid: "s1", of: nil) }, { _ in [] }),
    ]
    for (name, selection, expected) in cases {
      let people = await People()
      let authority = isInMemory ? people.scene.authority : people.scene.another()
      let ended = await authority.end(selection(people), because: .backChannel)
      #expect(Set(ended.sessions.map(\.hash)) == expected(people), "\(name)")
      #expect(ended.isComplete)
      for hash in people.all {
        let isThere = try await people.scene.store.inner.load(hash) != nil
        #expect(isThere == !expected(people).contains(hash), "\(name)")
      }
      // With their last state, for what has to be done at the provider.
      #expect(ended.sessions.allSatisfy { $0.refreshToken != nil })
    }
  }

  @Test func `each end is told with its reason`() async {
    let people = await People()
    _ = await people.scene.authority.end(.user(.bob), because: .frontChannel)
    guard case .ended(people.bob, .frontChannel) = people.scene.changes.items.last else {
      Issue.record("\(String(describing: people.scene.changes.items.last))")
      return
    }
  }

  @Test func `when the store is down it is said, memory ends at once, and the store follows`() async throws {
    let people = await People()
    let (scene, store) = (people.scene, people.scene.store)
    store.set(.down)
    let ended = await scene.authority.end(.user(.alice), because: .backChannel)
    #expect(!ended.isComplete && ended.sessions.count == 4)
    for hash in [people.first, people.elsewhere] {
      guard case .unknown = await scene.authority.session(for: hash) else {
        Issue.record("still there")
        return
      }
    }
    store.set(.none)
    await scene.authority.maintain()
    #expect(try await store.inner.count() == 1)
  }

  @Test func `all or none end together, and each page is seen before`() async throws {
    let people = await People()
    let (scene, store) = (people.scene, people.scene.store)
    let seen = Journal<Session>()
    let each: @Sendable ([Session]) -> Void = { for session in $0 { seen.note(session) } }
    store.set(.down)
    await #expect(throws: StoreError.self) {
      _ = try await scene.authority.endEverySession(because: .revoked, each: each)
    }
    store.set(.none)
    guard case .found = await scene.authority.session(for: people.first) else {
      Issue.record("ended although the store was down")
      return
    }
    #expect(try await scene.authority.endEverySession(because: .revoked, each: each) == 5)
    #expect(Set(seen.items.map(\.hash)) == people.all)
    #expect(try await store.inner.count() == 0)
    for hash in people.all {
      guard case .unknown = await scene.authority.session(for: hash) else {
        Issue.record("still there")
        return
      }
    }
  }

  @Test func `a page shows the newest that is known, and nothing that is over`() async throws {
    let people = await People()
    let scene = people.scene
    scene.clock.advance(by: .seconds(600))
    await scene.authority.touch(people.first, at: scene.clock.now)
    let page = try await scene.authority.page(after: nil, limit: 10)
    #expect(Set(page.sessions.map(\.hash)) == people.all && page.next == nil)
    #expect(page.sessions.first { $0.hash == people.first }?.lastSeenAt == scene.clock.now)
    scene.clock.advance(by: .seconds(1500))
    #expect(try await scene.authority.page(after: nil, limit: 10).sessions.map(\.hash) == [people.first])
  }

  @Test func `both timeouts are told apart`() async throws {
    for (policy, seconds, reason) in [
      (SessionPolicy(idleTimeout: .seconds(60), absoluteTimeout: .seconds(600)), 61, EndReason.timedOut),
      (SessionPolicy(idleTimeout: .seconds(600), absoluteTimeout: .seconds(600)), 601, .expired),
    ] {
      let scene = AuthorityScene(policy: policy)
      let ticket = await scene.signIn()
      scene.clock.advance(by: .seconds(seconds))
      await scene.authority.maintain()
      guard case .ended(ticket, reason) = scene.changes.items.last else {
        Issue.record("\(String(describing: scene.changes.items.last))")
        return
      }
    }
  }

  @Test func `a session's name for operators is read back, and nothing else is`() {
    let hash = Ticket.make().hash
    #expect(TicketHash(text: hash.text) == hash && hash.text.count == 64)
    #expect(TicketHash(text: hash.text.uppercased()) == hash)
    #expect(hash.text.hasPrefix(hash.description))
    for text in ["", String(hash.text.dropLast()), hash.text + "0", String(repeating: "g", count: 64)] {
      #expect(TicketHash(text: text) == nil)
    }
  }
}
