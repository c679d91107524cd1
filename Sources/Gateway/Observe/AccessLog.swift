internal import Basics

/// Writes one line for each request, built from bytes without strings, handed to the log sink in batches.
///
/// Never in a line: tokens, cookies, codes, queries, bodies, tool arguments. Of an address only the
/// route's prefix is written, `-` for own endpoints and for addresses without a route.
///
/// Owner: its loop. Bound: `flushBytes` wait at most until the next turn of the loop's flush timer.
struct AccessLog: ~Copyable {
  /// What is told of one request.
  struct Record {
    var requestID: UInt64
    var status: Int
    var route: String
    var microseconds: UInt64
    var upstreamMicroseconds: UInt64
    var bytesIn: UInt64
    var bytesOut: UInt64
    var outcome: StaticString
  }

  static let flushBytes = 32 * 1024
  private let sink: LogSink
  private let format: LogFormat
  private let isOn: Bool
  private var pending = Buffer()

  init(sink: LogSink, format: LogFormat, isOn: Bool) {
    self.sink = sink
    self.format = format
    self.isOn = isOn
  }

  var isEnabled: Bool { isOn }

  /// Appends a line.
  ///
  /// - Parameters:
  ///   - head: where the method is cut from.
  ///   - body: where the MCP method and name are cut from.
  mutating func append(
    _ record: borrowing Record, method: Range<Int>, in head: borrowing Buffer, mcpMethod: Range<Int>?,
    mcpName: Range<Int>?, in body: borrowing Buffer
  ) {
    guard isOn else { return }
    let time = Timestamp.now().rfc3339
    switch format {
    case .json:
      pending.append("{\"time\":\"")
      pending.append(time)
      pending.append("\",\"level\":\"info\",\"logger\":\"access\",\"message\":\"request\",\"request_id\":\"")
      pending.append(hex: record.requestID)
      pending.append("\",\"method\":")
      appendQuoted(head, method)
      pending.append(",\"route\":\"")
      pending.append(record.route)
      pending.append("\"")
      if let mcpMethod {
        pending.append(",\"mcp_method\":")
        appendQuoted(body, mcpMethod)
      }
      if let mcpName {
        pending.append(",\"mcp_name\":")
        appendQuoted(body, mcpName)
      }
      number(",\"status\":", UInt64(max(0, record.status)))
      number(",\"duration_us\":", record.microseconds)
      number(",\"upstream_us\":", record.upstreamMicroseconds)
      number(",\"bytes_in\":", record.bytesIn)
      number(",\"bytes_out\":", record.bytesOut)
      pending.append(",\"outcome\":\"")
      pending.append(record.outcome)
      pending.append("\"}\n")
    case .text:
      pending.append(time)
      pending.append(" info access: ")
      appendPlain(head, method)
      pending.append(" ")
      pending.append(record.route)
      if let mcpMethod {
        pending.append(" ")
        appendPlain(body, mcpMethod)
      }
      if let mcpName {
        pending.append(" ")
        appendPlain(body, mcpName)
      }
      number(" status=", UInt64(max(0, record.status)))
      number(" us=", record.microseconds)
      number(" upstream_us=", record.upstreamMicroseconds)
      number(" in=", record.bytesIn)
      number(" out=", record.bytesOut)
      pending.append(" outcome=")
      pending.append(record.outcome)
      pending.append(" request_id=")
      pending.append(hex: record.requestID)
      pending.append("\n")
    }
    if pending.count >= AccessLog.flushBytes { flush() }
  }

  /// Hands over what waits.
  mutating func flush() {
    guard !pending.isEmpty else { return }
    sink.write(pending.array())
    pending.removeAll()
  }

  private mutating func number(_ name: StaticString, _ value: UInt64) {
    pending.append(name)
    pending.append(decimal: value)
  }

  /// A JSON string of at most 128 bytes. Bytes that JSON or a terminal would act on become `?`: a log line is no place for tricks.
  private mutating func appendQuoted(_ input: borrowing Buffer, _ range: Range<Int>) {
    pending.append(UInt8(ascii: "\""))
    appendPlain(input, range)
    pending.append(UInt8(ascii: "\""))
  }

  private mutating func appendPlain(_ input: borrowing Buffer, _ range: Range<Int>) {
    for index in range.prefix(128) {
      let byte = input[index]
      let isSafe = byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
      pending.append(isSafe ? byte : UInt8(ascii: "?"))
    }
  }
}
