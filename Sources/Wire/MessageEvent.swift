internal import Basics

/// A body of any length as the data of one server-sent event (WHATWG HTML §9.2.6), piece by piece. A value:
/// no I/O.
///
/// A line end inside the body, whichever of the three it is, begins a new `data` line: the client reads it as
/// LF. JSON has none that mean anything.
struct MessageEvent {
  /// Whether a byte of the event was written. An empty body makes no event.
  private(set) var hasBegun = false
  /// The last byte was a CR, so a LF that follows belongs to the same line end.
  private var followsCarriageReturn = false

  /// Appends the next piece of the body.
  mutating func append(_ body: borrowing Buffer, to output: inout Buffer) {
    guard !body.isEmpty else { return }
    if !hasBegun {
      hasBegun = true
      output.append("event: message\ndata: " as StaticString)
    }
    let bytes = body.span
    var start = 0
    for i in 0..<bytes.count {
      let byte = bytes[i]
      let endsLine = byte == 0x0A || byte == 0x0D
      if endsLine {
        output.append(from: body, start..<i)
        start = i + 1
        if byte == 0x0D || !followsCarriageReturn { output.append("\ndata: " as StaticString) }
      }
      followsCarriageReturn = byte == 0x0D
    }
    output.append(from: body, start..<bytes.count)
  }

  /// The body is complete.
  func end(to output: inout Buffer) {
    if hasBegun { output.append("\n\n" as StaticString) }
  }
}
