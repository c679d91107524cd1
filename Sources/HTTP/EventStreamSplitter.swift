public import Basics

/// Cuts a stream of server-sent events (WHATWG HTML §9.2.5) into whole events without changing a byte.
///
/// Use: call ``next(_:)`` with the buffer of received bytes; for each result take the first `count` bytes and consume
/// exactly those before the next call. An event is everything up to and including the empty line that ends it. Lines end
/// in CR, LF or CRLF. An event longer than the limit is passed on in pieces until its end.
public struct EventStreamSplitter: Sendable {
  /// What stands at the start of the buffer.
  public enum Piece: Sendable, Equatable {
    /// No whole event yet.
    case needMore
    /// A whole event of that many bytes.
    case event(count: Int)
    /// Bytes of an event that is too long to be looked at; `isLast` when it ends there.
    case passThrough(count: Int, isLast: Bool)
  }

  /// Longest event that is held back to be seen whole, in bytes.
  public let maxEventBytes: Int

  /// Up to where the buffer was looked at.
  private var searched = 0
  private var isAtLineStart = true
  /// The last byte looked at was a CR, so a LF that follows belongs to the same line end.
  private var followsCarriageReturn = false
  /// Inside an event beyond the limit, whose pieces are passed on.
  private var isOversized = false

  /// A splitter at the start of a stream.
  public init(maxEventBytes: Int) { self.maxEventBytes = max(maxEventBytes, 1) }

  /// What stands at the start of `buffer`.
  public mutating func next(_ buffer: borrowing Buffer) -> Piece {
    let bytes = buffer.span
    var i = searched
    while i < bytes.count {
      let byte = bytes[i]
      i += 1
      switch byte {
      case 0x0A where followsCarriageReturn:
        followsCarriageReturn = false
        // The event before ended in a CR and went out at once; its LF follows alone, as an event without fields.
        if i == 1, isAtLineStart, !isOversized { return end(1) }
      case 0x0A, 0x0D:
        followsCarriageReturn = byte == 0x0D
        guard isAtLineStart else {
          isAtLineStart = true
          continue
        }
        // The empty line. A LF that already waits behind its CR goes with it.
        if followsCarriageReturn, i < bytes.count, bytes[i] == 0x0A {
          i += 1
          followsCarriageReturn = false
        }
        return end(i)
      default:
        isAtLineStart = false
        followsCarriageReturn = false
        i = lineEnd(buffer, bytes, i)
      }
    }
    searched = bytes.count
    guard isOversized || bytes.count > maxEventBytes else { return .needMore }
    guard !bytes.isEmpty else { return .needMore }
    isOversized = true
    searched = 0
    return .passThrough(count: bytes.count, isLast: false)
  }

  /// Whether the stream is between two events, so that bytes of our own may be written.
  public var isBetweenEvents: Bool { searched == 0 && !isOversized && isAtLineStart }

  private mutating func end(_ count: Int) -> Piece {
    let isPassed = isOversized || count > maxEventBytes
    searched = 0
    isAtLineStart = true
    isOversized = false
    return isPassed ? .passThrough(count: count, isLast: true) : .event(count: count)
  }

  /// The next CR or LF at or after `start`.
  private func lineEnd(_ buffer: borrowing Buffer, _ bytes: Span<UInt8>, _ start: Int) -> Int {
    var i = start
    while i < bytes.count, bytes[i] != 0x0A, bytes[i] != 0x0D { i &+= 1 }
    return i
  }
}

/// The fields of one event, as ranges.
public struct EventFields: Sendable, Equatable {
  /// The last `event` field: the event's type.
  public private(set) var type: Range<Int>?
  /// The last `id` field.
  public private(set) var id: Range<Int>?
  /// The first `data` field.
  public private(set) var data: Range<Int>?
  /// How many `data` fields there are; with one, ``data`` is the whole data.
  public private(set) var dataLines = 0

  /// Reads the event at `range`, which ``EventStreamSplitter`` found. A byte order mark at its start is skipped.
  public init(_ buffer: borrowing Buffer, _ range: Range<Int>) {
    var lines = EventLines(buffer, range)
    while let line = lines.next(buffer) {
      if buffer.equals(line.name, "data") {
        if dataLines == 0 { data = line.value }
        dataLines += 1
      } else if buffer.equals(line.name, "event") {
        type = line.value
      } else if buffer.equals(line.name, "id") {
        id = line.value
      }
    }
  }

  /// Appends the data of the event at `range`: its `data` fields joined by LF.
  public static func appendData(of buffer: borrowing Buffer, _ range: Range<Int>, to output: inout Buffer) {
    var lines = EventLines(buffer, range)
    var isFirst = true
    while let line = lines.next(buffer) {
      guard buffer.equals(line.name, "data") else { continue }
      if !isFirst { output.append(0x0A) }
      output.append(from: buffer, line.value)
      isFirst = false
    }
  }
}

/// The lines of one event as field name and value; comments and empty lines are skipped.
private struct EventLines {
  private var position: Int
  private let end: Int

  init(_ buffer: borrowing Buffer, _ range: Range<Int>) {
    let hasMark = buffer.hasPrefix(range, "\u{FEFF}")
    position = range.lowerBound + (hasMark ? 3 : 0)
    end = range.upperBound
  }

  mutating func next(_ buffer: borrowing Buffer) -> (name: Range<Int>, value: Range<Int>)? {
    let bytes = buffer.span
    while position < end {
      let start = position
      var stop = start
      while stop < end, bytes[stop] != 0x0A, bytes[stop] != 0x0D { stop += 1 }
      position = stop + 1
      guard stop > start, bytes[start] != UInt8(ascii: ":") else { continue }
      let colon = buffer.firstIndex(of: UInt8(ascii: ":"), in: start..<stop) ?? stop
      var value = min(colon + 1, stop)
      if value < stop, bytes[value] == 0x20 { value += 1 }
      return (start..<colon, value..<stop)
    }
    return nil
  }
}
