public import Basics

/// `Max-Forwards`, by which an `OPTIONS` request is meant for one of the servers on its way (RFC 9110 §7.6.2).
public enum MaxForwards {
  /// How often the request may still be forwarded; nil when that is not said, or not by a number of up to nine digits.
  public static func left(_ head: borrowing RequestHead, _ buffer: borrowing Buffer) -> UInt64? {
    guard let value = head.only(.maxForwards), (1...9).contains(value.count) else { return nil }
    let bytes = buffer.span
    var count: UInt64 = 0
    for i in value {
      guard ASCII.isDigit(bytes[i]) else { return nil }
      count = count * 10 + UInt64(bytes[i] - 0x30)
    }
    return count
  }

  /// Appends the field line for the next server, one less than received; nothing where there is no number.
  public static func appendNext(
    to out: inout Buffer, _ head: borrowing RequestHead, _ buffer: borrowing Buffer
  ) {
    guard let left = left(head, buffer), left > 0 else { return }
    out.appendField("Max-Forwards", decimal: left - 1)
  }

  /// The field of an answer of our own to `OPTIONS`.
  public static let allow: StaticString = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
}
