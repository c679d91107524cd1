import Basics

@testable import HTTP
@testable import Wire

extension Target {
  /// A stream of server-sent events: no byte is lost or moved, and the events are those that a browser finds.
  static let eventStream = Target("event-stream") { input in
    var choice = Choice(input)
    let roomy = EventReading(input, cuts: choice.cuts(of: input.count), limit: input.count + 1)
    expectEqual(roomy.bytes, input, "every byte passes, in order")
    expectEqual(roomy.events, PlainEvents(input).events, "the events are those that a browser finds")
    let limit = 1 + choice.next(below: 24)
    let tight = EventReading(input, cuts: choice.cuts(of: input.count), limit: limit)
    expectEqual(tight.bytes, input, "every byte passes, in order, when events are too long")
    let bySingleBytes = EventReading(input, cuts: Array(0...input.count), limit: limit)
    expectEqual(bySingleBytes.bytes, input, "every byte passes, in order, one by one")
    asEvent(input, &choice)
  }

  /// A body that is made into an event of ours is read as one event with the same lines.
  private static func asEvent(_ body: [UInt8], _ choice: inout Choice) {
    var event = MessageEvent()
    var out = Buffer()
    var start = 0
    for end in choice.cuts(of: body.count) {
      event.append(Buffer(Array(body[start..<end])), to: &out)
      start = end
    }
    event.end(to: &out)
    var lines = PlainEvents.lines(of: body)
    if lines.last != nil || !body.isEmpty { lines.append(PlainEvents.unfinished(of: body)) }
    let expected =
      body.isEmpty
      ? []
      : [
        PlainEvents.Event(type: Array("message".utf8), id: nil, data: Array(lines.joined(separator: [0x0A])))
      ]
    expectEqual(PlainEvents(out.array()).events, expected, "a body is one event")
  }
}

/// A stream cut into events by the product.
private struct EventReading {
  var bytes: [UInt8] = []
  var events: [PlainEvents.Event] = []

  init(_ input: [UInt8], cuts: [Int], limit: Int) {
    var splitter = EventStreamSplitter(maxEventBytes: limit)
    var buffer = Buffer()
    var start = 0
    for end in cuts {
      buffer.append(input[start..<end])
      start = end
      taking: while true {
        let count: Int
        switch splitter.next(buffer) {
        case .needMore: break taking
        case .event(let size):
          count = size
          expect(
            count > 0 && count <= min(buffer.count, limit), "an event is in the buffer and within the limit")
          note(buffer, count)
        case .passThrough(let size, _):
          count = size
          expect(count > 0 && count <= buffer.count, "a piece is in the buffer")
        }
        bytes += buffer.array(0..<count)
        buffer.consume(count)
        if splitter.isBetweenEvents, buffer.isEmpty {
          expect(PlainEvents(bytes).isBetweenEvents, "between events is where a browser is between events")
        }
      }
      expect(buffer.count <= limit, "no more is held than the limit")
    }
    bytes += buffer.array()
  }

  private mutating func note(_ buffer: borrowing Buffer, _ count: Int) {
    let fields = EventFields(buffer, 0..<count)
    for range in [fields.type, fields.id, fields.data] {
      expectInside(range, 0..<count, "a field is in its event")
    }
    guard fields.dataLines > 0 else { return }
    var data = Buffer()
    EventFields.appendData(of: buffer, 0..<count, to: &data)
    if fields.dataLines == 1, let range = fields.data {
      expectEqual(buffer.array(range), data.array(), "one line is the whole data")
    }
    events.append(
      PlainEvents.Event(
        type: fields.type.map { buffer.array($0) } ?? [], id: fields.id.map { buffer.array($0) },
        data: data.array()))
  }
}

/// Events as WHATWG HTML §9.2.6 has a browser read them, line by line. Only events with data are dispatched.
private struct PlainEvents {
  struct Event: Equatable {
    var type: [UInt8] = []
    var id: [UInt8]?
    var data: [UInt8] = []
  }

  private(set) var events: [Event] = []
  /// Nothing has been said since the last empty line.
  private(set) var isBetweenEvents = true

  init(_ input: [UInt8]) {
    var event = Event()
    var hasData = false
    var isFirstLine = true
    for line in Self.lines(of: input) {
      isBetweenEvents = line.isEmpty
      guard !line.isEmpty else {
        if hasData { events.append(event) }
        (event, hasData, isFirstLine) = (Event(), false, true)
        continue
      }
      defer { isFirstLine = false }
      // The product takes the mark for one at the start of every event; a browser knows it at the start of the stream.
      let text = isFirstLine && line.starts(with: [0xEF, 0xBB, 0xBF]) ? line.dropFirst(3) : line[...]
      let name = text.prefix { $0 != UInt8(ascii: ":") }
      var value = text.dropFirst(name.count + 1)
      if value.first == 0x20 { value = value.dropFirst() }
      switch Array(name).text {
      case "data":
        event.data += (hasData ? [0x0A] : []) + value
        hasData = true
      case "event": event.type = Array(value)
      case "id": event.id = Array(value)
      default: break
      }
    }
    if !Self.unfinished(of: input).isEmpty { isBetweenEvents = false }
  }

  /// The complete lines, whichever of the three line ends they have.
  static func lines(of input: [UInt8]) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    var line: [UInt8] = []
    var isAfterReturn = false
    for byte in input {
      defer { isAfterReturn = byte == 0x0D }
      if byte == 0x0A && isAfterReturn { continue }
      if byte == 0x0A || byte == 0x0D {
        lines.append(line)
        line = []
      } else {
        line.append(byte)
      }
    }
    return lines
  }

  /// What follows the last line end.
  static func unfinished(of input: [UInt8]) -> [UInt8] {
    Array(input.reversed().prefix { $0 != 0x0A && $0 != 0x0D }.reversed())
  }
}
