public import Basics

/// A response's head (RFC 9112 §4–§6), parsed in place like ``RequestHead`` and with the same ownership.
///
/// What could be understood in two ways is refused; an upstream that sends it must not get its bytes mixed with
/// another user's answer. All errors carry 502.
public struct ResponseHead: ~Copyable, Sendable {
  private enum Phase: Sendable { case statusLine, fields, complete }

  private var phase = Phase.statusLine
  private var table = HeadFields(ofRequest: false)

  /// Bytes of the head including the empty line.
  public private(set) var byteCount = 0
  /// The status code, 100 to 599.
  public private(set) var status = 0
  /// The reason phrase; often empty, never needed.
  public private(set) var reason = 0..<0
  /// 0 or 1. A higher minor version is read as 1.
  public private(set) var minorVersion: UInt8 = 1
  /// How the body is framed. HEAD, 1xx, 204 and 304 have none (RFC 9112 §6.3).
  public private(set) var framing = BodyFraming.none
  /// Whether the connection may carry another request afterwards.
  public private(set) var isKeepAlive = false

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

  /// Whether this is an interim response, after which another head follows. 101 is not: it ends HTTP.
  public var isInterim: Bool { status >= 100 && status < 200 && status != 101 }

  /// The value of `Content-Length` even where it frames nothing (HEAD, 304).
  public var contentLength: UInt64? { table.contentLength }

  /// Forgets everything but the memory, for the next response.
  public mutating func reset() {
    table.reset()
    phase = .statusLine
    byteCount = 0
    status = 0
    reason = 0..<0
    minorVersion = 1
    framing = .none
    isKeepAlive = false
  }

  /// Forgets the field lines and gives back their memory; status, framing and keep-alive stay. For an answer whose body
  /// takes long, once its fields have been passed on.
  public mutating func forgetFields() { table.forgetLines() }

  /// The first field line with that name.
  public func first(_ id: FieldID) -> FieldSlot? { table.first(id) }

  /// How many field lines have that name.
  public func count(of id: FieldID) -> Int { table.count(of: id) }

  /// Whether a field line with that name exists.
  public func contains(_ id: FieldID) -> Bool { table.contains(id) }

  /// Whether `Connection` names the field whose name stands at `range` of `other`; see
  /// ``RequestHead/connectionNames(_:_:_:)``.
  public func connectionNames(
    _ other: borrowing Buffer, _ range: Range<Int>, _ buffer: borrowing Buffer
  ) -> Bool { table.connectionNames(other, range, buffer) }

  /// The value of the only field line with that name; nil when there is none or more than one.
  public func only(_ id: FieldID) -> Range<Int>? { table.count(of: id) == 1 ? table.first(id)?.value : nil }

  /// Goes on parsing the head at the start of `buffer`; false when more bytes are needed. `requestMethod` decides
  /// whether there is a body.
  public mutating func parse(
    _ buffer: borrowing Buffer, limits: HeadLimits, requestMethod: Method
  ) throws(HTTPError) -> Bool {
    do throws(HTTPError) {
      return try parseLines(buffer, limits, requestMethod)
    } catch {
      throw HTTPError(502, error.reason)
    }
  }

  private mutating func parseLines(
    _ buffer: borrowing Buffer, _ limits: HeadLimits, _ requestMethod: Method
  ) throws(HTTPError) -> Bool {
    let bytes = buffer.span
    // Another protocol is known by its first byte, long before a line ends.
    guard bytes.isEmpty || bytes[0] == UInt8(ascii: "H") else { throw .bad("not an HTTP response") }
    while phase != .complete {
      guard let line = try table.nextLine(buffer, bytes) else {
        guard bytes.count <= limits.headBytes else { throw .bad("head too large") }
        return false
      }
      guard table.lineStart <= limits.headBytes else { throw .bad("head too large") }
      switch phase {
      case .statusLine:
        try parseStatusLine(buffer, bytes, line)
        phase = .fields
      case .fields:
        if line.isEmpty {
          try finish(buffer, requestMethod)
          phase = .complete
        } else {
          try table.append(buffer, bytes, line, limits: limits)
        }
      case .complete: break
      }
    }
    return true
  }

  // RFC 9112 §4: HTTP-version SP status-code SP [ reason-phrase ]; the last space is often left out.
  private mutating func parseStatusLine(
    _ buffer: borrowing Buffer, _ bytes: Span<UInt8>, _ line: Range<Int>
  ) throws(HTTPError) {
    guard line.count >= 12, bytes[line.lowerBound + 8] == 0x20 else { throw .bad("malformed status line") }
    minorVersion = try RequestHead.version(buffer, bytes, line.lowerBound..<line.lowerBound + 8)
    status = 0
    for i in line.lowerBound + 9..<line.lowerBound + 12 {
      guard ASCII.isDigit(bytes[i]) else { throw .bad("malformed status code") }
      status = status * 10 + Int(bytes[i] - 0x30)
    }
    guard (100...599).contains(status) else { throw .bad("status code out of range") }
    if line.count > 12 {
      guard bytes[line.lowerBound + 12] == 0x20 else { throw .bad("malformed status line") }
      reason = line.lowerBound + 13..<line.upperBound
      guard ByteClass.all(bytes, reason, ByteClass.fieldValue) else {
        throw .bad("forbidden byte in the status line")
      }
    }
  }

  // RFC 9112 §6.3, in its order.
  private mutating func finish(_ buffer: borrowing Buffer, _ requestMethod: Method) throws(HTTPError) {
    byteCount = table.lineStart
    if table.isChunked {
      guard table.contentLength == nil else { throw .bad("Transfer-Encoding beside Content-Length") }
      guard minorVersion >= 1 else { throw .bad("Transfer-Encoding in HTTP/1.0") }
    }
    isKeepAlive = !table.saysClose && (minorVersion >= 1 || table.saysKeepAlive)
    if requestMethod == .head || status < 200 || status == 204 || status == 304 {
      framing = .none
    } else if table.isChunked {
      framing = .chunked
    } else if let length = table.contentLength {
      framing = .length(length)
    } else {
      framing = .untilClose
      isKeepAlive = false
    }
    if status == 101 { isKeepAlive = false }
    // RFC 9112 §6.2, §6.3: it has no content whatever it says. One that says otherwise may send some, and that must not
    // stand before another answer.
    if status == 204, table.isChunked || table.contentLength ?? 0 > 0 { isKeepAlive = false }
    try table.markConnectionFields(buffer)
  }
}
