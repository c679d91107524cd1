/// Random bytes of the kernel (`getrandom(2)` behind `SystemRandomNumberGenerator`), fit for keys and tickets.
public enum RandomBytes {
  /// `count` random bytes.
  public static func make(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var out: [UInt8] = []
    out.reserveCapacity(count + 7)
    while out.count < count {
      let word = generator.next()
      for shift in stride(from: UInt64(0), to: 64, by: 8) {
        out.append(UInt8(truncatingIfNeeded: word >> shift))
      }
    }
    out.removeLast(out.count - count)
    return out
  }

  /// An unguessable text with at least `bits` random bits, base64url: `state`, `nonce`, tickets.
  public static func token(bits: Int = 256) -> String {
    Base64URL.encode(make((bits + 7) / 8))
  }
}
