internal import Basics
internal import Glibc

/// What is printed: a line for each measurement, which `scripts/scale` reads, and progress on standard error.
enum Report {
  static func line(_ name: String, _ values: [(String, Double)]) {
    print(name, values.map { "\($0.0)=\(rounded($0.1))" }.joined(separator: " "))
    fflush(nil)
  }

  static func progress(_ text: String) {
    let bytes = Array("\(text)\n".utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  }

  private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}

/// Processor time of this process, user and kernel.
enum Processor {
  static var seconds: Double {
    var usage = rusage()
    unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
  }
}

/// Times of one kind of operation.
struct Samples: Sendable {
  private var milliseconds: [Double] = []

  var count: Int { milliseconds.count }

  mutating func add(_ duration: Duration) { milliseconds.append(duration.inSeconds * 1000) }

  mutating func add(_ other: Samples) { milliseconds += other.milliseconds }

  /// The time that this part of them stayed below.
  func quantile(_ part: Double) -> Double {
    let sorted = milliseconds.sorted()
    guard !sorted.isEmpty else { return 0 }
    return sorted[min(sorted.count - 1, Int(part * Double(sorted.count)))]
  }
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
