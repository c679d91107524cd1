internal import Basics

/// Bounds of one answer.
struct RESPLimits: Sendable {
  /// Longest string in bytes.
  var bulkBytes = 16 * 1024 * 1024
  /// Longest line in bytes, without its end: numbers, simple strings, errors.
  var lineBytes = 64 * 1024
  /// Values in one answer, arrays included, however they are nested.
  var values = 1 << 20
  /// Bytes of all strings in one answer.
  var totalBytes = 64 * 1024 * 1024
  /// Arrays in arrays.
  var depth = 8
}

/// What is not RESP2, or goes beyond the limits.
struct RESPViolation: Error, Equatable {
  let text: String
}

/// Reads answers in RESP2 (Redis serialization protocol specification) from bytes that come in any pieces.
///
/// Grammar: `+text CRLF`, `-text CRLF`, `:number CRLF`, `$length CRLF bytes CRLF`, `*count CRLF values`; a length or count of -1 is
/// null. Strict: a line holds neither CR nor LF, numbers have no leading zeros and no plus. A declared length reserves nothing beyond
/// what came. What it has read of an answer it has consumed, so that no byte is looked at again with every piece.
struct RESPParser {
  private struct OpenArray {
    var values: [RedisValue] = []
    var missing: Int
  }

  private let limits: RESPLimits
  private var open: [OpenArray] = []
  /// Bytes that the string begun has.
  private var bulkLength: Int?
  /// Bytes at the buffer's start known to hold no line end.
  private var scanned = 0
  private var values = 0
  private var totalBytes = 0

  init(limits: RESPLimits = RESPLimits()) { self.limits = limits }

  /// Whether an answer has begun and not ended.
  var isInside: Bool { !open.isEmpty || bulkLength != nil }

  /// Takes the next whole answer out of the buffer.
  ///
  /// - Returns: nil when more bytes are needed.
  /// - Throws: the parser is of no use afterwards.
  mutating func next(_ buffer: inout Buffer) throws(RESPViolation) -> RedisValue? {
    while let value = try element(&buffer) {
      if let whole = close(value) {
        values = 0
        totalBytes = 0
        return whole
      }
    }
    return nil
  }

  /// Puts a value into the array it belongs to. - Returns: the whole answer once it is complete.
  private mutating func close(_ value: RedisValue) -> RedisValue? {
    var value = value
    // An array that has just begun is not complete.
    while var last = open.popLast() {
      last.values.append(value)
      last.missing -= 1
      guard last.missing == 0 else {
        open.append(last)
        return nil
      }
      value = .array(last.values)
    }
    return value
  }

  /// The next value that is no array with elements; those are opened by the way.
  private mutating func element(_ buffer: inout Buffer) throws(RESPViolation) -> RedisValue? {
    while true {
      if let length = bulkLength { return try bulk(length, &buffer) }
      guard let end = try lineEnd(buffer) else { return nil }
      let line = 1..<end
      let type = buffer[0]
      values += 1
      guard values <= limits.values else { throw RESPViolation(text: "an answer of too many values") }
      defer { buffer.consume(end + 2) }
      switch type {
      case UInt8(ascii: "+"):
        try count(line.count)
        return .bytes(buffer.array(line))
      case UInt8(ascii: "-"):
        try count(line.count)
        return .error(buffer.string(line))
      case UInt8(ascii: ":"): return .integer(try number(buffer, line))
      case UInt8(ascii: "$"):
        guard let length = try length(buffer, line, limits.bulkBytes) else { return .null }
        try count(length)
        bulkLength = length
      case UInt8(ascii: "*"):
        guard let count = try length(buffer, line, limits.values - values) else { return .null }
        guard count > 0 else { return .array([]) }
        guard open.count < limits.depth else { throw RESPViolation(text: "arrays nested too deep") }
        open.append(OpenArray(missing: count))
      default: throw RESPViolation(text: "a value of unknown type \(type)")
      }
    }
  }

  private mutating func count(_ bytes: Int) throws(RESPViolation) {
    totalBytes += bytes
    guard totalBytes <= limits.totalBytes else { throw RESPViolation(text: "an answer of too many bytes") }
  }

  private mutating func bulk(_ length: Int, _ buffer: inout Buffer) throws(RESPViolation) -> RedisValue? {
    // `length` is within the limits, far from an overflow.
    guard buffer.count >= length + 2 else { return nil }
    guard buffer[length] == 0x0D, buffer[length + 1] == 0x0A else {
      throw RESPViolation(text: "a string longer than its length")
    }
    bulkLength = nil
    let bytes = buffer.array(0..<length)
    buffer.consume(length + 2)
    return .bytes(bytes)
  }

  /// Where the first line's CR stands. There is at least the type before it.
  private mutating func lineEnd(_ buffer: borrowing Buffer) throws(RESPViolation) -> Int? {
    let feed = buffer.firstIndex(of: 0x0A, from: min(scanned, buffer.count))
    guard let feed else {
      guard buffer.count <= limits.lineBytes + 2 else { throw RESPViolation(text: "a line too long") }
      scanned = buffer.count
      return nil
    }
    scanned = 0
    guard feed >= 2, buffer[feed - 1] == 0x0D, buffer.firstIndex(of: 0x0D) == feed - 1 else {
      throw RESPViolation(text: "a line that does not end as lines do")
    }
    guard feed - 2 <= limits.lineBytes else { throw RESPViolation(text: "a line too long") }
    return feed - 1
  }

  /// A number in decimal digits, perhaps negative.
  private func number(_ buffer: borrowing Buffer, _ line: Range<Int>) throws(RESPViolation) -> Int64 {
    let violation = RESPViolation(text: "a number that is none")
    guard !line.isEmpty else { throw violation }
    let isNegative = buffer[line.lowerBound] == UInt8(ascii: "-")
    let digits = isNegative ? line.dropFirst() : line
    guard (1...19).contains(digits.count), digits.count == 1 || buffer[digits.lowerBound] != UInt8(ascii: "0")
    else { throw violation }
    guard let magnitude = ASCII.decimal(buffer.span, digits, maxDigits: 19) else { throw violation }
    if isNegative {
      guard magnitude > 0, magnitude <= Int64.min.magnitude else { throw violation }
      return magnitude == Int64.min.magnitude ? .min : -Int64(magnitude)
    }
    guard let number = Int64(exactly: magnitude) else { throw violation }
    return number
  }

  /// A length or a count; nil for -1.
  private func length(_ buffer: borrowing Buffer, _ line: Range<Int>, _ limit: Int) throws(RESPViolation)
    -> Int?
  {
    let number = try number(buffer, line)
    if number == -1 { return nil }
    guard number >= 0, number <= limit else { throw RESPViolation(text: "a length beyond the limit") }
    return Int(number)
  }
}
