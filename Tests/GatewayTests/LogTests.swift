import Basics
import Foundation
import JSON
import Logging
import Testing

@testable import Gateway

/// A sink whose lines can be read back.
final class Catcher {
  private let pipe = Pipe()
  let sink: LogSink

  init(capacity: Int = 1 << 20) {
    sink = LogSink(descriptor: pipe.fileHandleForWriting.fileDescriptor, capacity: capacity)
  }

  /// Everything written, as one text; ends the catching. At most what a pipe holds.
  func text() throws -> String {
    sink.drain()
    try pipe.fileHandleForWriting.close()
    return String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
  }

  /// The lines, each whole.
  func lines() throws -> [String] {
    let text = try text()
    if text.isEmpty { return [] }
    #expect(text.hasSuffix("\n"))
    return text.dropLast().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }
}

@Suite struct LogSinkTests {
  @Test func `lines leave in the order they were written`() throws {
    let catcher = Catcher()
    for number in 0..<500 { catcher.sink.write(Array("line \(number)\n".utf8)) }
    #expect(try catcher.lines() == (0..<500).map { "line \($0)" })
  }

  @Test func `lines of many threads stay whole`() throws {
    let catcher = Catcher()
    let sink = catcher.sink
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      for number in 0..<50 { sink.write(Array("\(thread):\(number)\n".utf8)) }
    }
    let lines = try catcher.lines()
    #expect(lines.count == 400)
    for thread in 0..<8 {
      #expect(lines.filter { $0.hasPrefix("\(thread):") } == (0..<50).map { "\(thread):\($0)" })
    }
  }

  @Test func `what is too much is dropped and counted`() throws {
    let catcher = Catcher(capacity: 16)
    for _ in 0..<3 { catcher.sink.write([UInt8](repeating: 65, count: 17)) }
    catcher.sink.write(Array("kept\n".utf8))
    let lines = try catcher.lines()
    #expect(lines.count == 2)
    #expect(lines.first == "kept")
    #expect(lines.last?.contains("\"count\":3") == true)
  }

  @Test func `nobody reading is no reason to stop`() {
    let sink = LogSink(descriptor: -1)
    sink.write(Array("x\n".utf8))
    sink.drain()
    sink.write(Array("y\nz\n".utf8))
    sink.drain()
    #expect(sink.dropped == 3)
  }

  @Test func `a full pipe holds up neither writers nor the end`() throws {
    let pipe = Pipe()
    let sink = LogSink(descriptor: pipe.fileHandleForWriting.fileDescriptor, capacity: 1 << 20)
    let line = [UInt8](repeating: 65, count: 1023) + [10]
    for _ in 0..<4096 { sink.write(line) }
    #expect(sink.dropped > 1000)
    sink.drain()
    // Whoever reads at last gets whole lines, and hears how many are missing.
    let reader = pipe.fileHandleForReading
    var text = ""
    while !text.contains("log lines dropped") {
      text += String(decoding: reader.availableData, as: UTF8.self)
    }
    #expect(text.contains("\"count\":\(sink.dropped)"))
  }

  @Test func `a pipe that does not block loses nothing`() throws {
    let pipe = Pipe()
    let descriptor = pipe.fileHandleForWriting.fileDescriptor
    #expect(fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0)
    let sink = LogSink(descriptor: descriptor)
    let line = [UInt8](repeating: 65, count: 1023) + [10]
    for _ in 0..<1024 { sink.write(line) }
    var count = 0
    while count < 1 << 20 { count += pipe.fileHandleForReading.availableData.count }
    #expect(count == 1 << 20 && sink.dropped == 0)
  }
}

@Suite struct LineLogTests {
  static let hostile = [
    "plain", "two\nlines", "carriage\rreturn", "quote\" and \\ back", "{\"level\":\"critical\"}", "tab\there",
    "nul\u{0}bell\u{7}esc\u{1B}[31m", "del\u{7F}", "\r\n2026-01-01 critical forged: yes", "é\u{1F511}", "",
  ]

  static func logged(
    _ format: LogFormat, label: String = "test", _ body: (Logger) -> Void, level: Logger.Level = .trace
  ) throws
    -> [String]
  {
    let catcher = Catcher()
    let sink = catcher.sink
    let logger = Logger(label: label) { label in
      LineLogHandler(label: label, sink: sink, format: format, level: level)
    }
    body(logger)
    return try catcher.lines()
  }

