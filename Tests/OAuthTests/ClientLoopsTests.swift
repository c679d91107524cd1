import Basics
import Testing

@testable import OAuth

@Suite struct ClientLoopsTests {
  private let start = Timestamp(seconds: 1_767_225_600)

  private func key(_ scope: String...) -> ClientLoops.Key { .init(.refreshToken, scope: scope) }

  @Test func `each further loop doubles the wait up to ten minutes`() {
    var loops = ClientLoops()
    var now = start
    var waits: [Duration] = []
    for _ in 0..<6 {
      let wait = loops.note(key("a"), at: now)
      waits.append(wait)
      #expect(loops.wait(for: key("a"), at: now + (wait - .milliseconds(1))) == .milliseconds(1))
      now = now + wait
      #expect(loops.wait(for: key("a"), at: now) == nil)
    }
    #expect(waits == [60, 120, 240, 480, 600, 600].map { .seconds($0) })
  }

  @Test func `requests under way together are one loop`() {
    var loops = ClientLoops()
    #expect(loops.note(key("a"), at: start) == .seconds(60))
    #expect(loops.note(key("a"), at: start + .seconds(10)) == .seconds(50))
    #expect(loops.note(key("a"), at: start + .seconds(60)) == .seconds(120))
  }

  @Test func `success or a long silence forgets`() {
    var loops = ClientLoops()
    _ = loops.note(key("a"), at: start)
    loops.end(key("a"))
    #expect(loops.count == 0 && loops.note(key("a"), at: start) == .seconds(60))
    #expect(loops.note(key("a"), at: start + .seconds(660)) == .seconds(60))
  }

  @Test func `a clock that was set back frees`() {
    var loops = ClientLoops()
    _ = loops.note(key("a"), at: start)
    #expect(loops.wait(for: key("a"), at: start - .seconds(3600)) == nil)
  }

  @Test func `the order of scopes does not count, claims and grant do`() {
    var loops = ClientLoops()
    _ = loops.note(key("a", "b"), at: start)
    #expect(loops.wait(for: key("b", "a"), at: start) != nil)
    #expect(loops.wait(for: key("a"), at: start) == nil)
    #expect(loops.wait(for: .init(.refreshToken, scope: ["a", "b"], claims: "{}"), at: start) == nil)
    #expect(loops.wait(for: .init(.jwtBearer, scope: ["a", "b"]), at: start) == nil)
    #expect(loops.wait(for: .init(.refreshToken, scope: ["a", "b"], targets: ["r"]), at: start) == nil)
  }

  @Test func `the table is bounded and gives up the oldest`() {
    var loops = ClientLoops()
    for i in 0..<(ClientLoops.maxEntries + 50) {
      _ = loops.note(key("s\(i)"), at: start + .milliseconds(i))
    }
    #expect(loops.count == ClientLoops.maxEntries)
    #expect(loops.wait(for: key("s0"), at: start + .seconds(1)) == nil)
    #expect(loops.wait(for: key("s300"), at: start + .seconds(1)) != nil)
  }
}
