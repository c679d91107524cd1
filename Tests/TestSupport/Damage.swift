/// Deterministic damage for parsers of text: bytes changed, removed, put in. The same seed gives the same damage.
public struct Damage {
  private var state: UInt64

  /// Damage number `seed`.
  public init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  /// The next number below `bound` (xorshift64).
  public mutating func next(_ bound: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int(state % UInt64(max(bound, 1)))
  }

  /// `text` with one to three bytes harmed.
  public mutating func damaged(_ text: String) -> [UInt8] { damaged(Array(text.utf8)) }

  /// `bytes` with one to three of them harmed.
  public mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    let interesting = Array("\"\\{}[]:,u0 e-=".utf8) + [0, 0x0A, 0x0D, 0x7F, 0x80, 0xFF]
    for _ in 0...next(3) where !bytes.isEmpty {
      let place = next(bytes.count)
      switch next(4) {
      case 0: bytes[place] = interesting[next(interesting.count)]
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(interesting[next(interesting.count)], at: place)
      default: bytes[place] ^= UInt8(1 << next(8))
      }
    }
    return bytes
  }
}
