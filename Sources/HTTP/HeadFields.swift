internal import Basics

/// The field section of a head while it is parsed, shared by requests and responses. Reused: after warm-up it does not
/// allocate.
struct HeadFields: ~Copyable {
  var slots: ContiguousArray<FieldSlot> = []
  /// One bit for each `FieldID` that occurs, so that a question for an absent field costs two instructions.
  private var present: (UInt64, UInt64) = (0, 0)

  /// Where the next line starts, and up to where no LF was found: a byte that trickles in is looked at once.
  var lineStart = 0
  var searched = 0

  var contentLength: UInt64?
  var isChunked = false
  var saysClose = false
  var saysKeepAlive = false
  private var namesMoreFields = false
  /// Requests go on to a server that reads them anew, so what it could read in another way ends here.
  private let isOfRequest: Bool

  init(ofRequest isOfRequest: Bool) { self.isOfRequest = isOfRequest }

  mutating func reset() {
    slots.removeAll(keepingCapacity: true)
    present = (0, 0)
    lineStart = 0
    searched = 0
    contentLength = nil
    isChunked = false
    saysClose = false
    saysKeepAlive = false
    namesMoreFields = false
  }

  /// Forgets the lines and gives back their memory; what was learned of framing and connection stays.
  mutating func forgetLines() {
    slots = []
    present = (0, 0)
  }

  /// Gives back the room that the lines do not need.
  mutating func trimLines() {
    var exact: ContiguousArray<FieldSlot> = []
    exact.reserveCapacity(slots.count)
    exact += slots
    slots = exact
  }

  /// The next complete line without its CRLF, or nil when it has not arrived. A line that ends in a bare LF is refused
  /// (RFC 9112 §2.2 lets a recipient accept it; two readings of one head are what smuggling is made of).
  mutating func nextLine(_ buffer: borrowing Buffer, _ bytes: Span<UInt8>) throws(HTTPError) -> Range<Int>? {
    guard let newline = buffer.firstIndex(of: 0x0A, from: searched) else {
      searched = bytes.count
      return nil
    }
    guard newline > lineStart, bytes[newline - 1] == 0x0D else { throw .bad("line ends without CR") }
    let line = lineStart..<newline - 1
    lineStart = newline + 1
    searched = lineStart
    return line
  }

