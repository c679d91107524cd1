import Basics
import Sessions
import Testing

@Suite(.timeLimit(.minutes(1))) struct `Several processes at one store` {
  @Test func `hear of new tokens at once`() async {
    let scene = await ReplicaScene(3, FamilyProvider())
    let ticket = await scene.signIn()
    #expect(await scene.replicas[0].token(ticket, .files) == "files-1")
    for replica in scene.replicas[1...] {
      #expect(await eventually { await replica.found(ticket)?.tokens[.files]?.secret == Secret("files-1") })
      #expect(
        replica.changes.items.contains {
          if case .updated(let session) = $0 { session.generation == 2 } else { false }
        })
    }
  }

  @Test func `hear of a sign-out at once`() async {
    let scene = await ReplicaScene(3, FamilyProvider())
    let ticket = await scene.signIn()
    _ = await scene.replicas[0].authority.end(ticket)
    for replica in scene.replicas {
      #expect(await eventually { replica.ended == [ticket] })
      #expect(await replica.word(ticket) == "unknown")
    }
  }

  @Test func `tell their loops of sessions that are not in their memory`() async throws {
    let scene = await ReplicaScene(1, FamilyProvider())
    let ticket = await scene.signIn()
    let other = await scene.another(FamilyProvider())
    _ = await scene.replicas[0].token(ticket, .files)
    #expect(
      await eventually {
        other.changes.items.contains { if case .stale(ticket) = $0 { true } else { false } }
      })
    _ = await scene.replicas[0].authority.end(ticket)
    #expect(await eventually { other.ended == [ticket] })
    _ = await scene.replicas[0].authority.signIn(scene.grant(), replacing: nil)
    _ = try await scene.replicas[0].store.deleteEverySession()
    #expect(
      await eventually { other.changes.items.contains { if case .allEnded = $0 { true } else { false } } })
  }

  @Test func `all end when every session is removed`() async throws {
    let scene = await ReplicaScene(2, FamilyProvider())
    let ticket = await scene.signIn()
    _ = try await scene.replicas[0].store.deleteEverySession()
    #expect(await eventually { scene.replicas[1].ended == [ticket] })
    #expect(await scene.replicas[1].word(ticket) == "unknown")
  }

  @Test func `know an old ticket for as long as it stands for the new one`() async {
    let scene = await ReplicaScene(2, FamilyProvider())
    let old = await scene.signIn()
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    let new = await one.authority.signIn(scene.grant("second"), replacing: old).ticket.hash
    #expect(
      await eventually {
        two.changes.items.contains { if case .moved(old, new) = $0 { true } else { false } }
      })
    #expect(two.ended.isEmpty)
    let fresh = await scene.another(FamilyProvider())
    for replica in [one, two, fresh] { #expect(await replica.found(old)?.hash == new) }
    let newest = await two.authority.signIn(scene.grant("third"), replacing: new).ticket.hash
    for replica in [one, two, fresh] {
      #expect(await eventually { await replica.found(old)?.hash == newest })
      #expect(await replica.found(new)?.hash == newest)
    }
    scene.clock.advance(by: .seconds(31))
    for replica in [one, two, fresh] {
      #expect(await replica.word(old) == "unknown")
      #expect(await replica.word(newest) == "found")
    }
  }

  @Test
  func `a tab that signs in again with a ticket that was replaced elsewhere leaves the other tab's session`()
    async
  {
    let scene = await ReplicaScene(2, FamilyProvider())
    let old = await scene.signIn()
    let one = await scene.replicas[0].authority.signIn(scene.grant("second"), replacing: old).ticket.hash
    let two = await scene.replicas[1].authority.signIn(scene.grant("third"), replacing: old).ticket.hash
    for replica in scene.replicas {
      #expect(await replica.found(one)?.hash == one)
      #expect(await replica.found(two)?.hash == two)
    }
  }

  @Test func `make up for what they did not hear`() async {
    let scene = await ReplicaScene(2, FamilyProvider())
    let (kept, gone) = (await scene.signIn(), await scene.signIn())
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    two.store.setDeaf(true)
    _ = await one.authority.end(gone)
    _ = await one.token(kept, .files)
    let moved = await one.authority.signIn(scene.grant("x"), replacing: nil).ticket.hash
    #expect(await two.found(moved) != nil)
    let new = await one.authority.signIn(scene.grant("y"), replacing: moved).ticket.hash
    #expect(await two.found(kept)?.tokens[.files] == nil)
    #expect(two.ended.isEmpty)
    two.store.setDeaf(false)
    #expect(await eventually { two.ended == [gone] })
    #expect(await eventually { await two.found(kept)?.tokens[.files] != nil })
    #expect(await eventually { await two.found(moved)?.hash == new })
    #expect(two.told.items == [.interrupted, .resumed])
  }

  @Test func `read one session again when they are told that it matters`() async {
    let scene = await ReplicaScene(2, FamilyProvider())
    let (ticket, other) = (await scene.signIn(), await scene.signIn())
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    two.store.setDeaf(true)
    _ = await one.token(ticket, .files)
    _ = await one.token(other, .files)
    await two.authority.catchUp(ticket)
    #expect(await two.found(ticket)?.tokens[.files] != nil)
    #expect(await two.found(other)?.tokens[.files] == nil)
    let new = await one.authority.signIn(scene.grant("y"), replacing: other).ticket.hash
    await two.authority.catchUp(other)
    #expect(await two.found(other)?.hash == new)
  }

  @Test func `look after what is in memory now and then while they hear nothing`() async {
    let scene = await ReplicaScene(2, FamilyProvider())
    let gone = await scene.signIn()
    let two = scene.replicas[1]
    two.store.setDeaf(true)
    _ = await scene.replicas[0].authority.end(gone)
    // The notice of the interruption may still be on its way.
    #expect(
      await eventually {
        await two.authority.maintain()
        return two.ended == [gone]
      })
  }

  @Test func `do not end a session that is in use elsewhere`() async throws {
    let scene = await ReplicaScene(2, FamilyProvider(), idle: .seconds(1800))
    let ticket = await scene.signIn()
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    for _ in 0..<3 {
      scene.clock.advance(by: .seconds(1000))
      await one.authority.touch(ticket, at: scene.clock.now)
      await one.authority.maintain()
    }
    await two.authority.maintain()
    #expect(two.ended.isEmpty)
    #expect(await two.word(ticket) == "found")
    scene.clock.advance(by: .seconds(1801))
    await two.authority.maintain()
    #expect(two.ended == [ticket])
    #expect(await one.word(ticket) == "unknown")
    #expect(try await scene.memory.count() == 0)
  }
}

