internal import Basics

/// Lines of a server-sent event that a replacement has to keep.
enum EventLines {
  /// The `id:` and `retry:` lines: a client resumes by them (MCP 2025-11-25, transports, *Resumability*).
  static func resumption(of event: borrowing Buffer, _ range: Range<Int>) -> [UInt8] {
    var kept: [UInt8] = []
    var start = range.lowerBound
    while start < range.upperBound {
      var end = start
      while end < range.upperBound, event[end] != 0x0A, event[end] != 0x0D { end += 1 }
      if event.hasPrefix(start..<end, "id:") || event.hasPrefix(start..<end, "retry:") {
        kept += event.array(start..<end)
        kept.append(0x0A)
      }
      start = end + 1
    }
    return kept
  }
}
