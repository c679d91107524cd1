public import Basics

/// `Max-Forwards`, by which an `OPTIONS` request is meant for one of the servers on its way (RFC 9110 §7.6.2).
public enum MaxForwards {
  /// How often the request may still be forwarded; nil when that is not said, or not by a number of up to nine digits.
  public static func left(_ head: borrowing RequestHead, _ buffer: borrowing Buffer) -> UInt64? {
    head.only(.maxForwards).flatMap { ASCII.decimal(buffer.span, $0, maxDigits: 9) }
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
