import Basics
import Sessions
import Testing

@Suite(.timeLimit(.minutes(1))) struct `Several processes at one store, refreshing` {
  @Test(arguments: [2, 4])
  func `ask the provider once per expiry, and all get what it gave`(count: Int) async throws {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(count, provider)
    let ticket = await scene.signIn()
    for round in 1...5 {
      scene.clock.advance(by: .seconds(3600))
      let words = await withTaskGroup(of: String.self) { group in
        for replica in scene.replicas {
          for _ in 0..<5 { group.addTask { await replica.token(ticket) } }
        }
        return await group.reduce(into: Set<String>()) { $0.insert($1) }
      }
      #expect(words == ["tools-\(round)"])
      #expect(await provider.refreshes == round)
    }
    #expect(await !provider.isRevoked)
    #expect(try await scene.stored(ticket).refreshToken == Secret("rotated-5"))
    var adopted: UInt64 = 0
    for replica in scene.replicas {
      adopted += await replica.authority.storeFacts.counts.refreshesAdopted
      #expect(replica.ended.isEmpty && replica.failures.items.isEmpty)
    }
    #expect(adopted > 0)
  }

  @Test func `one that had not heard of the last refresh does not spend its token again`() async {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(2, provider)
    let ticket = await scene.signIn()
    scene.replicas[1].store.setDeaf(true)
    scene.clock.advance(by: .seconds(3600))
    #expect(await scene.replicas[0].token(ticket) == "tools-1")
    #expect(await scene.replicas[1].token(ticket) == "tools-1")
    #expect(await scene.replicas[1].token(ticket, .files) == "files-2")
    // And the other way round: the first has not looked since.
    scene.replicas[0].store.setDeaf(true)
    #expect(await scene.replicas[0].token(ticket, .files) == "files-2")
    #expect(await !provider.isRevoked)
  }

  @Test func `those whose token was rejected share one refresh`() async {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(4, provider)
    let ticket = await scene.signIn()
    let words = await withTaskGroup(of: String.self) { group in
      for replica in scene.replicas {
        group.addTask {
          await replica.authority.token(for: ticket, resource: .tools, rejected: Secret("initial")).word
        }
      }
      return await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(words == ["tools-1"])
    #expect(await provider.refreshes == 1)
  }

  @Test func `renew the lease while the provider is slow`() async {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(2, provider)
    let ticket = await scene.signIn()
    let gate = Gate()
    await provider.hold(gate)
    scene.clock.advance(by: .seconds(3600))
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    let first = Pending { await one.token(ticket) }
    await provider.calls.reaches(1)
    let second = Pending { await two.token(ticket) }
    #expect(await scene.passes(by: .seconds(2)) { one.store.asked("renew") >= 8 })
    #expect(await two.authority.storeFacts.counts.leasesWaited == 1)
    await gate.open()
    #expect(await first.value == "tools-1")
    #expect(await second.value == "tools-1")
    #expect(await provider.refreshes == 1)
    #expect(await one.authority.storeFacts.counts.leasesLost == 0)
    // It waited to be told: it asked again only when the lease would have run out.
    #expect(two.store.asked("acquire") <= 5)
    #expect(await eventually { one.store.asked("release") == 1 })
  }

  @Test func `a holder that vanished holds nobody up for longer than its lease`() async throws {
    let gate = Gate()
    let provider = FamilyProvider()
    // It never reaches the provider.
    let vanishing = ScriptedRefresher { _, _ in
      await gate.wait()
      return .busy
    }
    let scene = await ReplicaScene([vanishing, provider])
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(3600))
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    let first = Pending { await one.token(ticket) }
    await vanishing.calls.reaches(1)
    one.store.set(.down)
    let start = scene.clock.now
    let second = Pending { await two.token(ticket) }
    #expect(await scene.passes(by: .seconds(1), atMost: .seconds(10)) { await provider.refreshes == 1 })
    #expect(scene.clock.now - start <= .seconds(7))
    #expect(await second.value == "tools-1")
    #expect(try await scene.stored(ticket).refreshToken == Secret("rotated-1"))
    await gate.open()
    _ = await first.value
  }

  @Test func `what could not be saved is no reason to use a refresh token that another has used`() async {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(2, provider)
    let ticket = await scene.signIn()
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    one.store.setDeaf(true)
    one.store.set(.down)
    _ = await one.authority.extend(ticket, with: scene.grant(nil))
    #expect(await two.token(ticket, .files) == "files-1")
    one.store.set(.none)
    // It has to save first, and meets what the other stored.
    #expect(await one.token(ticket, .files) == "files-1")
    #expect(await provider.refreshes == 1)
    #expect(await !provider.isRevoked)
  }

  @Test func `an answer that was lost is asked for again`() async {
    let provider = FamilyProvider(forgives: true)
    let scene = await ReplicaScene(2, provider)
    let ticket = await scene.signIn()
    await provider.lose(1)
    scene.clock.advance(by: .seconds(3600))
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    #expect(await one.token(ticket) == "transient: 503")
    #expect(await two.token(ticket) == "tools-1")
    #expect(await eventually { await one.token(ticket) == "tools-1" })
    #expect(await provider.refreshes == 1)
    #expect(await !provider.isRevoked)
  }

  /// One whose lease runs out while the provider is slow, and another that has it then.
  private func overtaken(_ late: RefreshAnswer, _ other: any TokenRefresher) async -> (
    scene: ReplicaScene, ticket: TicketHash, finish: @Sendable () async -> String
  ) {
    let gate = Gate()
    let slow = ScriptedRefresher { _, _ in
      await gate.wait()
      return late
    }
    let scene = await ReplicaScene([slow, other])
    let ticket = await scene.signIn()
    scene.clock.advance(by: .seconds(3600))
    let one = scene.replicas[0]
    let first = Pending { await one.token(ticket) }
    await slow.calls.reaches(1)
    one.store.set(.down)
    one.store.setDeaf(true)
    let authority = one.authority
    #expect(await scene.passes(by: .seconds(1), atMost: .seconds(5)) { await !authority.storeFacts.isUp })
    // Nobody renews it meanwhile.
    scene.clock.advance(by: .seconds(6))
    return (
      scene, ticket,
      {
        one.store.set(.none)
        _ = await scene.passes(by: .seconds(1)) { await authority.storeFacts.isUp }
        await gate.open()
        _ = await scene.passes(by: .seconds(1)) { first.isDone }
        return await first.value
      }
    )
  }

  @Test func `what comes too late does not take the place of what another stored`() async throws {
    let provider = ScriptedRefresher { _, call in .renewed("theirs-\(call)", refreshToken: "theirs-\(call)") }
    let (scene, ticket, finish) = await overtaken(.renewed("late", refreshToken: "late"), provider)
    #expect(await scene.replicas[1].token(ticket) == "theirs-1")
    _ = await finish()
    #expect(try await scene.stored(ticket).refreshToken == Secret("theirs-1"))
    #expect(await scene.replicas[0].found(ticket)?.refreshToken == Secret("theirs-1"))
    #expect(scene.replicas[0].ended.isEmpty)
  }

  @Test func `what comes too late is stored when nobody stored anything newer`() async throws {
    let (scene, ticket, finish) = await overtaken(
      .renewed("late", refreshToken: "late"), ScriptedRefresher { _, _ in .busy })
    #expect(await scene.replicas[1].token(ticket) == "transient: 503")
    #expect(await finish() == "late")
    #expect(try await scene.stored(ticket).refreshToken == Secret("late"))
    #expect(await scene.replicas[0].authority.storeFacts.counts.savesFenced == 1)
    let two = scene.replicas[1]
    #expect(await scene.passes { await two.token(ticket) == "late" })
  }

  @Test func `a refusal that another met does not end what this one got`() async throws {
    let (scene, ticket, finish) = await overtaken(
      .renewed("late", refreshToken: "late"), ScriptedRefresher { _, _ in .refused })
    #expect(await scene.replicas[1].token(ticket) == "needs sign-in")
    #expect(await finish() == "late")
    #expect(try await scene.stored(ticket).state == .active)
    let two = scene.replicas[1]
    #expect(await eventually { await two.token(ticket) == "late" })
  }

  @Test func `a refusal that comes too late ends nothing that another stored`() async throws {
    let provider = ScriptedRefresher { _, call in .renewed("theirs-\(call)", refreshToken: "theirs-\(call)") }
    let (scene, ticket, finish) = await overtaken(.refused, provider)
    #expect(await scene.replicas[1].token(ticket) == "theirs-1")
    #expect(await finish() == "theirs-1")
    #expect(try await scene.stored(ticket).refreshToken == Secret("theirs-1"))
  }

  @Test func `a refresh token that could not be stored keeps the others waiting until it is`() async throws {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(2, provider)
    let ticket = await scene.signIn()
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    scene.clock.advance(by: .seconds(3600))
    one.store.set(.readOnly)
    #expect(await one.token(ticket) == "tools-1")
    let second = Pending { await two.token(ticket) }
    #expect(await scene.passes(by: .seconds(1), atMost: .seconds(20)) { one.store.asked("renew") >= 6 })
    #expect(one.store.asked("save") > 3)
    #expect(provider.calls.count == 1)
    one.store.set(.none)
    #expect(await scene.passes(until: { second.isDone }))
    #expect(await second.value == "tools-1")
    #expect(try await scene.stored(ticket).refreshToken == Secret("rotated-1"))
    #expect(await provider.refreshes == 1)
    #expect(await eventually { one.store.asked("release") == 1 })
  }

  @Test func `a sign-in without a refresh token waits for the refresh that another process makes`() async {
    let provider = FamilyProvider()
    let scene = await ReplicaScene(2, provider)
    let old = await scene.signIn()
    let (one, two) = (scene.replicas[0], scene.replicas[1])
    let gate = Gate()
    await provider.hold(gate)
    let refresh = Task { await one.token(old, .files) }
    await provider.calls.reaches(1)
    let grant = scene.grant(nil)
    let signIn = Task { await two.authority.signIn(grant, replacing: old) }
    #expect(await eventually { await two.authority.storeFacts.counts.leasesWaited == 1 })
    await gate.open()
    #expect(await signIn.value.session.refreshToken == Secret("rotated-1"))
    _ = await refresh.value
    #expect(one.orphans.items.isEmpty && two.orphans.items.isEmpty)
  }
}
