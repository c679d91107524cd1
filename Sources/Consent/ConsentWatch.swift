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

/// Looks for demands for consent in the answers of an upstream: JSON-RPC errors, tool results and elicitations,
/// errors of plain HTTP interfaces, and the consent requests of Azure AI Foundry, in a JSON body or as a
/// server-sent event.
///
/// A pure value made once from the configuration. What is not understood, too long, or no single answer is no
/// finding, and the answer passes untouched.
public struct ConsentWatch: Sendable {
  /// A longer message is not looked at, in bytes.
  public let maxBytes: Int
  private let dialects: MessageDialects
  /// The values of the rules, whose bytes let an answer through to be parsed.
  private let needles: [[UInt8]]

  /// - Parameters:
  ///   - providerOrigins: `https://login.example` and the like: issuer and authorization endpoint. Only links to
  ///     these name scopes of ours.
  ///   - maxBytes: a longer message is not looked at.
  ///   - consentCodes: JSON-RPC error codes of the upstream's own that mean "consent required".
  ///   - rules: forms of the upstream's own, tried in order before everything else.
  public init(
    providerOrigins: [String] = [], maxBytes: Int = 256 << 10, consentCodes: [Int] = [],
    rules: [ConsentRule] = []
  ) {
    self.maxBytes = maxBytes
    dialects = MessageDialects(
      providerOrigins: Set(providerOrigins.compactMap { URLReference($0)?.origin }),
      consentCodes: Set(consentCodes), rules: rules)
    needles = Set(rules.flatMap(\.values)).filter { !$0.isEmpty }.sorted().map { Array($0.utf8) }
  }

  // MARK: Bodies

  /// The demand in a JSON body, not coded, that stands at `range` behind status 200.
  public func finding(inBody buffer: borrowing Buffer, _ range: Range<Int>) -> ConsentFinding? {
    finding(inBody: buffer, range, status: 200)
  }

  /// The demand in a JSON body, not coded, that stands at `range` behind `status`.
  ///
  /// Behind 400, 401, 403, 424, 428 and 5xx an object that is no JSON-RPC is read as well. Its error counts when it
  /// says by its own code that consent is missing; words that a server also uses for missing rights, such as
  /// Microsoft Graph's `Authorization_RequestDenied`, count for nothing. Only 401 and 403 prove that nothing ran.
  public func finding(
    inBody buffer: borrowing Buffer, _ range: Range<Int>, status: Int
  ) -> ConsentFinding? {
    guard range.count <= maxBytes else { return nil }
    let status = AnswerStatus(status)
    let isWanted = status.isRefusal || hasNeedle(buffer, range)
    guard isWanted || Self.mightNeedConsent(buffer, range) else { return nil }
    return parse(buffer, range, status: status, isWanted: isWanted)
  }

  // MARK: Events

  /// The demand in one whole server-sent event at `range`, as `EventStreamSplitter` cuts it.
  ///
  /// Read are events of the type `message`, which carry JSON-RPC, and those in which Azure AI Foundry asks for
  /// consent; the latter have no id.
  public func finding(inEvent buffer: borrowing Buffer, _ range: Range<Int>) -> ConsentFinding? {
    guard range.count <= maxBytes else { return nil }
    let isWanted = hasNeedle(buffer, range)
    guard isWanted || Self.mightNeedConsent(buffer, range) else { return nil }
    let fields = EventFields(buffer, range)
    var type = ""
    if let name = fields.type, !name.isEmpty, !buffer.equals(name, "message") {
      guard name.count <= FoundryConsent.maxTypeBytes else { return nil }
      type = buffer.string(name)
      guard FoundryConsent.isEvent(type) else { return nil }
    }
    guard let data = fields.data else { return nil }
    if fields.dataLines == 1 { return parse(event: type, buffer, data, isWanted: isWanted) }
    var joined = Buffer(capacity: range.count)
    EventFields.appendData(of: buffer, range, to: &joined)
    return parse(event: type, joined, 0..<joined.count, isWanted: isWanted)
  }

  private func parse(
    event type: String, _ buffer: borrowing Buffer, _ range: Range<Int>, isWanted: Bool
  ) -> ConsentFinding? {
    guard buffer.find(FoundryConsent.mark, in: range) != nil else {
      return type.isEmpty ? parse(buffer, range, status: AnswerStatus(200), isWanted: isWanted) : nil
    }
    guard let data = tree(buffer, range) else { return nil }
    if let need = FoundryConsent.need(inEvent: data, type: type) {
      return ConsentFinding(need: need, id: MessageDialects.noID)
    }
    return type.isEmpty && data["jsonrpc"] != nil ? dialects.finding(in: data) : nil
  }

  // MARK: Parsing

  private func parse(
    _ buffer: borrowing Buffer, _ range: Range<Int>, status: AnswerStatus, isWanted: Bool
  ) -> ConsentFinding? {
    guard isWanted || (try? Self.isFailure(buffer, range)) == true else { return nil }
    return tree(buffer, range).flatMap { dialects.finding(in: $0, status: status) }
  }

  private func tree(_ buffer: borrowing Buffer, _ range: Range<Int>) -> JSONObject? {
    (try? JSONValue.parse(buffer, range, limits: JSONLimits(depth: Self.maxDepth, bytes: maxBytes)))?.object
  }

  /// Deeper messages are passed on unread.
  private static let maxDepth = 48
}

// What ordinary answers are spared.
extension ConsentWatch {
  /// Whether the bytes can contain a demand at all that needs no rule: they hold an error, a failed tool result, a
  /// wish for input, or one of Foundry's requests.
  ///
  /// One walk from quote to quote and one search, no parsing: this, and one search for each value of a rule, is
  /// all that an ordinary answer costs.
  public static func mightNeedConsent(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool {
    var start = range.lowerBound
    let (quote, e, i) = (UInt8(ascii: "\""), UInt8(ascii: "e"), UInt8(ascii: "i"))
    while let hit = buffer.firstIndex(of: quote, followedBy: e, or: i, in: start..<range.upperBound) {
      start = hit + 1
      let rest = start..<range.upperBound
      if buffer.hasPrefix(rest, "error\"") || buffer.hasPrefix(rest, "input_required\"") { return true }
      if buffer.hasPrefix(rest, "isError\""), !isFalse(buffer, start + 8..<range.upperBound) { return true }
    }
    return buffer.find(FoundryConsent.mark, in: range) != nil
  }

  /// Whether a member's value begins as `false` does: SDKs write `"isError": false` into every result.
  private static func isFalse(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool {
    var i = range.lowerBound
    while i < range.upperBound, isSpaceOrColon(buffer[i]) { i += 1 }
    return i < range.upperBound && buffer[i] == UInt8(ascii: "f")
  }

  private static func isSpaceOrColon(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ":") || byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }

  private func hasNeedle(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool {
    for needle in needles where buffer.find(needle, in: range) != nil { return true }
    return false
  }

  /// Whether the message is an error, a failed tool result, a wish for input or one of Foundry's responses, judged
  /// in place: a long good result that speaks of errors is not built into a tree.
  private static func isFailure(_ buffer: borrowing Buffer, _ range: Range<Int>) throws(JSONError) -> Bool {
    guard var members = JSONScanner(object: buffer, range, maxDepth: maxDepth) else { return false }
    while let member = try members.nextMember(buffer) {
      // Nobody escapes these names; if somebody does, the tree tells.
      if member.keyHasEscapes || buffer.equals(member.key, "error") || buffer.equals(member.key, "output") {
        return true
      }
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
}
