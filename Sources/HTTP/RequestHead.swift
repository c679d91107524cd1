public import Basics

/// A request's head (RFC 9112 §2–§6), parsed in place: offsets into the receive buffer, no copies.
///
/// Owner: whoever owns the buffer. One value is reused for all requests of a connection and does not allocate after the
/// first few. All ranges count from the first readable byte of the buffer and end their life when that is consumed.
///
/// Refused, since two readers could understand them differently: bare CR or LF, folded lines, white space before a
/// colon, bytes outside the grammar, `Transfer-Encoding` beside `Content-Length`, repeated framing fields, transfer
/// codings other than `chunked`, a missing or repeated `Host`, an absolute target for another host, two lines of a field
/// with one value.
public struct RequestHead: ~Copyable, Sendable {
  private enum Phase: Sendable { case requestLine, fields, complete }

  private var phase = Phase.requestLine
  private var skippedEmptyLine = false
  private var table = HeadFields(ofRequest: true)

  /// Bytes of the head including the empty line; the body starts there.
  public private(set) var byteCount = 0
  /// The method.
  public private(set) var method = Method.get
  /// The method's bytes.
  public private(set) var methodRange = 0..<0
  /// The request target as received.
  public private(set) var target = 0..<0
  /// The path of the target, always beginning with `/`, or `*` (OPTIONS). Not normalised; see ``PathRules``.
  public private(set) var path = 0..<0
  /// The query without its question mark; nil when there is no question mark.
  public private(set) var query: Range<Int>?
  /// The host and port the client asked for; empty only for an HTTP/1.0 request without `Host`.
  public private(set) var authority = 0..<0
  /// 0 or 1. A higher minor version is read as 1 (RFC 9110 §2.5).
  public private(set) var minorVersion: UInt8 = 1
  /// How the body is framed: ``BodyFraming/none``, ``BodyFraming/length(_:)`` or ``BodyFraming/chunked``.
  public private(set) var framing = BodyFraming.none
  /// Whether the client wants the connection to stay open after the answer (RFC 9112 §9.3).
  public private(set) var isKeepAlive = false
  /// Whether the client waits for `100 (Continue)` before it sends the body.
  public private(set) var expectsContinue = false

  /// A head that has seen nothing.
  public init() {}

  /// All field lines in order.
  public var fields: ContiguousArray<FieldSlot> { table.slots }

  /// All field lines in order, without a reference to count: for what walks them with every message.
  public var lines: Span<FieldSlot> {
    @_lifetime(borrow self)
    get { table.slots.span }
  }

  /// Whether the head is complete.
  public var isComplete: Bool { phase == .complete }

  /// Forgets everything but the memory, for the next request.
  public mutating func reset() {
    table.reset()
    phase = .requestLine
    skippedEmptyLine = false
    byteCount = 0
    method = .get
    methodRange = 0..<0
    target = 0..<0
    path = 0..<0
    query = nil
    authority = 0..<0
    minorVersion = 1
    framing = .none
    isKeepAlive = false
    expectsContinue = false
  }

  /// Gives back memory that the field lines do not need: for a request whose answer takes long.
  public mutating func trimFields() { table.trimLines() }

  /// The first field line with that name.
  public func first(_ id: FieldID) -> FieldSlot? { table.first(id) }

  /// How many field lines have that name.
  public func count(of id: FieldID) -> Int { table.count(of: id) }

  /// Whether a field line with that name exists.
  public func contains(_ id: FieldID) -> Bool { table.contains(id) }

  /// Whether `Connection` names the field whose name stands at `range` of `other` (RFC 9110 §7.6.1: a trailer's too).
  /// `buffer` holds this head.
  public func connectionNames(
    _ other: borrowing Buffer, _ range: Range<Int>, _ buffer: borrowing Buffer
  ) -> Bool { table.connectionNames(other, range, buffer) }

  /// The value of the only field line with that name; nil when there is none or more than one.
  public func only(_ id: FieldID) -> Range<Int>? { table.count(of: id) == 1 ? table.first(id)?.value : nil }

