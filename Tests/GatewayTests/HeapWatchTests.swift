import Testing

@testable import Gateway

@Suite struct HeapWatchTests {
  @Test func `memory is given back once when most of many connections have gone`() {
    var watch = HeapWatch()
    let seen: [(open: UInt64, isTold: Bool)] = [
      (0, false), (900, false), (10, false), (5000, false), (2600, false), (2400, true), (2300, false),
      (100, true), (99, false), (0, false),
    ]
    for (open, isTold) in seen { #expect(watch.shouldRelease(open: open) == isTold) }
  }
}
