/// A range of offsets, or none, in eight bytes instead of seventeen: for objects that remember many of them and wait for long.
///
/// Offsets beyond 4 GiB do not fit and become the largest that do; what is looked into by range is bounded far below.
@propertyWrapper
public struct PackedRange: Sendable, Equatable {
  private var start: UInt32 = .max
  private var end: UInt32 = 0

  /// The range; nil when there is none.
  public init(wrappedValue: Range<Int>?) { self.wrappedValue = wrappedValue }

  /// The range; nil when there is none.
  public var wrappedValue: Range<Int>? {
    get { start <= end ? Int(start)..<Int(end) : nil }
    set {
      start = newValue.map { UInt32(clamping: $0.lowerBound) } ?? .max
      end = newValue.map { UInt32(clamping: $0.upperBound) } ?? 0
    }
  }
}