  /// Goes on parsing the head at the start of `buffer`. False when more bytes are needed: call again with the same
  /// bytes and more behind them. Time is linear in the bytes however they trickle in.
  ///
  /// Throws the status to answer (400, 414, 417, 431, 501 or 505); the connection must be closed then.
  public mutating func parse(_ buffer: borrowing Buffer, limits: HeadLimits) throws(HTTPError) -> Bool {
    let bytes = buffer.span
    while phase != .complete {
      guard let line = try table.nextLine(buffer, bytes) else {
        try checkUnfinished(bytes, limits)
        return false
      }
      guard table.lineStart <= limits.headBytes else { throw tooLarge }
      switch phase {
      case .requestLine:
        if line.isEmpty {
          // RFC 9112 §2.2: one empty line before a request is forgiven.
          guard !skippedEmptyLine else { throw .bad("empty request line") }
          skippedEmptyLine = true
        } else {
          try parseRequestLine(buffer, bytes, line, limits)
          phase = .fields
        }
      case .fields:
        if line.isEmpty {
          try finish(buffer, bytes)
          phase = .complete
        } else {
          try table.append(buffer, bytes, line, limits: limits)
        }
      case .complete: break
      }
    }
    return true
  }

  private var tooLarge: HTTPError {
    phase == .requestLine ? HTTPError(414, "request line too long") : HTTPError(431, "head too large")
  }

  /// What an unfinished head may look like. The first byte is checked at once, so that a TLS hello on a plain port is
  /// answered instead of waited for.
  private func checkUnfinished(_ bytes: Span<UInt8>, _ limits: HeadLimits) throws(HTTPError) {
    guard bytes.count <= limits.headBytes else { throw tooLarge }
    guard phase == .requestLine, table.lineStart < bytes.count else { return }
    let first = bytes[table.lineStart]
    guard ByteClass.has(first, ByteClass.token) || first == 0x0D else { throw .bad("not an HTTP request") }
    // Method and version take less than 64 bytes.
    guard bytes.count - table.lineStart <= limits.targetBytes + 64 else { throw tooLarge }
  }

  // RFC 9112 §3: method SP request-target SP HTTP-version, single spaces only.
  private mutating func parseRequestLine(
    _ buffer: borrowing Buffer, _ bytes: Span<UInt8>, _ line: Range<Int>, _ limits: HeadLimits
  ) throws(HTTPError) {
    let methodEnd = ByteClass.run(bytes, line, ByteClass.token)
    guard methodEnd > line.lowerBound, methodEnd < line.upperBound, bytes[methodEnd] == 0x20 else {
      throw .bad("malformed method")
    }
    methodRange = line.lowerBound..<methodEnd
    let targetEnd = ByteClass.run(bytes, methodEnd + 1..<line.upperBound, ByteClass.target)
    guard targetEnd > methodEnd + 1, targetEnd < line.upperBound, bytes[targetEnd] == 0x20 else {
      throw .bad("malformed request target")
    }
    target = methodEnd + 1..<targetEnd
    minorVersion = try Self.version(buffer, bytes, targetEnd + 1..<line.upperBound)
    guard methodRange.count <= 24 else { throw HTTPError(501, "method too long") }
    guard target.count <= limits.targetBytes else { throw HTTPError(414, "request target too long") }
    method = Self.method(buffer, methodRange)
    try splitTarget(buffer, bytes)
  }

  /// The minor version of `HTTP/1.x` (RFC 9112 §2.3), at most 1.
  static func version(
    _ buffer: borrowing Buffer, _ bytes: Span<UInt8>, _ range: Range<Int>
  ) throws(HTTPError) -> UInt8 {
    guard range.count == 8, buffer.hasPrefix(range, "HTTP/"),
      bytes[range.lowerBound + 6] == UInt8(ascii: "."),
      ASCII.isDigit(bytes[range.lowerBound + 5]), ASCII.isDigit(bytes[range.lowerBound + 7])
    else { throw .bad("malformed version") }
    guard bytes[range.lowerBound + 5] == UInt8(ascii: "1") else {
      throw HTTPError(505, "version other than HTTP/1")
    }
    return min(1, bytes[range.lowerBound + 7] - UInt8(ascii: "0"))
  }

