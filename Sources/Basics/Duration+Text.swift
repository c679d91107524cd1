// Durations as configuration files write them.
extension Duration {
  /// Whole milliseconds, rounded towards zero, held at the limits of `Int64`.
  public var milliseconds: Int64 {
    // Almost every duration: up to 292 years, and not negative.
    if _high >= 0, _high < 500_000_000 { return Int64(nanoseconds / 1_000_000) }
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
    return sumOverflow ? (seconds < 0 ? .min : .max) : sum
  }

  /// Whole nanoseconds of a duration that is not negative, held at `UInt64.max`. Negative durations give 0.
  ///
  /// One division: a loop sets its timers with every request.
  public var nanoseconds: UInt64 {
    guard _high >= 0 else { return 0 }
    let high = UInt64(_high)
    let perNanosecond: UInt64 = 1_000_000_000
    return high < perNanosecond ? perNanosecond.dividingFullWidth((high, _low)).quotient : .max
  }

  /// A whole number with one unit: `250ms`, `30s`, `5m`, `8h`, `7d`. Nil for anything else, a sign included, and for
  /// more than 36,500 days.
  public init?(text: String) {
    guard
      let milliseconds = Quantity.parse(
        text, [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)], maxDigits: 15,
        atMost: 36_500 * 86_400_000)
    else { return nil }
    self = .milliseconds(milliseconds)
  }

  /// The shortest text that ``init(text:)`` reads back to this duration (whole milliseconds).
  public var text: String {
    let milliseconds = self.milliseconds
    guard milliseconds != 0 else { return "0s" }
    for (size, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] as [(Int64, String)]
    where milliseconds % size == 0 {
      return "\(milliseconds / size)\(unit)"
    }
    return "\(milliseconds)ms"
  }
}

/// A number of bytes as configuration files write it.
public struct ByteSize: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The number of bytes; never negative.
  public let bytes: Int

  /// A size of `bytes`, at least zero.
  public init(bytes: Int) { self.bytes = max(0, bytes) }

  /// A whole number with one unit: `512B`, `16KiB`, `4MiB`, `1GiB`. Nil for anything else and for more than 1 TiB.
  public init?(text: String) {
    guard
      let size = Quantity.parse(
        text, [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)], maxDigits: 13,
        atMost: 1 << 40)
    else { return nil }
    bytes = Int(size)
  }

  /// The shortest text that ``init(text:)`` reads back.
  public var description: String {
    guard bytes > 0 else { return "0B" }
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] where bytes % (1 << shift) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)B"
  }

  public static func < (a: ByteSize, b: ByteSize) -> Bool { a.bytes < b.bytes }
}

/// A whole number with one unit, the form that durations and sizes share.
private enum Quantity {
  /// The number times the size of its unit; nil when `text` is anything else or the product exceeds `limit`.
  static func parse(
    _ text: String, _ units: [(name: String, size: Int64)], maxDigits: Int, atMost limit: Int64
  ) -> Int64? {
    let digits = text.utf8.prefix(while: ASCII.isDigit)
    guard !digits.isEmpty, digits.count <= maxDigits, let number = Int64(String(digits) ?? "") else {
      return nil
    }
    let unit = text.utf8.dropFirst(digits.count)
    guard let size = units.first(where: { unit.elementsEqual($0.name.utf8) })?.size else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: size)
    return overflow || product > limit ? nil : product
  }
}
