internal import Basics
internal import HTTP

/// The lines of a head that the wire adds itself.
enum AnswerHead {
  /// Whether an answer of that status may have a body (RFC 9110 §6.4.1).
  static func allowsBody(_ status: Int) -> Bool { status >= 200 && status != 204 && status != 304 }

  static func appendContentLength(_ count: UInt64, to out: inout Buffer) {
    out.append("Content-Length: " as StaticString)
    out.append(decimal: count)
    out.append("\r\n" as StaticString)
  }

  static func appendChunked(to out: inout Buffer) {
    out.append("Transfer-Encoding: chunked\r\n" as StaticString)
  }
}