@Suite(.timeLimit(.minutes(1))) struct `While a shared store does not answer` {
  @Test func `sessions in memory go on for the grace, and no longer`() async {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(2, provider)
    let ticket = await scene.signIn()
    let stranger = await scene.replicas[1].authority.signIn(scene.grant("s"), replacing: nil).ticket.hash
    let one = scene.replicas[0]
    one.store.set(.down)
    #expect(await one.word(stranger) == "unavailable")
    let asked = { one.store.asked("ping") }
    #expect(await scene.passes(by: .seconds(1), atMost: .seconds(10)) { asked() >= 2 })
    // A token that is good is used; none is fetched.
    #expect(await one.token(ticket) == "initial")
    #expect(await one.token(ticket, .files) == "transient: the session store is unavailable")
    scene.clock.advance(by: .seconds(580))
    #expect(await one.word(ticket) == "found")
    #expect(one.reachable.items.isEmpty)
    #expect(await scene.passes(by: .seconds(1), atMost: .seconds(30)) { one.reachable.items == [false] })
    #expect(await one.word(ticket) == "unavailable")
    #expect(await !one.authority.storeFacts.isWithinGrace)
    one.store.set(.none)
    #expect(
      await scene.passes(by: .seconds(1), atMost: .seconds(5)) { one.reachable.items == [false, true] })
    #expect(await one.word(ticket) == "found")
    #expect(await one.word(stranger) == "found")
    #expect(await scene.token(of: one, ticket, .files) == "files-1")
    #expect(one.ended.isEmpty)
    #expect(await one.authority.storeFacts.isUp)
  }

  @Test func `no refresh is asked for without a lease, and the caller hears when to come again`() async {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(1, provider)
    let ticket = await scene.signIn()
    let one = scene.replicas[0]
    one.store.set(.down)
    // Overdue, but good for a few seconds more.
    scene.clock.advance(by: .seconds(3550))
    #expect(await one.token(ticket) == "initial")
    scene.clock.advance(by: .seconds(60))
    guard case .transient(let retryAfter, _) = await one.authority.token(for: ticket, resource: .tools) else {
      Issue.record("no pause")
      return
    }
    #expect(retryAfter == .seconds(1))
    #expect(provider.calls.count == 0)
    one.store.set(.none)
    #expect(
      await scene.passes {
        let facts = await one.authority.storeFacts
        return facts.isUp && facts.isWithinGrace
      })
    let start = scene.clock.now
    scene.clock.advance(by: .seconds(1))
    let word = await scene.token(of: one, ticket)
    #expect(word == "tools-1")
    // Another might have had a refresh token to save first.
    #expect(scene.clock.now - start > .seconds(1))
    #expect(one.ended.isEmpty)
  }

  @Test func `only one question a second is asked of it`() async {
    let scene = await ReplicaScene(1, FamilyProvider())
    let ticket = await scene.signIn()
    let one = scene.replicas[0]
    one.store.set(.down)
    for _ in 0..<100 { _ = await one.word(Ticket.make().hash) }
    // Those that were asked before it was known to be down.
    #expect(one.store.asked("load") <= 3 + 1)
    let before = one.store.log.items.count
    for _ in 0..<20 {
      let pings = one.store.asked("ping")
      #expect(await eventually { scene.clock.sleepers > 0 })
      scene.clock.advance(by: .seconds(1))
      #expect(await eventually { one.store.asked("ping") > pings })
      for _ in 0..<20 { _ = await one.word(Ticket.make().hash) }
    }
    #expect(one.store.log.items.count - before <= 21)
    #expect(one.failures.items.count <= 4)
    #expect(await one.word(ticket) == "found")
  }

  @Test func `its end is found even when nobody asks for anything`() async {
    let scene = await ReplicaScene(1, FamilyProvider())
    _ = await scene.signIn()
    let one = scene.replicas[0]
    one.store.set(.down)
    scene.clock.advance(by: .seconds(10))
    await one.authority.maintain()
    #expect(await scene.passes(by: .seconds(10), atMost: .seconds(700)) { one.reachable.items == [false] })
  }

  @Test func `a sign-out holds here, and reaches the others when it answers again`() async throws {
    let scene = await ReplicaScene(2, FamilyProvider())
    let ticket = await scene.signIn()
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    one.store.set(.down)
    #expect(await one.authority.end(ticket) != nil)
    #expect(await one.word(ticket) == "unknown")
    #expect(await two.word(ticket) == "found")
    one.store.set(.none)
    #expect(await scene.passes { two.ended == [ticket] })
    #expect(try await scene.memory.count() == 0)
  }

  @Test func `what happened meanwhile counts when it answers again`() async {
    let scene = await ReplicaScene(2, FamilyProvider())
    let (kept, gone) = (await scene.signIn(), await scene.signIn())
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    two.store.setDeaf(true)
    two.store.set(.down)
    _ = await two.word(Ticket.make().hash)
    #expect(await scene.passes(by: .seconds(1), atMost: .seconds(5)) { two.store.asked("ping") >= 2 })
    _ = await one.authority.end(gone)
    _ = await one.token(kept, .files)
    #expect(await two.word(gone) == "found")
    two.store.set(.none)
    #expect(await scene.passes { two.ended == [gone] })
    #expect(await scene.token(of: two, kept, .files) == "files-1")
  }

  @Test func `a sign-in that was under way is kept, and stored with its old ticket`() async throws {
    let scene = await ReplicaScene(2, FamilyProvider())
    let old = await scene.signIn()
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    one.store.set(.down)
    let new = await one.authority.signIn(scene.grant("second"), replacing: old).ticket.hash
    #expect(await one.word(new) == "found")
    one.store.set(.none)
    #expect(await scene.passes { (try? await scene.memory.load(new)) != nil })
    #expect(await eventually { (try? await scene.memory.count()) == 1 })
    // What the other heard may still be on its way.
    #expect(await eventually { await two.found(old)?.hash == new })
    #expect(await two.found(new) != nil)
  }

  @Test func `a store that comes back empty signs out nobody whom a process knows`() async throws {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(2, provider)
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    let (both, ended) = (await scene.signIn(), await scene.signIn())
    let own = await two.authority.signIn(scene.grant("own"), replacing: nil).ticket.hash
    for replica in scene.replicas { replica.store.set(.down) }
    _ = await one.authority.end(ended)
    _ = await two.word(Ticket.make().hash)
    #expect(
      await scene.passes(by: .seconds(1), atMost: .seconds(5)) {
        one.store.asked("ping") >= 2 && two.store.asked("ping") >= 2
      })
    await scene.memory.loseEverything()
    for replica in scene.replicas { replica.store.set(.none) }
    #expect(await scene.passes { (try? await scene.memory.count()) == 2 })
    #expect(await scene.passes { two.ended == [ended] })
    for replica in scene.replicas {
      #expect(await replica.word(both) == "found")
      #expect(await replica.word(own) == "found")
      // It might come back yet: nobody is told to sign in for that.
      let word = await replica.word(ended)
      #expect(word == "unknown" || word == "unavailable")
    }
    // With the tokens of before, and one refresh for all.
    scene.clock.advance(by: .seconds(3600))
    #expect(await scene.token(of: one, both) == "tools-1")
    #expect(await scene.token(of: two, both) == "tools-1")
    #expect(await !provider.isRevoked)
  }

  @Test func `a lease that a store lost with everything else is taken when the session is back`() async throws
  {
    let scene = await ReplicaScene(2, FamilyProvider())
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(3600))
    await scene.memory.loseEverything()
    // Nobody has noticed yet.
    #expect(await scene.token(of: scene.replicas[0], ticket) == "tools-1")
    #expect(try await scene.stored(ticket).refreshToken == Secret("rotated-1"))
    #expect(await scene.token(of: scene.replicas[1], ticket) == "tools-1")
    for replica in scene.replicas { #expect(replica.ended.isEmpty) }
  }

  @Test func `timeouts hold`() async {
    let scene = await ReplicaScene(1, FamilyProvider(), idle: .seconds(300))
    let ticket = await scene.signIn()
    let one = scene.replicas[0]
    one.store.set(.down)
    scene.clock.advance(by: .seconds(300))
    // It may have been in use elsewhere.
    #expect(await one.word(ticket) == "unavailable")
    one.store.set(.none)
    #expect(await scene.passes { await one.word(ticket) == "unknown" })
  }
}
