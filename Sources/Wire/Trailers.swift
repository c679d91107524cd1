internal import Basics
internal import HTTP

/// Trailer fields on their way through (RFC 9110 §6.5): only fields that mean nothing to the proxy pass. Framing,
/// routing, credential and forwarding fields would slip in behind every check, so they are dropped.
enum Trailers {
  /// Appends the last chunk with those field lines of `lines` that may pass. `isOfHop` says whether the head's
  /// `Connection` names a field, whose name stands at a range of a buffer.
  static func appendLastChunk(
    _ lines: [UInt8], to out: inout Buffer, except isOfHop: (borrowing Buffer, Range<Int>) -> Bool
  ) {
    out.append("0\r\n" as StaticString)
    if !lines.isEmpty { appendPassing(lines, to: &out, except: isOfHop) }
    out.append("\r\n" as StaticString)
  }

  // Read as the fields of a head, so that one grammar and one table of names judge both. What does not parse is dropped.
  private static func appendPassing(
    _ lines: [UInt8], to out: inout Buffer, except isOfHop: (borrowing Buffer, Range<Int>) -> Bool
  ) {
    var head = ResponseHead()
    var buffer = Buffer()
    buffer.append("HTTP/1.1 204 \r\n" as StaticString)
    buffer.append(lines)
    buffer.append("\r\n" as StaticString)
    let limits = HeadLimits(headBytes: buffer.count, fieldCount: maxFields)
    guard (try? head.parse(buffer, limits: limits, requestMethod: .get)) == true else { return }
    for field in head.fields where field.id == .other && !FieldID.isLookalike(buffer, field.name) {
      if isOfHop(buffer, field.name) { continue }
      out.append(from: buffer, field.name)
      out.append(": " as StaticString)
      out.append(from: buffer, field.value)
      out.append("\r\n" as StaticString)
    }
  }

  /// More trailer fields than any known sender uses.
  private static let maxFields = 32
}
