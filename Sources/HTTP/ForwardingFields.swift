public import Basics

/// The fields that tell an upstream where a request came from. All are written by us; a client's own are dropped unless
/// the client is a trusted proxy.
public struct ForwardingFields: Sendable {
  /// The address of the client connection as text, without port: `192.0.2.7` or `2001:db8::1`.
  public var clientAddress: String
  /// Whether the client side is `https`.
  public var isSecure: Bool
  /// Host and port the client asked for.
  public var authority: String

  /// The parts of the fields.
  public init(clientAddress: String, isSecure: Bool, authority: String) {
    self.clientAddress = clientAddress
    self.isSecure = isSecure
    self.authority = authority
  }

  /// Appends `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `Forwarded` (RFC 7239 §4).
  ///
  /// `trusted` is the head of a request from a trusted proxy: its `X-Forwarded-For` and `Forwarded` elements are put
  /// before ours.
  public func append(
    to output: inout Buffer, extending trusted: borrowing RequestHead, _ buffer: borrowing Buffer
  ) {
    output.append("X-Forwarded-For: " as StaticString)
    Self.appendValues(of: .xForwardedFor, trusted, buffer, to: &output)
    appendOwn(to: &output) { output in
      output.append("Forwarded: " as StaticString)
      Self.appendValues(of: .forwarded, trusted, buffer, to: &output)
    }
  }

  /// Appends the same fields with our own element only.
  public func append(to output: inout Buffer) {
    output.append("X-Forwarded-For: " as StaticString)
    appendOwn(to: &output) { $0.append("Forwarded: " as StaticString) }
  }

  private func appendOwn(to output: inout Buffer, forwardedName: (inout Buffer) -> Void) {
    output.append(clientAddress)
    output.append("\r\nX-Forwarded-Proto: " as StaticString)
    output.append((isSecure ? "https" : "http") as StaticString)
    output.append("\r\nX-Forwarded-Host: " as StaticString)
    output.append(authority)
    output.append("\r\n" as StaticString)
    forwardedName(&output)
    // RFC 7239 §6: an IPv6 address stands in brackets and quotes; a host with a port needs quotes for its colon.
    if clientAddress.utf8.contains(UInt8(ascii: ":")) {
      output.append("for=\"[" as StaticString)
      output.append(clientAddress)
      output.append("]\"" as StaticString)
    } else {
      output.append("for=" as StaticString)
      output.append(clientAddress)
    }
    output.append((isSecure ? ";proto=https;host=\"" : ";proto=http;host=\"") as StaticString)
    output.append(authority)
    output.append("\"\r\n" as StaticString)
  }

  private static func appendValues(
    of id: FieldID, _ head: borrowing RequestHead, _ buffer: borrowing Buffer, to output: inout Buffer
  ) {
    for slot in head.fields where slot.id == id && !slot.value.isEmpty {
      output.append(from: buffer, slot.value)
      output.append(", " as StaticString)
    }
  }
}
