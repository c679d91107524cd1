/// Thirty-two bytes as a value: a ticket, a SHA-256. Cheap to copy, compare and hash; never allocates.
public struct Bytes32: Sendable, Hashable {
  /// The bytes as big-endian words: `a` holds bytes 0 to 7.
  public let a, b, c, d: UInt64

  /// From big-endian words.
  public init(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) {
    self.a = a
    self.b = b
    self.c = c
    self.d = d
  }

  /// From exactly 32 bytes; nil for any other count.
  public init?(_ bytes: Span<UInt8>) {
    guard bytes.count == 32 else { return nil }
    var words = InlineArray<4, UInt64>(repeating: 0)
    for i in 0..<32 { words[i >> 3] = words[i >> 3] << 8 | UInt64(bytes[i]) }
    self.init(words[0], words[1], words[2], words[3])
  }

  /// From exactly 32 bytes; nil for any other count.
  public init?(_ bytes: [UInt8]) { self.init(bytes.span) }

  /// The 32 bytes.
  public var bytes: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(32)
    for word in [a, b, c, d] {
      for shift in stride(from: 56, through: 0, by: -8) {
        out.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    return out
  }

  /// Calls `body` with the 32 bytes in memory, in order. The pointer is valid only inside `body`.
  public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    let words: [4 of UInt64] = [a.bigEndian, b.bigEndian, c.bigEndian, d.bigEndian]
    return try unsafe words.span.bytes.withUnsafeBytes(body)
  }
}
