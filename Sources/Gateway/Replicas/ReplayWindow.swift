/// Which numbers of one sender were seen: each counts once, also when the last 64 come in another order (RFC 4303, appendix A2).
struct ReplayWindow: Sendable {
  private var highest: UInt64 = 0
  /// Bit n stands for `highest - n`.
  private var seen: UInt64 = 0

  /// Notes a number. False when it was seen before, or is too old to tell.
  mutating func take(_ number: UInt64) -> Bool {
    if seen == 0 || number > highest {
      let step = seen == 0 ? 64 : number - highest
      seen = (step < 64 ? seen << step : 0) | 1
      highest = number
      return true
    }
    let age = highest - number
    guard age < 64, seen & (1 << age) == 0 else { return false }
    seen |= 1 << age
    return true
  }
}
