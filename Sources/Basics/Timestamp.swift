internal import Glibc
internal import SwiftOverlayShims

/// Where wall-clock time comes from; a test passes its own.
public typealias WallClock = @Sendable () -> Timestamp

/// Waits for a while; a test's clock decides when that is over. Throws as soon as the task is cancelled.
public typealias WallSleep = @Sendable (Duration) async throws -> Void

/// A moment of wall-clock time: milliseconds since 1970-01-01 00:00 UTC. Arithmetic stays at the limits instead of
/// overflowing, since numbers from tokens take part in it.
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Milliseconds since the epoch.
  public var milliseconds: Int64

  /// From milliseconds since the epoch.
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// From seconds since the epoch, as JWTs carry them; held at the limits.
  public init(seconds: Int64) {
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
    milliseconds = overflow ? (seconds < 0 ? .min : .max) : product
  }

  /// The system's wall clock.
  public static func now() -> Timestamp {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  /// Whole seconds since the epoch, rounded down.
  public var seconds: Int64 { Self.floorDivide(milliseconds, 1000) }

  public static func + (a: Timestamp, b: Duration) -> Timestamp {
    let (sum, overflow) = a.milliseconds.addingReportingOverflow(b.milliseconds)
    return Timestamp(milliseconds: overflow ? (a.milliseconds < 0 ? .min : .max) : sum)
  }

  public static func - (a: Timestamp, b: Duration) -> Timestamp {
    let (difference, overflow) = a.milliseconds.subtractingReportingOverflow(b.milliseconds)
    return Timestamp(milliseconds: overflow ? (a.milliseconds < 0 ? .min : .max) : difference)
  }

  public static func - (a: Timestamp, b: Timestamp) -> Duration {
    let (difference, overflow) = a.milliseconds.subtractingReportingOverflow(b.milliseconds)
    return .milliseconds(overflow ? (a.milliseconds < 0 ? Int64.min : .max) : difference)
  }

  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

  /// RFC 3339 in UTC with milliseconds: `2026-07-28T09:05:03.250Z`.
  public var description: String { rfc3339 }

  /// RFC 3339 in UTC with milliseconds: `2026-07-28T09:05:03.250Z`.
  public var rfc3339: String {
    let (date, time) = civil
    let millisecond = Int(milliseconds - seconds * 1000)
    return "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))"
      + "T\(pad(time.hour, 2)):\(pad(time.minute, 2)):\(pad(time.second, 2)).\(pad(millisecond, 3))Z"
  }

  /// IMF-fixdate as `Date` and `Expires` carry it (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
  public var httpDate: String {
    let (date, time) = civil
    let weekday = Int(Self.floorModulo(Self.floorDivide(seconds, 86_400) + 4, 7))
    return
      "\(Self.weekdays[weekday]), \(pad(date.day, 2)) \(Self.months[date.month - 1]) \(pad(date.year, 4)) "
      + "\(pad(time.hour, 2)):\(pad(time.minute, 2)):\(pad(time.second, 2)) GMT"
  }

  /// From an IMF-fixdate (RFC 9110 §5.6.7), as `Retry-After` may carry; nil for the obsolete forms and all else.
  public init?(httpDate text: String) {
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 6, parts[0].utf8.count == 4, parts[0].hasSuffix(","), parts[5] == "GMT",
      Self.weekdays.contains(where: { $0 == parts[0].dropLast() }),
      let month = Self.months.firstIndex(where: { $0 == parts[2] }),
      let day = Self.digits(parts[1], 2), let year = Self.digits(parts[3], 4), (1...31).contains(day)
    else { return nil }
    let clock = parts[4].split(separator: ":", omittingEmptySubsequences: false)
    guard clock.count == 3, let hour = Self.digits(clock[0], 2), let minute = Self.digits(clock[1], 2),
      let second = Self.digits(clock[2], 2), hour < 24, minute < 60, second <= 60
    else { return nil }
    let days = Self.days(year: year, month: month + 1, day: day)
    self.init(seconds: days * 86_400 + Int64(hour * 3600 + minute * 60 + second))
  }

  // Civil date from days and back: the era method of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
  private var civil: (date: (year: Int, month: Int, day: Int), time: (hour: Int, minute: Int, second: Int)) {
    let daySecond = Int(Self.floorModulo(seconds, 86_400))
    let shifted = Self.floorDivide(seconds, 86_400) + 719_468
    let era = Self.floorDivide(shifted, 146_097)
    let dayOfEra = Int(shifted - era * 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + Int(era) * 400 + (month <= 2 ? 1 : 0)
    return ((year, month, day), (daySecond / 3600, daySecond / 60 % 60, daySecond % 60))
  }

  private static func days(year: Int, month: Int, day: Int) -> Int64 {
    let shiftedYear = Int64(month <= 2 ? year - 1 : year)
    let era = floorDivide(shiftedYear, 400)
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func digits(_ text: Substring, _ count: Int) -> Int? {
    guard text.utf8.count == count, text.utf8.allSatisfy(ASCII.isDigit) else { return nil }
    return Int(text)
  }

  private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
    let quotient = a / b
    return a % b < 0 ? quotient - 1 : quotient
  }

  private static func floorModulo(_ a: Int64, _ b: Int64) -> Int64 { (a % b + b) % b }

  private func pad(_ number: Int, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }

  private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
}
