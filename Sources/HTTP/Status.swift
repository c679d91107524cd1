public import Basics

/// Status codes and their reason phrases (RFC 9110 §15, RFC 6585).
public enum Status {
  /// The reason phrase; empty for an unknown code, which the grammar allows.
  public static func reason(_ code: Int) -> StaticString {
    switch code {
    case 100: "Continue"
    case 101: "Switching Protocols"
    case 103: "Early Hints"
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 203: "Non-Authoritative Information"
    case 204: "No Content"
    case 205: "Reset Content"
    case 206: "Partial Content"
    case 300: "Multiple Choices"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 303: "See Other"
    case 304: "Not Modified"
    case 307: "Temporary Redirect"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 402: "Payment Required"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 406: "Not Acceptable"
    case 407: "Proxy Authentication Required"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 410: "Gone"
    case 411: "Length Required"
    case 412: "Precondition Failed"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 416: "Range Not Satisfiable"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 422: "Unprocessable Content"
    case 425: "Too Early"
    case 426: "Upgrade Required"
    case 428: "Precondition Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    case 508: "Loop Detected"
    case 511: "Network Authentication Required"
    default: ""
    }
  }
}

// MARK: - Writing heads

extension Buffer {
  /// Appends `HTTP/1.1 <code> <reason>` with its CRLF. `code` must have three digits.
  public mutating func appendStatusLine(_ code: Int) {
    precondition((100...999).contains(code), "status code of other than three digits")
    append("HTTP/1.1 " as StaticString)
    append(decimal: UInt64(code))
    append(UInt8(ascii: " "))
    append(Status.reason(code))
    append("\r\n" as StaticString)
  }

  /// Appends one field line. `value` is trusted: a literal.
  public mutating func appendField(_ name: StaticString, _ value: StaticString) {
    append(name)
    append(": " as StaticString)
    append(value)
    append("\r\n" as StaticString)
  }

  /// Appends one field line. Bytes that must not stand in a field value (CR, LF, other control characters) become
  /// spaces, so that no value can add a line.
  @_disfavoredOverload
  public mutating func appendField(_ name: StaticString, _ value: String) {
    append(name)
    append(": " as StaticString)
    for byte in value.utf8 { append(ByteClass.has(byte, ByteClass.fieldValue) ? byte : 0x20) }
    append("\r\n" as StaticString)
  }

  /// Appends one field line with a decimal value.
  public mutating func appendField(_ name: StaticString, decimal value: UInt64) {
    append(name)
    append(": " as StaticString)
    append(decimal: value)
    append("\r\n" as StaticString)
  }

  /// Appends one field line with the bytes `range` of a parsed head as its value.
  public mutating func appendField(_ name: StaticString, from buffer: borrowing Buffer, _ range: Range<Int>) {
    append(name)
    append(": " as StaticString)
    append(from: buffer, range)
    append("\r\n" as StaticString)
  }

  /// Appends a field line of a parsed head as it was received: name and value byte by byte, white space between them
  /// normalised.
  public mutating func appendField(_ slot: FieldSlot, from buffer: borrowing Buffer) {
    append(from: buffer, slot.name)
    append(": " as StaticString)
    append(from: buffer, slot.value)
    append("\r\n" as StaticString)
  }
}

/// The `Date` field line, formatted once a second. One per loop.
public struct DateLine: ~Copyable {
  private var second = Int64.min
  private var line = Buffer()

  /// A cache that has formatted nothing.
  public init() {}

  /// Appends `Date: …` with its CRLF for the second `unixSecond` since the epoch.
  public mutating func append(to buffer: inout Buffer, unixSecond: Int64) {
    if unixSecond != second {
      second = unixSecond
      line.removeAll()
      line.append("Date: " as StaticString)
      line.append(Timestamp(seconds: unixSecond).httpDate)
      line.append("\r\n" as StaticString)
    }
    buffer.append(from: line)
  }
}
