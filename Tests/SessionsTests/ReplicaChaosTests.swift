import Basics
import Sessions
import Testing

/// Numbers that are the same in every run with the same seed (SplitMix64).
private struct Dice: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite(.timeLimit(.minutes(1))) struct `Four processes at one store, with everything going wrong` {
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func `nobody is signed out, and no refresh token is spent twice`(seed: UInt64) async throws {
    var dice = Dice(state: seed)
    let provider = FamilyProvider(forgives: true)
    let scene = await ReplicaScene(4, provider, idle: .seconds(80_000))
    let ticket = await scene.signIn()
    var pending: [Pending] = []
    for _ in 0..<60 {
      let replica = scene.replicas.randomElement(using: &dice) ?? scene.replicas[0]
      switch Int.random(in: 0..<10, using: &dice) {
      case 0: replica.store.set(.down)
      case 1: replica.store.set(.readOnly)
      case 2: for one in scene.replicas { one.store.set(.none) }
      case 3: replica.store.setDeaf(true)
      case 4: for one in scene.replicas { one.store.setDeaf(false) }
      case 5: await provider.lose(1)
      case 6: scene.clock.advance(by: .seconds(600))
      case 7: await replica.authority.maintain()
      default:
        let resource = Bool.random(using: &dice) ? ResourceKey.tools : .files
        pending.append(Pending { await replica.token(ticket, resource) })
      }
      for _ in 0..<Int.random(in: 0..<8, using: &dice) {
        try? await Task.sleep(for: .microseconds(200))
        scene.clock.advance(by: .milliseconds(700))
      }
      // An outage beyond the lease is the provider's to forgive, and it forgives one step.
      for one in scene.replicas where await !one.authority.storeFacts.isUp { one.store.set(.none) }
    }
    for one in scene.replicas {
      one.store.set(.none)
      one.store.setDeaf(false)
    }
    #expect(await scene.passes(by: .seconds(1)) { pending.allSatisfy(\.isDone) })
    for one in scene.replicas {
      #expect(await scene.passes(by: .seconds(1)) { await one.token(ticket, .files).hasPrefix("files") })
      #expect(
        await scene.passes(by: .seconds(1)) {
          let word = await one.token(ticket)
          return word.hasPrefix("tools") || word == "initial"
        })
      #expect(one.ended.isEmpty && one.orphans.items.isEmpty)
    }
    #expect(await !provider.isRevoked)
    #expect(try await scene.stored(ticket).state == .active)
    for outcome in pending {
      let word = await outcome.value
      #expect(
        word.hasPrefix("tools") || word.hasPrefix("files") || word == "initial" || word.hasPrefix("transient")
      )
    }
  }
}
