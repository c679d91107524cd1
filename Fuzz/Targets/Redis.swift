import Basics

@testable import Redis

extension Target {
  /// A server's answers: one reading however they arrive, within the limits, and nothing ill-formed made of them.
  static let redis = Target("redis") { input in
    var choice = Choice(input)
    let limits =
      choice.next(below: 2) == 0
      ? RESPLimits() : RESPLimits(bulkBytes: 12, lineBytes: 16, values: 6, totalBytes: 24, depth: 2)
    let whole = AnswerReading(input, cuts: [input.count], limits)
    expectEqual(
      whole, AnswerReading(input, cuts: choice.cuts(of: input.count), limits), "in pieces it is the same")
    expectEqual(
      whole, AnswerReading(input, cuts: Array(0...input.count), limits), "byte by byte it is the same")
    var again: [UInt8] = []
    for value in whole.values {
      let size = measure(value)
      expect(size.values <= limits.values, "an answer has no more values than may be")
      expect(size.bytes <= limits.totalBytes, "an answer has no more bytes than may be")
      expect(size.depth <= limits.depth, "an answer is nested no deeper than may be")
      write(value, to: &again)
      cluster(value)
    }
    let roomy = AnswerReading(again, cuts: [again.count], RESPLimits())
    expectEqual(roomy.values, whole.values, "what is written again is read again")
    expect(!roomy.isRefused && roomy.rest == 0, "nothing else is written")
    expect((0..<ClusterSlots.count).contains(ClusterSlots.slot(of: input)), "a key has a slot")
  }

  private static func measure(_ value: RedisValue) -> (values: Int, bytes: Int, depth: Int) {
    switch value {
    case .null, .integer: return (1, 0, 0)
    case .bytes(let bytes): return (1, bytes.count, 0)
    // Wrong UTF-8 grows when it is repaired.
    case .error: return (1, 0, 0)
    case .array(let elements):
      var sum = (values: 1, bytes: 0, depth: 0)
      for element in elements.map(measure) {
        sum = (sum.values + element.values, sum.bytes + element.bytes, max(sum.depth, element.depth))
      }
      return (sum.values, sum.bytes, elements.isEmpty ? 0 : sum.depth + 1)
    }
  }

  private static func write(_ value: RedisValue, to out: inout [UInt8]) {
    switch value {
    case .null: out += Array("$-1\r\n".utf8)
    case .integer(let number): out += Array(":\(number)\r\n".utf8)
    case .bytes(let bytes): out += Array("$\(bytes.count)\r\n".utf8) + bytes + [0x0D, 0x0A]
    case .error(let text): out += Array("-\(text)\r\n".utf8)
    case .array(let elements):
      out += Array("*\(elements.count)\r\n".utf8)
      for element in elements { write(element, to: &out) }
    }
  }

  /// As if a cluster's node had said it.
  private static func cluster(_ value: RedisValue) {
    let origin = RedisEndpoint(host: "origin", port: 1)
    func check(_ endpoint: RedisEndpoint) {
      expect(endpoint.port > 0 && !endpoint.host.isEmpty, "an endpoint can be reached")
      expect(
        endpoint.host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a host does not break a line of the log")
    }
    if let map = ClusterMap(value, by: origin) {
      expect(!map.masters.isEmpty && map.masters.count <= ClusterMap.maxMasters, "a map has masters")
      for master in map.masters { check(master) }
    }
    if let redirect = ClusterRedirect(value, by: origin) { check(redirect.endpoint) }
  }
}

/// Answers read from bytes that arrive in pieces.
private struct AnswerReading: Equatable {
  var values: [RedisValue] = []
  var rest = 0
  var isRefused = false

  init(_ input: [UInt8], cuts: [Int], _ limits: RESPLimits) {
    var parser = RESPParser(limits: limits)
    var buffer = Buffer()
    var start = 0
    do throws(RESPViolation) {
      for end in cuts {
        buffer.append(input[start..<end])
        start = end
        while let value = try parser.next(&buffer) { values.append(value) }
      }
      rest = buffer.count
    } catch {
      isRefused = true
    }
  }
}