  /// Parses one field line (RFC 9112 §5): `name ":" OWS value OWS`.
  mutating func append(
    _ buffer: borrowing Buffer, _ bytes: Span<UInt8>, _ line: Range<Int>, limits: HeadLimits
  ) throws(HTTPError) {
    guard slots.count < limits.fieldCount else { throw HTTPError(431, "too many fields") }
    let first = bytes[line.lowerBound]
    guard first != 0x20, first != 0x09 else { throw .bad("folded field line") }
    let colon = ByteClass.run(bytes, line, ByteClass.token)
    guard colon < line.upperBound, bytes[colon] == UInt8(ascii: ":"), colon > line.lowerBound else {
      throw .bad("malformed field name")
    }
    guard colon - line.lowerBound <= Int(UInt16.max) else { throw HTTPError(431, "field name too long") }
    var start = colon + 1
    var end = line.upperBound
    while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start &+= 1 }
    while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end &-= 1 }
    guard !buffer.containsControls(start..<end) else {
      throw .bad("forbidden byte in a field value")
    }
    let id = FieldID.lookup(buffer, line.lowerBound..<colon)
    let isWithheld = isOfRequest && id == .other && FieldID.isLookalike(buffer, line.lowerBound..<colon)
    let slot = FieldSlot(
      nameStart: UInt32(line.lowerBound), valueStart: UInt32(start), valueCount: UInt32(end - start),
      nameCount: UInt16(colon - line.lowerBound), id: id, isHopByHop: id.isHopByHop || isWithheld)
    slots.append(slot)
    switch id {
    case .contentLength: try noteContentLength(bytes, slot.value)
    case .transferEncoding: try noteTransferEncoding(buffer, slot.value)
    case .connection: try noteConnection(buffer, bytes, slot.value)
    default:
      guard !contains(id) || !isOfRequest || !id.isSingular else {
        throw .bad("more than one field line of a field with one value")
      }
    }
    let raw = id.rawValue
    if raw < 64 { present.0 |= 1 << UInt64(raw) } else { present.1 |= 1 << UInt64(raw - 64) }
  }

  func contains(_ id: FieldID) -> Bool {
    let raw = id.rawValue
    return (raw < 64 ? present.0 >> UInt64(raw) : present.1 >> UInt64(raw - 64)) & 1 == 1
  }

  func first(_ id: FieldID) -> FieldSlot? {
    guard contains(id) else { return nil }
    let all = slots.span
    for i in all.indices where all[i].id == id { return all[i] }
    return nil
  }

  func count(of id: FieldID) -> Int {
    guard contains(id) else { return 0 }
    var count = 0
    let all = slots.span
    for i in all.indices where all[i].id == id { count &+= 1 }
    return count
  }

  /// Marks the fields that `Connection` names. Called once, when the head is complete.
  mutating func markConnectionFields(_ buffer: borrowing Buffer) throws(HTTPError) {
    guard namesMoreFields else { return }
    var options = 0
    for connection in slots.indices where slots[connection].id == .connection {
      var elements = ListElements(slots[connection].value)
      while let option = elements.next(buffer) {
        options += 1
        // Each option is compared with each field: the product stays small.
        guard options <= 16 else { throw .bad("too many connection options") }
        for field in slots.indices where buffer.equalsIgnoringCase(slots[field].name, option) {
          slots[field].isHopByHop = true
        }
      }
    }
  }

  /// Whether `Connection` names the field whose name stands at `range` of `other`.
  func connectionNames(_ other: borrowing Buffer, _ range: Range<Int>, _ buffer: borrowing Buffer) -> Bool {
    guard namesMoreFields else { return false }
    for connection in slots where connection.id == .connection {
      var elements = ListElements(connection.value)
      while let option = elements.next(buffer) {
        if other.equalsIgnoringCase(range, of: buffer, option) { return true }
      }
    }
    return false
  }

  // RFC 9110 §8.6. One field with digits only: a list of equal numbers is allowed by the RFC and refused here.
  private mutating func noteContentLength(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(HTTPError) {
    guard !contains(.contentLength) else { throw .bad("more than one Content-Length") }
    // 18 digits fit into UInt64 and are more than any body.
    guard let length = ASCII.decimal(bytes, value, maxDigits: 18) else {
      throw .bad("malformed Content-Length")
    }
    contentLength = length
  }

  private mutating func noteTransferEncoding(_ buffer: borrowing Buffer, _ value: Range<Int>)
    throws(HTTPError)
  {
    guard !contains(.transferEncoding) else { throw .bad("more than one Transfer-Encoding") }
    guard buffer.equalsIgnoringCase(value, "chunked") else {
      throw HTTPError(501, "transfer coding other than chunked")
    }
    isChunked = true
  }

  // RFC 9110 §7.6.1: a list of tokens. In quotes, `close` would be seen by some and not by others.
  private mutating func noteConnection(
    _ buffer: borrowing Buffer, _ bytes: Span<UInt8>, _ value: Range<Int>
  ) throws(HTTPError) {
    var elements = ListElements(value)
    while let option = elements.next(buffer) {
      if buffer.equalsIgnoringCase(option, "close") {
        saysClose = true
      } else if buffer.equalsIgnoringCase(option, "keep-alive") {
        saysKeepAlive = true
      } else {
        guard !isOfRequest || ByteClass.all(bytes, option, ByteClass.token) else {
          throw .bad("malformed Connection")
        }
        namesMoreFields = true
      }
    }
  }
}
