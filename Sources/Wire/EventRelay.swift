internal import Basics
internal import HTTP

/// One event stream on its way to a client: decoding, and cutting into events. Made only for event streams, so that
/// other exchanges do not pay for it.
///
/// Owner: the exchange. Bytes go `coded` → `plain` → the client's output; an incomplete event waits in `plain`, at
/// most `maxEventBytes` of it.
final class EventRelay {
  /// The client gets a comment when nothing was sent for so long.
  let keepAlive: Duration?
  private let isCoded: Bool
  private var splitter: EventStreamSplitter
  private var decoder: ContentDecoder
  private var coded = Buffer()
  private var plain = Buffer()
  /// The handler has ended the stream.
  private(set) var isEnded = false

  init(maxEventBytes: Int, keepAlive: Duration?, coding: ContentCoding) {
    self.keepAlive = keepAlive
    isCoded = coding != .identity
    splitter = EventStreamSplitter(maxEventBytes: maxEventBytes)
    decoder = ContentDecoder(coding, maxBytes: .max)
  }

  /// Whether bytes of our own may be written now.
  var isBetweenEvents: Bool { plain.isEmpty && splitter.isBetweenEvents }

  /// Takes body bytes out of `input`. Whether there were any.
  func pull(_ reader: inout BodyReader, from input: inout Buffer, atMost: Int) throws(RelayError) -> Bool {
    do throws(HTTPError) {
      guard isCoded else { return try reader.pull(from: &input, into: &plain, atMost: atMost) }
      guard try reader.pull(from: &input, into: &coded, atMost: atMost) else { return false }
    } catch {
      throw RelayError(detail: error.description)
    }
    do throws(ContentCodingError) {
      try decoder.decode(&coded, into: &plain)
    } catch {
      throw RelayError(detail: "event stream's content coding: \(error)")
    }
    return true
  }

  /// Hands every whole event to `handler` and appends what passes to `output`.
  func passEvents(_ x: Exchange, _ handler: any ExchangeHandler, to output: inout Buffer) {
    while !isEnded {
      switch splitter.next(plain) {
      case .needMore: return
      case .event(let count):
        switch handler.event(x, plain, 0..<count) {
        case .pass: output.append(from: plain, 0..<count)
        case .replace(let bytes): output.append(bytes)
        case .end(let bytes):
          output.append(bytes)
          isEnded = true
        }
        plain.consume(count)
      case .passThrough(let count, _):
        output.append(from: plain, 0..<count)
        plain.consume(count)
      }
    }
  }

  /// The stream is complete: what is left of an unfinished event passes as it is, since it is not ours to drop.
  func passRest(to output: inout Buffer) {
    guard !isEnded else { return }
    output.append(from: plain)
    plain.removeAll()
  }

  /// Gives back memory while the stream is quiet.
  func releaseStorage() {
    coded.releaseStorage()
    plain.releaseStorage()
  }
}

/// An event stream that cannot be relayed any further.
struct RelayError: Error {
  let detail: String
}
