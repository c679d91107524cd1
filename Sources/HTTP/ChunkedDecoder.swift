public import Basics

/// Takes a chunked body apart (RFC 9112 §7.1). Incremental: feed it whatever has arrived.
///
/// Strict: every line ends in CRLF, sizes are 1 to 16 hexadecimal digits, extensions are bounded and ignored. Trailer
/// field lines are kept, not merged into the head.
public struct ChunkedDecoder: Sendable {
  /// What a call achieved.
  public enum Progress: Sendable, Equatable {
    /// The input holds nothing more that can be decoded.
    case needMore
    /// `maxOutput` was reached; call again when the output has been taken.
    case progressed
    /// The body and its trailer are complete; what is left in the input belongs to the next message.
    case finished
  }

  private enum State: Sendable { case size, data, dataEnd, trailer, finished }

  private var state = State.size
  private var left: UInt64 = 0
  /// Up to where the input was searched for a line end without success.
  private var searched = 0
  private let maxTrailerBytes: Int
  private let decodingError: Int

  /// Trailer field lines as received, each with its CRLF; complete when decoding has finished.
  public private(set) var trailer: [UInt8] = []
  /// Body bytes delivered so far.
  public private(set) var bodyBytes: UInt64 = 0

  /// A size line carries at most this many bytes, extensions included: no known sender comes near.
  private static let maxSizeLine = 1024

  /// A decoder for one body, with a trailer of at most `maxTrailerBytes`, its empty line included. Malformed input is answered with `errorStatus`: 400 for a request, 502 for a response.
  public init(maxTrailerBytes: Int = 8 * 1024, errorStatus: Int = 400) {
    self.maxTrailerBytes = maxTrailerBytes
    decodingError = errorStatus
  }

  /// Whether the whole body has been seen.
  public var isFinished: Bool { state == .finished }

  /// Consumes from `input` and appends body bytes to `output`, at most `maxOutput` of them in this call.
  public mutating func decode(
    _ input: inout Buffer, into output: inout Buffer, maxOutput: Int = .max
  ) throws(HTTPError) -> Progress {
    var room = maxOutput
    while true {
      switch state {
      case .size:
        guard let lineEnd = try lineEnd(input, Self.maxSizeLine, "chunk size line too long") else {
          return .needMore
        }
        left = try chunkSize(input, lineEnd)
        input.consume(lineEnd + 2)
        state = left == 0 ? .trailer : .data
      case .data:
        guard !input.isEmpty else { return .needMore }
        guard room > 0 else { return .progressed }
        let count = Int(min(left, UInt64(min(input.count, room))))
        output.append(from: input, 0..<count)
        input.consume(count)
        room -= count
        left -= UInt64(count)
        bodyBytes &+= UInt64(count)
        if left == 0 { state = .dataEnd }
      case .dataEnd:
        guard input.count >= 1 else { return .needMore }
        guard input[0] == 0x0D else { throw HTTPError(decodingError, "chunk data without CRLF") }
        guard input.count >= 2 else { return .needMore }
        guard input[1] == 0x0A else { throw HTTPError(decodingError, "chunk data without CRLF") }
        input.consume(2)
        state = .size
      case .trailer:
        guard let lineEnd = try lineEnd(input, maxTrailerBytes - 1 - trailer.count, "trailer too long") else {
          return .needMore
        }
        if lineEnd == 0 {
          input.consume(2)
          state = .finished
          return .finished
        }
        try checkTrailerLine(input, lineEnd)
        trailer += input.array(0..<lineEnd + 2)
        input.consume(lineEnd + 2)
      case .finished: return .finished
      }
    }
  }

  /// The offset of the CR of the first line of `input`, or nil when the line is not complete.
  private mutating func lineEnd(
    _ input: borrowing Buffer, _ limit: Int, _ tooLong: StaticString
  ) throws(HTTPError) -> Int? {
    guard let newline = input.firstIndex(of: 0x0A, from: searched) else {
      searched = input.count
      guard input.count <= limit else { throw HTTPError(decodingError, tooLong) }
      return nil
    }
    searched = 0
    guard newline <= limit else { throw HTTPError(decodingError, tooLong) }
    guard newline > 0, input[newline - 1] == 0x0D else {
      throw HTTPError(decodingError, "line ends without CR")
    }
    return newline - 1
  }

  // chunk-size [ chunk-ext ]: extensions start at ";" or at white space before it; their bytes are checked.
  private func chunkSize(_ input: borrowing Buffer, _ lineEnd: Int) throws(HTTPError) -> UInt64 {
    let bytes = input.span
    var size: UInt64 = 0
    var digits = 0
    while digits < lineEnd, let value = ASCII.hexValue(bytes[digits]) {
      size = size << 4 | UInt64(value)
      digits += 1
      guard digits <= 16 else { throw HTTPError(decodingError, "chunk size too long") }
    }
    guard digits > 0 else { throw HTTPError(decodingError, "malformed chunk size") }
    var rest = digits
    while rest < lineEnd, bytes[rest] == 0x20 || bytes[rest] == 0x09 { rest += 1 }
    if rest < lineEnd || rest > digits {
      guard rest < lineEnd, bytes[rest] == UInt8(ascii: ";"),
        ByteClass.all(bytes, rest..<lineEnd, ByteClass.fieldValue)
      else { throw HTTPError(decodingError, "malformed chunk extension") }
    }
    guard size <= UInt64(Int64.max) else { throw HTTPError(decodingError, "chunk size too large") }
    return size
  }

  private func checkTrailerLine(_ input: borrowing Buffer, _ lineEnd: Int) throws(HTTPError) {
    let bytes = input.span
    let colon = ByteClass.run(bytes, 0..<lineEnd, ByteClass.token)
    guard colon > 0, colon < lineEnd, bytes[colon] == UInt8(ascii: ":"),
      ByteClass.all(bytes, colon + 1..<lineEnd, ByteClass.fieldValue)
    else { throw HTTPError(decodingError, "malformed trailer field") }
  }
}

// MARK: - Encoding

extension Buffer {
  /// Appends the readable bytes `range` of `body` as one chunk. An empty range appends nothing: a chunk of size zero
  /// would end the body.
  public mutating func appendChunk(from body: borrowing Buffer, _ range: Range<Int>) {
    guard !range.isEmpty else { return }
    append(hex: UInt64(range.count))
    append("\r\n" as StaticString)
    append(from: body, range)
    append("\r\n" as StaticString)
  }

  /// Appends `bytes` as one chunk; nothing when empty.
  public mutating func appendChunk(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    append(hex: UInt64(bytes.count))
    append("\r\n" as StaticString)
    append(bytes)
    append("\r\n" as StaticString)
  }

  /// Appends the last chunk and an empty trailer.
  public mutating func appendLastChunk() { append("0\r\n\r\n" as StaticString) }
}
