internal import Basics

/// A point on the clock that only runs forward (`CLOCK_MONOTONIC`), in nanoseconds since some start of the machine.
public struct MonotonicTime: Sendable, Hashable, Comparable {
  public var nanoseconds: UInt64

  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// Reads the clock: about 20 ns. A loop reads it once a turn, see `EventLoop.now`.
  public static func read() -> MonotonicTime { MonotonicTime(nanoseconds: Syscalls.monotonicNanoseconds()) }

  public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.nanoseconds < b.nanoseconds }

  /// Saturates: a negative duration counts as zero.
  public static func + (a: MonotonicTime, b: Duration) -> MonotonicTime {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
    return MonotonicTime(nanoseconds: overflow ? .max : sum)
  }

  /// Zero when `b` is later.
  public static func - (a: MonotonicTime, b: MonotonicTime) -> Duration {
    a > b ? .nanoseconds(Int64(clamping: a.nanoseconds - b.nanoseconds)) : .zero
  }
}

/// A time, or none, in eight bytes instead of nine, which are sixteen in an object. The last time of all counts as none.
@propertyWrapper
public struct OptionalTime: Sendable, Equatable {
  private var time = MonotonicTime(nanoseconds: .max)

  /// The time; nil when there is none.
  public init(wrappedValue: MonotonicTime?) { self.wrappedValue = wrappedValue }

  /// The time; nil when there is none.
  public var wrappedValue: MonotonicTime? {
    get { time.nanoseconds == .max ? nil : time }
    set { time = newValue ?? MonotonicTime(nanoseconds: .max) }
  }
}
