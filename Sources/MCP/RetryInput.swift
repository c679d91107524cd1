public import Basics
public import JSON

/// What a client sends along when it repeats a request after an `input_required` result (MCP 2026-07-28,
/// patterns, *Multi Round-Trip Requests*).
///
/// All of it is the client's word: the state is to be authenticated by whoever made it.
public struct RetryInput: Sendable, Hashable {
  /// `params.requestState` as text; nil when it is absent, null or not readable.
  public var requestState: String?
  /// `params.inputResponses`; nil when it is absent, null or not readable.
  public var inputResponses: JSONObject?
  /// Whether all that is there was read. Not when one of the two is of the wrong type, is no valid JSON, or is
  /// too long: then the message can be passed on, but not kept.
  public var isComplete = true

  /// A longer `requestState` is not read, in bytes as sent. Room for the longest state of the proxy's own.
  public static let maxStateBytes = 136 << 10
  /// Longer `inputResponses` are not read, in bytes as sent.
  public static let maxResponseBytes = 64 << 10

  /// No input, or the given one.
  public init(requestState: String? = nil, inputResponses: JSONObject? = nil) {
    self.requestState = requestState
    self.inputResponses = inputResponses
  }

  /// The input of the message that was scanned from `buffer`; nil when there is none.
  public static func read(_ buffer: borrowing Buffer, _ message: MessageEnvelope) -> RetryInput? {
    var input = RetryInput()
    var isThere = false
    // SDKs may write null for what they do not send.
    if let range = message.requestState, JSONScanner.kind(buffer, range) != .null {
      isThere = true
      input.requestState = value(buffer, range, maxStateBytes)?.string
      if input.requestState == nil { input.isComplete = false }
    }
    if let range = message.inputResponses, JSONScanner.kind(buffer, range) != .null {
      isThere = true
      input.inputResponses = value(buffer, range, maxResponseBytes)?.object
      if input.inputResponses == nil { input.isComplete = false }
    }
    return isThere ? input : nil
  }

  private static func value(_ buffer: borrowing Buffer, _ range: Range<Int>, _ maxBytes: Int) -> JSONValue? {
    guard range.count <= maxBytes else { return nil }
    return try? JSONValue.parse(buffer, range)
  }
}

// MARK: - Rewriting

extension RetryInput {
  /// The body with `params.requestState` and `params.inputResponses` as given: replaced where they stand,
  /// removed when nil, else added at the end of `params`. Every other byte stays as it was.
  ///
  /// A removed member takes one comma and the white space beside it along. Nil when there is no `params` to
  /// add something to, or `message` is not what `body` holds.
  ///
  /// - Parameters:
  ///   - buffer: what `message` was scanned from.
  ///   - body: the range that was scanned.
  public static func rewrite(
    _ buffer: borrowing Buffer, _ body: Range<Int>, _ message: MessageEnvelope, requestState: String?,
    inputResponses: JSONObject?
  ) -> [UInt8]? {
    guard body.lowerBound >= 0, body.upperBound <= buffer.count else { return nil }
    guard let params = message.params else {
      return requestState == nil && inputResponses == nil ? buffer.array(body) : nil
    }
    guard body.lowerBound <= params.lowerBound, params.upperBound <= body.upperBound,
      var members = JSONScanner(object: buffer, params, maxDepth: MessageEnvelope.maxDepth)
    else { return nil }
    var state = requestState.map { JSONValue.string($0).serializedBytes() }
    var responses = inputResponses.map { JSONValue.object($0).serializedBytes() }
    var out: [UInt8] = []
    out.reserveCapacity(body.count + (state?.count ?? 0) + (responses?.count ?? 0) + 40)
    // The end of the last member seen, written or not: what stands between it and the next is that one's comma.
    var end = params.lowerBound + 1
    var (isFirst, hasWritten) = (true, false)
    while let member = try? members.nextMember(buffer) {
      let (start, value) = (member.key.lowerBound - 1, member.value.range)
      if isFirst { out += buffer.array(body.lowerBound..<start) }
      var replacement: [UInt8]?
      if value == message.requestState {
        replacement = state.take() ?? []
      } else if value == message.inputResponses {
        replacement = responses.take() ?? []
      }
      if replacement?.isEmpty != true {
        if hasWritten { out += buffer.array(end..<start) }
        out += buffer.array(start..<value.lowerBound)
        out += replacement ?? buffer.array(value)
        hasWritten = true
      }
      isFirst = false
      end = value.upperBound
    }
    guard members.isAtEnd else { return nil }
    if isFirst { out += buffer.array(body.lowerBound..<end) }
    for (key, value) in [("requestState", state), ("inputResponses", responses)] {
      guard let value else { continue }
      out += Array((hasWritten ? #","\#(key)":"# : #""\#(key)":"#).utf8)
      out += value
      hasWritten = true
    }
    return out + buffer.array(end..<body.upperBound)
  }
}
