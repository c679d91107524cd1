internal import CLinux
internal import Glibc

// Reading: searching, comparing and copying out. Every range counts from the first readable byte and traps when it is
// not readable, since ranges come from our own parsers, never from the network.
extension Buffer {
  /// Shows the readable bytes to C: `write(2)`, `SSL_write`, hashing. The pointer is valid only inside `body`.
  @inlinable public borrowing func withBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try unsafe body(UnsafeRawBufferPointer(start: start, count: count))
  }

  /// The offset of the first `byte` at or after `from`, or nil.
  public borrowing func firstIndex(of byte: UInt8, from: Int = 0) -> Int? {
    precondition(from >= 0, "negative offset")
    guard from < count else { return nil }
    guard let hit = unsafe memchr(start + from, Int32(byte), count - from) else { return nil }
    return unsafe hit - UnsafeMutableRawPointer(start)
  }

  /// The offset of the first `byte` inside `range`, or nil.
  public borrowing func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
    check(range)
    guard !range.isEmpty, let hit = unsafe memchr(start + range.lowerBound, Int32(byte), range.count) else {
      return nil
    }
    return unsafe hit - UnsafeMutableRawPointer(start)
  }

  /// The offset of the first `first` inside `range` that is followed by one of two bytes there, or nil.
  ///
  /// Eight bytes at a time: the bit of a byte is set where it is `first`, and at times above a hit, which the second look tells.
  public borrowing func firstIndex(
    of first: UInt8, followedBy second: UInt8, or third: UInt8, in range: Range<Int>
  ) -> Int? {
    check(range)
    // A hit needs a byte behind it.
    let end = range.upperBound - 1
    var i = range.lowerBound
    func isHit(_ at: Int) -> Bool {
      // `at < end`, so there is a byte behind it.
      unsafe start[at] == first && (start[at + 1] == second || start[at + 1] == third)
    }
    let ones: UInt64 = 0x0101_0101_0101_0101
    while i &+ 8 <= end {
      let bytes = unsafe UnsafeRawPointer(start + i).loadUnaligned(as: UInt64.self)
      let word = UInt64(littleEndian: bytes) ^ (ones &* UInt64(first))
      var hits = (word &- ones) & ~word & (ones &* 0x80)
      while hits != 0 {
        let at = i &+ hits.trailingZeroBitCount / 8
        if isHit(at) { return at }
        hits &= hits &- 1
      }
      i &+= 8
    }
    while i < end {
      if isHit(i) { return i }
      i &+= 1
    }
    return nil
  }

  /// The offset of the first occurrence of `needle` inside `range`, or nil.
  public borrowing func find(_ needle: StaticString, in range: Range<Int>) -> Int? {
    check(range)
    guard
      let hit = unsafe coatcheck_find(
        start + range.lowerBound, range.count, needle.utf8Start, needle.utf8CodeUnitCount)
    else { return nil }
    return unsafe hit - UnsafeRawPointer(start)
  }

  /// The offset of the first occurrence of `needle` inside `range`, or nil. An empty needle is found at once.
  public borrowing func find(_ needle: [UInt8], in range: Range<Int>) -> Int? {
    check(range)
    return unsafe needle.withUnsafeBytes { bytes -> Int? in
      guard let address = bytes.baseAddress, !needle.isEmpty else { return range.lowerBound }
      guard let hit = unsafe coatcheck_find(start + range.lowerBound, range.count, address, bytes.count)
      else {
        return nil
      }
      return unsafe hit - UnsafeRawPointer(start)
    }
  }

  /// Whether the bytes of `range` are exactly those of `literal`.
  public borrowing func equals(_ range: Range<Int>, _ literal: StaticString) -> Bool {
    check(range)
    let length = literal.utf8CodeUnitCount
    return unsafe range.count == length && memcmp(start + range.lowerBound, literal.utf8Start, length) == 0
  }

  /// Whether the bytes of `range` are exactly `bytes`.
  public borrowing func equals(_ range: Range<Int>, _ bytes: [UInt8]) -> Bool {
    check(range)
    guard range.count == bytes.count else { return false }
    return unsafe bytes.withUnsafeBufferPointer { other in
      guard let address = other.baseAddress else { return true }
      return unsafe memcmp(start + range.lowerBound, address, range.count) == 0
    }
  }

  /// Whether the bytes of `range` are those of `literal`, ASCII letters compared without case.
  public borrowing func equalsIgnoringCase(_ range: Range<Int>, _ literal: StaticString) -> Bool {
    check(range)
    let length = literal.utf8CodeUnitCount
    guard range.count == length else { return false }
    return unsafe Self.equalsIgnoringCase(start + range.lowerBound, literal.utf8Start, length)
  }

  /// Whether two ranges of this buffer hold the same bytes, ASCII letters compared without case.
  public borrowing func equalsIgnoringCase(_ range: Range<Int>, _ other: Range<Int>) -> Bool {
    check(range)
    check(other)
    guard range.count == other.count else { return false }
    return unsafe Self.equalsIgnoringCase(start + range.lowerBound, start + other.lowerBound, range.count)
  }

  /// Whether a range of this buffer and one of another hold the same bytes, ASCII letters compared without case.
  public borrowing func equalsIgnoringCase(
    _ range: Range<Int>, of other: borrowing Buffer, _ otherRange: Range<Int>
  ) -> Bool {
    check(range)
    other.check(otherRange)
    guard range.count == otherRange.count else { return false }
    return unsafe Self.equalsIgnoringCase(
      start + range.lowerBound, other.start + otherRange.lowerBound, range.count)
  }

  /// Eight bytes at a time while they are equal or differ in the case bit only; then byte by byte.
  private static func equalsIgnoringCase(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int)
    -> Bool
  {
    var i = 0
    while i &+ 8 <= count {
      let x = unsafe UnsafeRawPointer(a + i).loadUnaligned(as: UInt64.self)
      let y = unsafe UnsafeRawPointer(b + i).loadUnaligned(as: UInt64.self)
      if x != y {
        if (x ^ y) & ~0x2020_2020_2020_2020 != 0 { return false }
        // The case bit also tells `@` from a backquote: only letters have a case.
        for j in i..<i + 8 where unsafe ASCII.lowercased(a[j]) != ASCII.lowercased(b[j]) { return false }
      }
      i &+= 8
    }
    while i < count {
      if unsafe ASCII.lowercased(a[i]) != ASCII.lowercased(b[i]) { return false }
      i &+= 1
    }
    return true
  }

  /// Whether the bytes of `range` begin with `literal`.
  public borrowing func hasPrefix(_ range: Range<Int>, _ literal: StaticString) -> Bool {
    let length = literal.utf8CodeUnitCount
    return range.count >= length && equals(range.lowerBound..<range.lowerBound + length, literal)
  }

  /// Whether `range` holds a control character other than tab: what no field value may (RFC 9110 §5.5).
  public borrowing func containsControls(_ range: Range<Int>) -> Bool {
    check(range)
    let bytes = unsafe start + range.lowerBound
    // No early exit: the compiler turns this into vector instructions, and almost every value is clean.
    var found: UInt8 = 0
    for i in 0..<range.count {
      let byte = unsafe bytes[i]
      found |= (byte < 0x20 ? 1 : 0) & (byte == 0x09 ? 0 : 1) | (byte == 0x7F ? 1 : 0)
    }
    return found != 0
  }

  /// A copy of all readable bytes.
  public borrowing func array() -> [UInt8] { array(0..<count) }

  /// A copy of the bytes of `range`.
  public borrowing func array(_ range: Range<Int>) -> [UInt8] {
    check(range)
    return unsafe [UInt8](UnsafeBufferPointer(start: start + range.lowerBound, count: range.count))
  }

  /// The readable bytes as text, invalid UTF-8 repaired. For the cold path.
  public borrowing func string() -> String { string(0..<count) }

  /// The bytes of `range` as text, invalid UTF-8 repaired. For the cold path: it allocates.
  public borrowing func string(_ range: Range<Int>) -> String {
    check(range)
    return unsafe String(
      decoding: UnsafeBufferPointer(start: start + range.lowerBound, count: range.count), as: UTF8.self)
  }

  /// Traps unless `range` is readable.
  @inlinable borrowing func check(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "Buffer range out of range")
  }
}
