internal import Basics
internal import HTTP

/// An answer on its way to a client as server-sent events: decoding, and cutting into events or making one of
/// all. Made only for event streams, so that other exchanges do not pay for it.
///
/// Owner: the exchange. Bytes go `coded` → `plain` → the client's output; an incomplete event waits in
/// `plain`, at most `maxEventBytes` of it. What waits there is not with the client, so an event of ours may
/// still go before it.
final class EventRelay {
  /// The client gets a comment when nothing was sent for so long.
  let keepAlive: Duration?
  private var splitter: EventStreamSplitter
  /// Nil when the answer is not coded.
  private let decoding: Decoding?
  /// What makes one event of a whole body; nil for a stream of events.
  private var message: MessageEvent?
  private var plain = Buffer()
  /// Events of ours that wait for the end of the one that is being passed.
  private var pending: [UInt8] = []
  /// The handler has ended the stream.
  private(set) var isEnded = false
  /// The handler goes on with the stream itself.
  private(set) var isTakenOver = false
  /// The handler looks at an event.
  private var isShowing = false
  /// The client has the beginning of an event that is too long to be looked at.
  private var isPassing = false
  /// Nothing of the upstream's stream has passed.
  private var isAtStart = true
  /// Bytes of ours stand before the upstream's first event.
  private var followsOwnBytes: Bool

  /// What a coded answer needs besides. Apart, because most streams are not coded.
  private final class Decoding {
    var coded = Buffer()
    private var decoder: ContentDecoder

    init(_ coding: ContentCoding) { decoder = ContentDecoder(coding, maxBytes: .max) }

    func decode(into plain: inout Buffer) throws(RelayError) {
      try told { () throws(ContentCodingError) in try decoder.decode(&coded, into: &plain) }
    }

    func finish() throws(RelayError) {
      try told { () throws(ContentCodingError) in try decoder.finish() }
    }

    private func told(_ work: () throws(ContentCodingError) -> Void) throws(RelayError) {
      do throws(ContentCodingError) {
        try work()
      } catch {
        throw RelayError(detail: "content coding: \(error)")
      }
    }
  }

  /// A relay of events. `followsOwnBytes`: into a stream that has begun.
  init(maxEventBytes: Int, keepAlive: Duration?, coding: ContentCoding, followsOwnBytes: Bool) {
    self.keepAlive = keepAlive
    self.followsOwnBytes = followsOwnBytes
    decoding = coding == .identity ? nil : Decoding(coding)
    splitter = EventStreamSplitter(maxEventBytes: maxEventBytes)
  }

  /// A relay of a body of any kind as one event, into a stream that has begun.
  convenience init(ofMessage coding: ContentCoding) {
    self.init(maxEventBytes: 0, keepAlive: nil, coding: coding, followsOwnBytes: true)
    message = MessageEvent()
  }

  /// Whether it makes one event of a body that is no event stream.
  var isMessage: Bool { message != nil }

  /// Whether a comment may be written now.
  var isBetweenEvents: Bool {
    if let message { return !message.hasBegun }
    return plain.isEmpty && splitter.isBetweenEvents
  }

  /// Takes body bytes out of `input`. Whether there were any.
  func pull(_ reader: inout BodyReader, from input: inout Buffer, atMost: Int) throws(RelayError) -> Bool {
    do throws(HTTPError) {
      guard let decoding else { return try reader.pull(from: &input, into: &plain, atMost: atMost) }
      guard try reader.pull(from: &input, into: &decoding.coded, atMost: atMost) else { return false }
    } catch {
      throw RelayError(detail: error.description)
    }
    try decoding?.decode(into: &plain)
    return true
  }

  /// Takes all of `input`, body bytes that were collected before.
  func take(_ input: inout Buffer) throws(RelayError) {
    guard let decoding else { return plain.absorb(&input) }
    decoding.coded.absorb(&input)
    try decoding.decode(into: &plain)
  }

  /// Hands every whole event to `handler` and appends what passes to `output`.
  func passEvents(_ x: Exchange, _ handler: any ExchangeHandler, to output: inout Buffer) {
    guard !isMessage else {
      message?.append(plain, to: &output)
      return plain.removeAll()
    }
    while !isEnded {
      switch splitter.next(plain) {
      case .needMore: return
      case .event(let count):
        isShowing = true
        let verdict = handler.event(x, plain, 0..<count)
        isShowing = false
        switch verdict {
        case .pass: pass(count, to: &output)
        case .replace(let bytes): output.append(bytes)
        case .end(let bytes):
          passPending(to: &output)
          output.append(bytes)
          isEnded = true
        case .takeOver(let bytes):
          output.append(bytes)
          passPending(to: &output)
          isEnded = true
          isTakenOver = true
        }
        isAtStart = false
        plain.consume(count)
        passPending(to: &output)
      case .passThrough(let count, let isLast):
        pass(count, to: &output)
        plain.consume(count)
        isPassing = !isLast
        if isLast { passPending(to: &output) }
      }
    }
  }

  /// The answer is complete: what is left of an unfinished event passes as it is, since it is not ours to
  /// drop.
  func passRest(to output: inout Buffer) throws(RelayError) {
    guard !isEnded else { return }
    guard isMessage else {
      pass(plain.count, to: &output)
      return plain.removeAll()
    }
    try decoding?.finish()
    message?.append(plain, to: &output)
    plain.removeAll()
    message?.end(to: &output)
    passPending(to: &output)
  }

  private func pass(_ count: Int, to output: inout Buffer) {
    // A byte order mark is one at the very start only: anywhere else it would spoil the name of a field.
    let dropsMark = isAtStart && followsOwnBytes && plain.hasPrefix(0..<count, "\u{FEFF}")
    isAtStart = false
    output.append(from: plain, (dropsMark ? 3 : 0)..<count)
  }

  // MARK: Events of ours

  /// Whether an event of ours may be written now: the client has no event in part.
  var isOpen: Bool { !isShowing && !isPassing && message?.hasBegun != true }

  /// Keeps an event of ours until the one that is being passed has ended.
  func hold(_ event: [UInt8]) { pending += event }

  /// Bytes of ours were written.
  func noteOwnBytes() { followsOwnBytes = true }

  private func passPending(to output: inout Buffer) {
    guard !pending.isEmpty else { return }
    followsOwnBytes = true
    output.append(pending)
    pending = []
  }

  /// Gives back memory while the stream is quiet.
  func releaseStorage() {
    decoding?.coded.releaseStorage()
    plain.releaseStorage()
  }
}

/// An answer that cannot be relayed any further.
struct RelayError: Error {
  let detail: String
}