  @Test(arguments: hostile) func `a JSON record is one line that says what was meant`(text: String) throws {
    let lines = try Self.logged(.json, label: "test.\"label\"\n") {
      $0.warning("\(text)", metadata: ["detail": .string(text), "a\"\nb": "x"])
    }
    #expect(lines.count == 1)
    let record = try JSONValue.parse(try #require(lines.first))
    #expect(record["message"]?.string == text)
    #expect(record["detail"]?.string == text)
    #expect(record["level"]?.string == "warning")
    #expect(record["logger"]?.string == "test.\"label\"\n")
    #expect(record["a\"\nb"]?.string == "x")
    #expect(record["time"]?.string?.hasSuffix("Z") == true)
  }

  @Test(arguments: hostile) func `a text record is one line without control characters`(text: String) throws {
    let lines = try Self.logged(.text) { $0.warning("\(text)", metadata: ["detail": .string(text)]) }
    #expect(lines.count == 1)
    let line = try #require(lines.first)
    #expect(line.contains(" warning "))
    #expect(line.contains("detail=\""))
    let body = line.dropFirst(
      line.distance(from: line.startIndex, to: line.firstIndex(of: "=") ?? line.startIndex))
    #expect(!body.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F })
  }

  @Test func `a record below the level is not written`() throws {
    let lines = try Self.logged(
      .json,
      { logger in
        logger.info("no")
        logger.notice("yes")
      }, level: .notice)
    #expect(lines.count == 1)
    #expect(lines.first?.contains("\"yes\"") == true)
  }

  @Test func `a record's own metadata wins over the logger's`() throws {
    let lines = try Self.logged(.json) { logger in
      var logger = logger
      logger[metadataKey: "a"] = "logger"
      logger[metadataKey: "b"] = "logger"
      logger.info("x", metadata: ["a": "record"])
    }
    let record = try JSONValue.parse(try #require(lines.first))
    #expect(record["a"]?.string == "record")
    #expect(record["b"]?.string == "logger")
  }
}

@Suite struct AccessLogTests {
  static func line(
    _ format: LogFormat, method: String = "POST", mcpMethod: String? = "tools/call", name: String? = "add",
    isOn: Bool = true
  ) throws -> [String] {
    let catcher = Catcher()
    var log = AccessLog(sink: catcher.sink, format: format, isOn: isOn)
    let head = Buffer(method + " /mcp?code=s3cret HTTP/1.1\r\nAuthorization: Bearer s3cret\r\n\r\n")
    let body = Buffer((mcpMethod ?? "") + (name ?? "") + "{\"arguments\":\"s3cret\"}")
    let split = mcpMethod?.utf8.count ?? 0
    log.append(
      AccessLog.Record(
        requestID: 0xAB, status: 200, route: "/mcp", microseconds: 1500, upstreamMicroseconds: 900,
        bytesIn: 10,
        bytesOut: 20, outcome: "answered"),
      method: 0..<method.utf8.count, in: head, mcpMethod: mcpMethod.map { _ in 0..<split },
      mcpName: name.map { split..<split + $0.utf8.count }, in: body)
    log.flush()
    return try catcher.lines()
  }

  @Test func `a JSON line has what is told of a request`() throws {
    let lines = try Self.line(.json)
    let record = try JSONValue.parse(try #require(lines.first))
    #expect(lines.count == 1)
    #expect(record["method"]?.string == "POST" && record["route"]?.string == "/mcp")
    #expect(record["mcp_method"]?.string == "tools/call" && record["mcp_name"]?.string == "add")
    #expect(record["status"]?.int64 == 200 && record["duration_us"]?.int64 == 1500)
    #expect(
      record["upstream_us"]?.int64 == 900 && record["bytes_in"]?.int64 == 10
        && record["bytes_out"]?.int64 == 20)
    #expect(record["outcome"]?.string == "answered")
    #expect(record["request_id"]?.string?.hasSuffix("ab") == true)
  }

  @Test func `a plain request has no MCP names`() throws {
    let record = try JSONValue.parse(try #require(try Self.line(.json, mcpMethod: nil, name: nil).first))
    #expect(record["mcp_method"] == nil && record["mcp_name"] == nil)
  }

  @Test(arguments: [LogFormat.json, .text]) func `nothing secret and no query is in a line`(format: LogFormat)
    throws
  {
    for line in try Self.line(format) {
      #expect(!line.contains("s3cret") && !line.contains("?") && !line.contains("code"))
    }
  }

  @Test(
    arguments: [
      "a\"b", "a\\\"b", "a\nb", "a\r\nb", "a b", "a\u{0}b", "a\u{1B}[31mb", "é", "\u{1F511}",
      "\"},{\"level\":\"critical\"",
      "a status=500", String(repeating: "x", count: 5000), "",
    ], [LogFormat.json, .text])
  func `names a caller chose stay names`(hostile: String, format: LogFormat) throws {
    let lines = try Self.line(format, method: "POST", mcpMethod: hostile, name: hostile)
    #expect(lines.count == 1)
    let line = try #require(lines.first)
    #expect(line.utf8.count < 1000)
    #expect(line.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
    switch format {
    case .json:
      let record = try JSONValue.parse(line)
      #expect(record["status"]?.int64 == 200 && record["level"]?.string == "info")
      #expect(record["mcp_name"]?.string?.utf8.count == min(128, hostile.utf8.count))
    case .text:
      #expect(line.components(separatedBy: " status=").count == 2)
    }
  }

  @Test func `a log that is off writes nothing`() throws {
    #expect(try Self.line(.json, isOn: false).isEmpty)
  }

  @Test func `lines leave by themselves when enough have come`() throws {
    let catcher = Catcher()
    var log = AccessLog(sink: catcher.sink, format: .json, isOn: true)
    let empty = Buffer("GET")
    let record = AccessLog.Record(
      requestID: 1, status: 200, route: "/", microseconds: 1, upstreamMicroseconds: 1, bytesIn: 1,
      bytesOut: 1,
      outcome: "answered")
    for _ in 0..<200 {
      log.append(record, method: 0..<3, in: empty, mcpMethod: nil, mcpName: nil, in: empty)
    }
    let count = try catcher.lines().count
    #expect(count > 0 && count < 200)
  }
}
