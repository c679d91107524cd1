import Basics
import Sessions
import Testing

@Suite struct `The times of a token` {
  struct Case: Sendable {
    var life: Int64?
    var wish: Int64?
    var jitter: Double
    var soft: Int64
    var hard: Int64
    var end: Int64
  }

  // Seconds after the response. Refresh 300 s ahead, 60 s margin.
  @Test(arguments: [
    Case(life: 3600, wish: nil, jitter: 0, soft: 3300, hard: 3540, end: 3600),
    Case(life: 3600, wish: nil, jitter: -1, soft: 2970, hard: 3540, end: 3600),
    Case(life: 3600, wish: nil, jitter: 1, soft: 3540, hard: 3540, end: 3600),
    Case(life: 3600, wish: nil, jitter: -40, soft: 2970, hard: 3540, end: 3600),
    Case(life: 3600, wish: nil, jitter: .nan, soft: 3300, hard: 3540, end: 3600),
    Case(life: 86_400, wish: 43_200, jitter: 0, soft: 43_200, hard: 86_340, end: 86_400),
    Case(life: 3600, wish: 999_999, jitter: 0, soft: 3300, hard: 3540, end: 3600),
    Case(life: 3600, wish: -5, jitter: 0, soft: 3300, hard: 3540, end: 3600),
    Case(life: 400, wish: nil, jitter: 0, soft: 200, hard: 360, end: 400),
    Case(life: 10, wish: nil, jitter: 0, soft: 5, hard: 9, end: 10),
    Case(life: nil, wish: nil, jitter: 0, soft: 150, hard: 270, end: 300),
    Case(life: 0, wish: nil, jitter: 0, soft: 0, hard: 0, end: 0),
    Case(life: -1, wish: nil, jitter: 1, soft: 0, hard: 0, end: 0),
    Case(life: .max, wish: .max, jitter: 0, soft: 31_535_700, hard: 31_535_940, end: 31_536_000),
  ])
  func `follow from its life`(example: Case) {
    let now = Timestamp(milliseconds: 5)
    let token = TokenSchedule().token(
      TokenGrant(
        accessToken: Secret("t"), expiresIn: example.life.map { .seconds($0) },
        refreshIn: example.wish.map { .seconds($0) }
      ), at: now, jitter: example.jitter)
    #expect(token.issuedAt == now)
    #expect(token.softExpiry == now + .seconds(example.soft))
    #expect(token.hardExpiry == now + .seconds(example.hard))
    #expect(token.expiresAt == now + .seconds(example.end))
  }

  @Test func `the phases follow one another at their times`() {
    let start = Timestamp(milliseconds: 0)
    let token = TokenSchedule().token(
      TokenGrant(accessToken: Secret("t"), expiresIn: .seconds(3600)), at: start, jitter: 0)
    func phase(_ milliseconds: Int64) -> AccessToken.Phase {
      token.phase(at: start + .milliseconds(milliseconds))
    }
    #expect(phase(0) == .fresh && phase(3_299_999) == .fresh)
    #expect(phase(3_300_000) == .refreshSoon && phase(3_539_999) == .refreshSoon)
    #expect(phase(3_540_000) == .overdue && phase(3_599_999) == .overdue)
    #expect(phase(3_600_000) == .expired && phase(.max) == .expired)
  }
}
