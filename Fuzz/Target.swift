import Basics
import Glibc
import HTTP

/// One entry for bytes from outside, and what must hold whatever they are. A property that does not hold ends the process, which
/// libFuzzer takes for a crash.
struct Target: Sendable {
  /// As on the command line; also the name of its folders in `Seeds` and `Crashes`.
  let name: String
  /// Tries one input.
  let check: @Sendable ([UInt8]) -> Void

  init(_ name: String, _ check: @escaping @Sendable ([UInt8]) -> Void) {
    self.name = name
    self.check = check
  }

  /// Every target, each from a file of its own in `Targets`.
  static let all: [Target] = [
    requestHead, requestStream, responseHead, upstreamRequest, chunked, eventStream, contentCoding, cookies,
    paths,
    challenge, json, message, consent, idToken, providerDocuments, configuration, records, text, redis,
  ]
}

/// Ends the process unless `holds`.
func expect(
  _ holds: Bool, _ property: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
  guard !holds else { return }
  let text = "\n\(file):\(line): does not hold: \(property())\n"
  _ = unsafe write(STDERR_FILENO, text, text.utf8.count)
  abort()
}

/// Ends the process unless both are equal.
func expectEqual<Value: Equatable>(
  _ a: Value, _ b: Value, _ property: @autoclosure () -> String, file: StaticString = #fileID,
  line: UInt = #line
) {
  expect(a == b, "\(property())\n  one:   \(a)\n  other: \(b)", file: file, line: line)
}

/// Ends the process unless `inner` lies in `outer`.
func expectInside(
  _ inner: Range<Int>?, _ outer: Range<Int>, _ property: @autoclosure () -> String,
  file: StaticString = #fileID, line: UInt = #line
) {
  guard let inner else { return }
  expect(
    outer.lowerBound <= inner.lowerBound && inner.upperBound <= outer.upperBound,
    "\(property()): \(inner) in \(outer)", file: file, line: line)
}

/// Numbers that follow from the content alone: an input tried again does the same, and a seed needs no bytes for control.
struct Choice {
  private var state: UInt64

  init(_ input: [UInt8]) {
    // FNV-1a.
    state = input.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// From 0 to `bound - 1`. SplitMix64.
  mutating func next(below bound: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Int((z ^ (z >> 31)) % UInt64(max(1, bound)))
  }

  /// Now and then limits that small inputs meet.
  mutating func headLimits() -> HeadLimits {
    next(below: 4) == 0 ? HeadLimits(headBytes: 256, fieldCount: 6, targetBytes: 48) : HeadLimits()
  }

  /// Up to four places to cut `count` bytes at, in ascending order, the end last.
  mutating func cuts(of count: Int) -> [Int] {
    var places: Set<Int> = [count]
    for _ in 0...next(below: 3) { places.insert(next(below: count + 1)) }
    return places.sorted()
  }
}

extension Array<UInt8> {
  /// The parts between line feeds.
  var lines: [[UInt8]] { split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init) }

  /// As text, wrong UTF-8 repaired, as the product reads field values.
  var text: String { String(decoding: self, as: UTF8.self) }
}
