internal import Basics

/// Server-sent events made here, and the lines that a replacement has to keep of the one it replaces.
enum EventLines {
  /// `body`, JSON without newlines, as one event.
  static func message(_ body: [UInt8]) -> [UInt8] {
    Array("event: message\ndata: ".utf8) + body + Array("\n\n".utf8)
  }

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
