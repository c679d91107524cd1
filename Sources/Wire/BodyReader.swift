internal import Basics
internal import HTTP

/// Takes one message body out of a byte stream, whatever frames it (RFC 9112 §6.3, §7.1). A value: no I/O.
///
/// Owner: the connection that receives the body. Bytes behind the body stay in the input.
struct BodyReader {
  private enum State {
    case finished
    case length(UInt64)
    case chunked
    case untilClose
  }

  private var state = State.finished
  private var decoder = ChunkedDecoder()
  private var isChunked = false

  /// Body bytes delivered so far, framing not counted.
  private(set) var delivered: UInt64 = 0

  /// Starts with the first byte behind a head. Malformed chunks are errors of `errorStatus`.
  mutating func begin(_ framing: BodyFraming, errorStatus: Int) {
    delivered = 0
    isChunked = false
    switch framing {
    case .none, .length(0): state = .finished
    case .length(let count): state = .length(count)
    case .chunked:
      decoder = ChunkedDecoder(errorStatus: errorStatus)
      isChunked = true
      state = .chunked
    case .untilClose: state = .untilClose
    }
  }

  /// Whether the whole body has been delivered.
  var isFinished: Bool {
    if case .finished = state { true } else { false }
  }

  /// Bytes still to come, where the framing says it.
  var remaining: UInt64? {
    switch state {
    case .finished: 0
    case .length(let count): count
    case .chunked, .untilClose: nil
    }
  }

  /// Trailer field lines of a finished chunked body, each with its CRLF.
  var trailer: [UInt8] { isChunked ? decoder.trailer : [] }

  /// Moves up to `atMost` body bytes from `input` to `output`. False when nothing came of it: more input is needed.
  mutating func pull(
    from input: inout Buffer, into output: inout Buffer, atMost: Int
  ) throws(HTTPError) -> Bool {
    switch state {
    case .finished: return false
    case .length(let left):
      let count = min(input.count, atMost, Int(clamping: left))
      guard count > 0 else { return false }
      output.append(from: input, 0..<count)
      input.consume(count)
      delivered &+= UInt64(count)
      state = left == UInt64(count) ? .finished : .length(left - UInt64(count))
      return true
    case .chunked:
      let before = (input.count, delivered)
      let progress = try decoder.decode(&input, into: &output, maxOutput: atMost)
      delivered = decoder.bodyBytes
      if progress == .finished { state = .finished }
      return progress == .finished || delivered != before.1
    case .untilClose:
      let count = min(input.count, atMost)
      guard count > 0 else { return false }
      output.append(from: input, 0..<count)
      input.consume(count)
      delivered &+= UInt64(count)
      return true
    }
  }

  /// The stream has ended. True when the body is complete by that.
  mutating func endOfInput() -> Bool {
    switch state {
    case .finished: return true
    case .length, .chunked: return false
    case .untilClose:
      state = .finished
      return true
    }
  }
}
