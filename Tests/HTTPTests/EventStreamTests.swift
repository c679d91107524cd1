import Basics
import Testing

@testable import HTTP

/// The pieces of a stream: events as they are, passed-through bytes in brackets.
private func split(_ text: String, limit: Int, cuts: [Int]) -> [String] {
  let bytes = Array(text.utf8)
  var splitter = EventStreamSplitter(maxEventBytes: limit)
  var buffer = Buffer()
  var pieces: [String] = []
  var passed = ""
  var start = 0
  for cut in cuts + [bytes.count] {
    buffer.append(bytes[start..<cut])
    start = cut
    feeding: while true {
      switch splitter.next(buffer) {
      case .needMore: break feeding
      case .event(let count):
        pieces.append(buffer.string(0..<count))
        buffer.consume(count)
      case .passThrough(let count, let isLast):
        passed += buffer.string(0..<count)
        buffer.consume(count)
        if isLast {
          pieces.append("[\(passed)]")
          passed = ""
        }
      }
    }
  }
  return pieces + (passed.isEmpty ? [] : ["<\(passed)"]) + (buffer.isEmpty ? [] : ["…" + buffer.string()])
}

@Suite struct EventStreamTests {
  @Test(arguments: [
    ("data: a\n\ndata: b\n\n", ["data: a\n\n", "data: b\n\n"]),
    ("data: a\r\n\r\nid: 1\r\ndata: b\r\n\r\n", ["data: a\r\n\r\n", "id: 1\r\ndata: b\r\n\r\n"]),
    (": ping\n\n", [": ping\n\n"]), ("\u{FEFF}data: a\n\nx", ["\u{FEFF}data: a\n\n", "…x"]),
    ("data: a\n", ["…data: a\n"]), ("\n\ndata\n\n", ["\n", "\n", "data\n\n"]),
  ]) func `events end at an empty line`(text: String, events: [String]) {
    #expect(split(text, limit: 100, cuts: []) == events)
    for cut in 0...text.utf8.count {
      // The bytes of all pieces are the stream; a CRLF cut in two may travel with the next event.
      let pieces = split(text, limit: 100, cuts: [cut])
      #expect(pieces.joined().replacing("…", with: "") == text, "split at \(cut)")
      if !text.utf8.contains(0x0D) { #expect(pieces == events, "split at \(cut)") }
    }
  }

  @Test func `a lone CR ends lines too`() {
    #expect(split("data: a\r\rdata: b\r\r", limit: 100, cuts: []) == ["data: a\r\r", "data: b\r\r"])
  }

  @Test func `an event that ends in CR goes out at once and its LF follows`() {
    let text = "data: a\r\n\r\ndata: b\r\n\r\n"
    let end = "data: a\r\n\r".utf8.count
    #expect(split(text, limit: 100, cuts: [end]) == ["data: a\r\n\r", "\n", "data: b\r\n\r\n"])
  }

  @Test func `bytes one at a time give the same fields`() {
    let text = "event: x\r\ndata: a\r\n\r\ndata: b\n\n: c\r\r"
    let pieces = split(text, limit: 100, cuts: Array(0..<text.utf8.count))
    #expect(pieces.joined() == text)
    #expect(pieces.filter { $0.contains("data") } == ["event: x\r\ndata: a\r\n\r", "data: b\n\n"])
  }

  @Test func `an event beyond the limit passes and the next one is seen again`() {
    let long = "data: " + String(repeating: "x", count: 50) + "\n\n"
    let text = long + "data: b\n\n"
    #expect(split(text, limit: 20, cuts: []) == ["[\(long)]", "data: b\n\n"])
    for cut in 0..<text.utf8.count {
      #expect(split(text, limit: 20, cuts: [cut]) == ["[\(long)]", "data: b\n\n"], "split at \(cut)")
    }
    #expect(split(text, limit: 20, cuts: Array(0..<text.utf8.count)) == ["[\(long)]", "data: b\n\n"])
  }

  @Test func `bytes of our own fit only between events`() {
    var splitter = EventStreamSplitter(maxEventBytes: 10)
    var buffer = Buffer("data: a\n\n")
    #expect(splitter.isBetweenEvents)
    _ = splitter.next(buffer)
    #expect(splitter.isBetweenEvents)
    buffer.removeAll()
    buffer.append("da" as StaticString)
    _ = splitter.next(buffer)
    #expect(!splitter.isBetweenEvents)
  }

  @Test(
    arguments: [
      ("event: message\ndata: {\"a\":1}\n\n", "message", "{\"a\":1}", 1),
      ("data:x\r\ndata: y\r\n\r\n", nil, "x\ny", 2),
      ("\u{FEFF}data: x\n\n", nil, "x", 1), (": c\nid: 7\n\n", nil, "", 0),
      ("data\ndata:  z\n\n", nil, "\n z", 2),
      ("\ndata: x\n\n", nil, "x", 1), ("dataset: x\nevent:y\n\n", "y", "", 0),
    ] as [(String, String?, String, Int)]) func `fields of an event are read`(
      text: String, type: String?, data: String, lines: Int
    )
  {
    let buffer = Buffer(text)
    let range = 0..<buffer.count
    let fields = EventFields(buffer, range)
    var joined = Buffer()
    EventFields.appendData(of: buffer, range, to: &joined)
    let (foundType, foundData) = (fields.type.map { buffer.string($0) }, joined.string())
    let first = fields.data.map { buffer.string($0) }
    #expect(foundType == type)
    #expect(foundData == data)
    #expect(fields.dataLines == lines)
    if lines == 1 { #expect(first == data) }
  }
}