  private static func method(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Method {
    switch range.count {
    case 3: buffer.equals(range, "GET") ? .get : buffer.equals(range, "PUT") ? .put : .other
    case 4: buffer.equals(range, "POST") ? .post : buffer.equals(range, "HEAD") ? .head : .other
    case 5: buffer.equals(range, "PATCH") ? .patch : buffer.equals(range, "TRACE") ? .trace : .other
    case 6: buffer.equals(range, "DELETE") ? .delete : .other
    case 7: buffer.equals(range, "OPTIONS") ? .options : buffer.equals(range, "CONNECT") ? .connect : .other
    default: .other
    }
  }

  // RFC 9112 §3.2: origin-form, absolute-form, asterisk-form. CONNECT is not offered, nor is TRACE: its answer would
  // tell a browser what an upstream received, the token included (RFC 9110 §9.3.8).
  private mutating func splitTarget(_ buffer: borrowing Buffer, _ bytes: Span<UInt8>) throws(HTTPError) {
    guard method != .connect else { throw HTTPError(501, "CONNECT is not offered") }
    guard method != .trace else { throw HTTPError(501, "TRACE is not offered") }
    if bytes[target.lowerBound] == UInt8(ascii: "/") {
      splitPath(buffer, target)
      return
    }
    if method == .options, buffer.equals(target, "*") {
      path = target
      return
    }
    let isSecure: Bool
    if target.count > 8, buffer.equalsIgnoringCase(target.lowerBound..<target.lowerBound + 8, "https://") {
      isSecure = true
    } else if target.count > 7,
      buffer.equalsIgnoringCase(target.lowerBound..<target.lowerBound + 7, "http://")
    {
      isSecure = false
    } else {
      throw .bad("malformed request target")
    }
    let start = target.lowerBound + (isSecure ? 8 : 7)
    var end = start
    while end < target.upperBound, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") {
      end += 1
    }
    guard HostSyntax.isValid(bytes, start..<end) else {
      throw .bad("malformed authority in the request target")
    }
    authority = start..<end
    if end < target.upperBound, bytes[end] == UInt8(ascii: "/") {
      splitPath(buffer, end..<target.upperBound)
    } else {
      // An empty path means "/" (RFC 9112 §3.2.2); the last slash of "://" stands in for it.
      path = start - 1..<start
      query = end < target.upperBound ? end + 1..<target.upperBound : nil
    }
  }

  private mutating func splitPath(_ buffer: borrowing Buffer, _ range: Range<Int>) {
    if let mark = buffer.firstIndex(of: UInt8(ascii: "?"), in: range) {
      path = range.lowerBound..<mark
      query = mark + 1..<range.upperBound
    } else {
      path = range
    }
  }

  private mutating func finish(_ buffer: borrowing Buffer, _ bytes: Span<UInt8>) throws(HTTPError) {
    byteCount = table.lineStart
    try checkHost(buffer, bytes)
    if table.isChunked {
      guard table.contentLength == nil else { throw .bad("Transfer-Encoding beside Content-Length") }
      guard minorVersion >= 1 else { throw .bad("Transfer-Encoding in HTTP/1.0") }
      framing = .chunked
    } else if let length = table.contentLength {
      framing = .length(length)
    }
    isKeepAlive = !table.saysClose && (minorVersion >= 1 || table.saysKeepAlive)
    if let expect = table.first(.expect) {
      guard table.count(of: .expect) == 1, buffer.equalsIgnoringCase(expect.value, "100-continue") else {
        throw HTTPError(417, "expectation other than 100-continue")
      }
      // RFC 9110 §10.1.1: ignored in HTTP/1.0, and pointless without a body.
      expectsContinue = minorVersion >= 1 && framing != .none && framing != .length(0)
    }
    try table.markConnectionFields(buffer)
  }

  // RFC 9112 §3.2, §3.2.2.
  private mutating func checkHost(_ buffer: borrowing Buffer, _ bytes: Span<UInt8>) throws(HTTPError) {
    guard let host = table.first(.host) else {
      guard minorVersion == 0 else { throw .bad("missing Host") }
      return
    }
    guard table.count(of: .host) == 1 else { throw .bad("more than one Host") }
    guard HostSyntax.isValid(bytes, host.value) else { throw .bad("malformed Host") }
    guard authority.isEmpty || buffer.equalsIgnoringCase(authority, host.value) else {
      throw .bad("Host differs from the request target")
    }
    authority = host.value
  }
}
