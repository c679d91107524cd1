public import Basics
internal import HTTP
internal import JSON

/// A need found in an upstream's message, and the id of the message it answers.
public struct ConsentFinding: Sendable, Hashable {
  /// What has to happen.
  public let need: ConsentNeed
  /// The id of the refused request as JSON text; `null` when the message had none.
  public let id: [UInt8]
}

/// Looks for demands for consent in the answers of an MCP server: JSON-RPC errors, tool results and
/// elicitations, in a JSON body or as a server-sent event.
///
/// A pure value made once from the configuration. What is not understood, too long, or no single answer is no
/// finding, and the answer passes untouched.
public struct ConsentWatch: Sendable {
  /// A longer message is not looked at, in bytes.
  public let maxBytes: Int
  /// Origins of the provider: only links to these name scopes of ours.
  let providerOrigins: Set<String>

  /// - Parameters:
  ///   - providerOrigins: `https://login.example` and the like: issuer and authorization endpoint.
  ///   - maxBytes: a longer message is not looked at.
  public init(providerOrigins: [String] = [], maxBytes: Int = 256 << 10) {
    self.providerOrigins = Set(providerOrigins.compactMap { URLReference($0)?.origin })
    self.maxBytes = maxBytes
  }

  /// Whether the bytes can contain a demand at all: they hold an error, a failed tool result, or a wish for
  /// input.
  ///
  /// Three searches, no parsing: this is all that an ordinary answer costs.
  public static func mightNeedConsent(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool {
    if buffer.find("\"error\"", in: range) != nil { return true }
    if buffer.find("\"input_required\"", in: range) != nil { return true }
    var start = range.lowerBound
    while let hit = buffer.find("\"isError\"", in: start..<range.upperBound) {
      // SDKs write `"isError": false` into every result.
      var i = hit + 9
      while i < range.upperBound, isSpaceOrColon(buffer[i]) { i += 1 }
      guard i < range.upperBound, buffer[i] == UInt8(ascii: "f") else { return true }
      start = i
    }
    return false
  }

  private static func isSpaceOrColon(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ":") || byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }

  /// The demand in a JSON body, not coded, that stands at `range`.
  public func finding(inBody buffer: borrowing Buffer, _ range: Range<Int>) -> ConsentFinding? {
    guard range.count <= maxBytes, Self.mightNeedConsent(buffer, range) else { return nil }
    return parse(buffer, range)
  }

  /// The demand in one whole server-sent event at `range`, as `EventStreamSplitter` cuts it.
  public func finding(inEvent buffer: borrowing Buffer, _ range: Range<Int>) -> ConsentFinding? {
    guard range.count <= maxBytes, Self.mightNeedConsent(buffer, range) else { return nil }
    let fields = EventFields(buffer, range)
    if let type = fields.type, !type.isEmpty, !buffer.equals(type, "message") { return nil }
    guard let data = fields.data else { return nil }
    if fields.dataLines == 1 { return parse(buffer, data) }
    var joined = Buffer(capacity: range.count)
    EventFields.appendData(of: buffer, range, to: &joined)
    return parse(joined, 0..<joined.count)
  }

  private func parse(_ buffer: borrowing Buffer, _ range: Range<Int>) -> ConsentFinding? {
    guard (try? Self.isFailure(buffer, range)) == true else { return nil }
    let limits = JSONLimits(depth: Self.maxDepth, bytes: maxBytes)
    guard let message = (try? JSONValue.parse(buffer, range, limits: limits))?.object else { return nil }
    return MessageDialects(providerOrigins: providerOrigins).finding(in: message)
  }

  /// Whether the message is an error, a failed tool result or a wish for input, judged in place: a long good
  /// result that speaks of errors is not built into a tree.
  private static func isFailure(_ buffer: borrowing Buffer, _ range: Range<Int>) throws(JSONError) -> Bool {
    guard var members = JSONScanner(object: buffer, range, maxDepth: maxDepth) else { return false }
    while let member = try members.nextMember(buffer) {
      // Nobody escapes these names; if somebody does, the tree tells.
      if member.keyHasEscapes || buffer.equals(member.key, "error") { return true }
      guard buffer.equals(member.key, "result"),
        var parts = JSONScanner(object: buffer, member.value.range, maxDepth: maxDepth)
      else { continue }
      while let part = try parts.nextMember(buffer) {
        if part.keyHasEscapes || buffer.equals(part.value.content, "input_required") { return true }
        if buffer.equals(part.key, "isError"), buffer.equals(part.value.range, "true") { return true }
      }
    }
    return false
  }

  /// Deeper messages are passed on unread.
  private static let maxDepth = 48
}
