import Basics
import Consent
import Testing

@Suite struct `Rounds of consent` {
  private let start = Timestamp(seconds: 1_800_000_000)
  private let need = ConsentNeed(.consent, source: .challenge, code: "", scopes: ["a", "b"])

  private func key(
    _ user: String = "harvey", _ route: String = "/mcp", name: String? = nil, _ scopes: [String] = ["a", "b"]
  )
    -> LoopGuard.Key
  {
    LoopGuard.Key(user: user, route: route, name: name, scopes: scopes)
  }

  @Test func `end after the limit and begin again after the window`() {
    var rounds = LoopGuard(maxRounds: 2, window: .seconds(600))
    #expect(rounds.verdict(key(), now: start) == .ask(attempt: 1))
    rounds.completed(key(), now: start)
    #expect(rounds.verdict(key(), now: start + .seconds(1)) == .ask(attempt: 2))
    rounds.completed(key(), now: start + .seconds(300))
    #expect(rounds.verdict(key(), now: start + .seconds(301)) == .exhausted)
    rounds.completed(key(), now: start + .seconds(302))
    #expect(rounds.verdict(key(), now: start + .seconds(599)) == .exhausted)
    #expect(rounds.verdict(key(), now: start + .seconds(600)) == .ask(attempt: 1))
    rounds.completed(key(), now: start + .seconds(600))
    #expect(rounds.verdict(key(), now: start + .seconds(601)) == .ask(attempt: 2))
  }

  @Test func `are not used up by refusals alone`() {
    let rounds = LoopGuard()
    for second in 0..<100 {
      #expect(rounds.verdict(key(), now: start + .seconds(second)) == .ask(attempt: 1))
    }
    #expect(rounds.count == 0)
  }

  @Test func `are counted apart for users, routes, names and demands, not for their order`() {
    var rounds = LoopGuard(maxRounds: 1)
    rounds.completed(key(), now: start)
    #expect(rounds.verdict(key("harvey", "/mcp", ["b", "a", "b"]), now: start) == .exhausted)
    for other in [key("kim"), key("harvey", "/other"), key(name: "tool"), key("harvey", "/mcp", ["a"])] {
      #expect(rounds.verdict(other, now: start) == .ask(attempt: 1))
    }
  }

  @Test func `are forgotten at sign-out`() {
    var rounds = LoopGuard(maxRounds: 1)
    rounds.completed(key(), now: start)
    rounds.completed(key("kim"), now: start)
    rounds.forget(user: "harvey")
    #expect(rounds.verdict(key(), now: start) == .ask(attempt: 1))
    #expect(rounds.verdict(key("kim"), now: start) == .exhausted)
  }

  @Test func `take no more memory than allowed, the oldest go first`() {
    var rounds = LoopGuard(maxRounds: 1, window: .seconds(10_000), capacity: 100)
    for i in 0..<1000 {
      rounds.completed(key("user\(i)"), now: start + .seconds(i))
      #expect(rounds.count <= 100)
    }
    #expect(rounds.verdict(key("user999"), now: start + .seconds(1000)) == .exhausted)
    #expect(rounds.verdict(key("user0"), now: start + .seconds(1000)) == .ask(attempt: 1))
    // All of one instant: room is made all the same.
    var burst = LoopGuard(capacity: 8)
    for i in 0..<100 {
      burst.completed(key("user\(i)"), now: start)
      #expect(burst.count <= 8)
    }
    rounds.sweep(now: start + .seconds(20_000))
    #expect(rounds.count == 0)
  }

  @Test func `of a clock that goes back stay counted`() {
    var rounds = LoopGuard(maxRounds: 1, window: .seconds(600))
    rounds.completed(key(), now: start)
    #expect(rounds.verdict(key(), now: start - .seconds(3600)) == .exhausted)
  }
}
