/// Tells when so many connections have gone that the memory they leave free is worth giving back.
struct HeapWatch {
  /// Fewer leave little behind.
  private static let worthwhile: UInt64 = 1000
  private var most: UInt64 = 0

  /// Asked now and then with the number of open connections. True once less than half of the most are left.
  mutating func shouldRelease(open: UInt64) -> Bool {
    most = max(most, open)
    guard most >= Self.worthwhile, open < most / 2 else { return false }
    most = open
    return true
  }
}
