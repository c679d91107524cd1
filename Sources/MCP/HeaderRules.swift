public import Basics

/// Whether a message may go on, judged by its body and the headers that repeat it.
public enum MessageVerdict: Sendable, Equatable {
  case accepted(ProtocolEra)
  /// Headers and body disagree: 400 with ``JSONRPC/headerMismatch``. One sentence for people.
  case mismatch(String)
  /// Not a message that may be passed on: 400 with the defect's code, ``JSONRPC/invalidRequest`` for a batch.
  case invalid(String)
}

/// The rules for `MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28, transports, *Server
/// Validation*), and for batches (2025-03-26 only).
///
/// A server behind may route or charge by the headers, so what was let through here must be the same in both.
/// A body too long to be looked at is the server's own to compare.
public enum HeaderRules {
  /// Judges one message. Allocates only for a refusal, or for a name that is escaped or encoded.
  ///
  /// - Parameters:
  ///   - message: what was scanned from `body`.
  ///   - body: the buffer of the message.
  ///   - headers: where the fields stand in `head`.
  ///   - head: the buffer of the request's head.
  public static func check(
    _ message: MessageEnvelope, body: borrowing Buffer, headers: RoutingHeaders, head: borrowing Buffer
  ) -> MessageVerdict {
    if let detail = repeated(headers) { return .mismatch(detail) }
    switch message.kind {
    case .invalid(let defect): return .invalid(defect.explanation)
    case .batch: return checkBatch(headers, head)
    case .response: return .accepted(headerIsModern(headers, head) ? .modern : .legacy)
    case .request, .notification: break
    }
    guard let version = message.metaVersion else {
      // A notification says nothing of its version in the body; a request of that version must.
      guard headerIsModern(headers, head) else { return .accepted(.legacy) }
      guard message.kind == .request else { return .accepted(.modern) }
      return .mismatch("The header MCP-Protocol-Version is not repeated in the body's _meta.")
    }
    return checkModern(message, version, body, headers, head)
  }

  /// What is wrong with fields that have one value and appear more than once, whatever the body says: whoever reads the
  /// first could be told another thing than who reads the last. One sentence for people.
  public static func repeated(_ headers: RoutingHeaders) -> String? {
    if headers.version == .repeated { return "The header MCP-Protocol-Version appears more than once." }
    if headers.method == .repeated { return "The header Mcp-Method appears more than once." }
    if headers.name == .repeated { return "The header Mcp-Name appears more than once." }
    return nil
  }

  private static func checkModern(
    _ message: MessageEnvelope, _ version: Range<Int>, _ body: borrowing Buffer, _ headers: RoutingHeaders,
    _ head: borrowing Buffer
  ) -> MessageVerdict {
    guard case .once(let stated) = headers.version else {
      return .mismatch("The header MCP-Protocol-Version is missing.")
    }
    guard isEqual(head, stated, body, version) else {
      return .mismatch("The header MCP-Protocol-Version differs from the body.")
    }
    if case .once(let stated) = headers.method {
      guard let method = message.method,
        isEqual(head, stated, body, method, escaped: message.methodHasEscapes)
      else { return .mismatch("The header Mcp-Method differs from the body.") }
    } else if message.kind == .request {
      return .mismatch("The header Mcp-Method is missing.")
    }
    guard message.knownMethod.hasName else { return .accepted(.modern) }
    switch (headers.name, message.name) {
    case (.once(let stated), let name?):
      guard isSameName(head, stated, body, name, escaped: message.nameHasEscapes) else {
        return .mismatch("The header Mcp-Name differs from the body.")
      }
      return .accepted(.modern)
    case (.once, nil): return .mismatch("The header Mcp-Name names something the body does not.")
    case (_, .some): return .mismatch("The header Mcp-Name is missing.")
    // Neither names anything: the server says what is wrong with that.
    case (_, nil): return .accepted(.modern)
    }
  }

  private static func checkBatch(_ headers: RoutingHeaders, _ head: borrowing Buffer) -> MessageVerdict {
    switch headers.version {
    case .absent: return .accepted(.legacy)
    case .once(let version) where head.equals(version, ProtocolVersion.withBatches): return .accepted(.legacy)
    default: return .invalid("This protocol version has no batches.")
    }
  }

  private static func headerIsModern(_ headers: RoutingHeaders, _ head: borrowing Buffer) -> Bool {
    guard case .once(let version) = headers.version else { return false }
    return ProtocolVersion.isModern(head, version)
  }

  // MARK: Comparing

  /// Values are compared with case (transports, *Case Sensitivity*); names of fields were matched without.
  private static func isEqual(
    _ head: borrowing Buffer, _ stated: Range<Int>, _ body: borrowing Buffer, _ range: Range<Int>,
    escaped: Bool = false
  ) -> Bool {
    if escaped {
      guard range.count <= maxEscapedBytes, let text = JSONText.decode(body, range) else { return false }
      return head.equals(stated, Array(text.utf8))
    }
    guard stated.count == range.count else { return false }
    let (a, b) = (head.span, body.span)
    for i in 0..<stated.count where a[stated.lowerBound + i] != b[range.lowerBound + i] { return false }
    return true
  }

  /// A name that is not plain ASCII is sent as `=?base64?…?=` (transports, *Value Encoding*).
  private static func isSameName(
    _ head: borrowing Buffer, _ stated: Range<Int>, _ body: borrowing Buffer, _ name: Range<Int>,
    escaped: Bool
  ) -> Bool {
    guard let encoded = encodedPart(head, stated) else {
      return isEqual(head, stated, body, name, escaped: escaped)
    }
    guard let decoded = Base64.decode(head.string(encoded)) else { return false }
    if escaped {
      guard name.count <= maxEscapedBytes, let text = JSONText.decode(body, name) else { return false }
      return decoded == Array(text.utf8)
    }
    return body.equals(name, decoded)
  }

  /// The name that `Mcp-Name` stands for, decoded where it is encoded; as it was sent where that is not possible.
  public static func decodedName(_ head: borrowing Buffer, _ stated: Range<Int>) -> [UInt8] {
    guard let encoded = encodedPart(head, stated) else { return head.array(stated) }
    return Base64.decode(head.string(encoded)) ?? head.array(stated)
  }

  private static func encodedPart(_ head: borrowing Buffer, _ range: Range<Int>) -> Range<Int>? {
    let (prefix, suffix) = (9, 2)
    guard range.count >= prefix + suffix, head.hasPrefix(range, "=?base64?"),
      head.equals(range.upperBound - suffix..<range.upperBound, "?=")
    else { return nil }
    return range.lowerBound + prefix..<range.upperBound - suffix
  }

  /// No header is that long, so no name that long could be repeated in one.
  private static let maxEscapedBytes = 64 << 10
}
