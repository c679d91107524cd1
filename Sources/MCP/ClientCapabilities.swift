internal import Basics
internal import JSON

/// What a client says it can do, as far as it decides how the proxy may ask for consent (MCP, client
/// elicitation, *Capabilities*). Legacy clients say it once, in `initialize`; modern ones in each request's
/// `_meta`.
public struct ClientCapabilities: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8

  /// The flags of `rawValue`.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Forms can be shown. `"elicitation": {}` means this and nothing else.
  public static let formElicitation = ClientCapabilities(rawValue: 1)
  /// Links can be shown.
  public static let urlElicitation = ClientCapabilities(rawValue: 2)

  /// Reads the capabilities object at `range`. What is not understood is not a capability.
  static func scan(_ buffer: borrowing Buffer, _ range: Range<Int>) throws(JSONError) -> ClientCapabilities {
    guard var members = JSONScanner(object: buffer, range) else { return [] }
    var capabilities: ClientCapabilities = []
    while let member = try members.nextMember(buffer) {
      guard JSONText.equals(buffer, member.key, escaped: member.keyHasEscapes, "elicitation") else {
        continue
      }
      guard var modes = JSONScanner(object: buffer, member.value.range) else { continue }
      var isEmpty = true
      while let mode = try modes.nextMember(buffer) {
        isEmpty = false
        guard mode.value.kind == .object else { continue }
        if JSONText.equals(buffer, mode.key, escaped: mode.keyHasEscapes, "url") {
          capabilities.insert(.urlElicitation)
        } else if JSONText.equals(buffer, mode.key, escaped: mode.keyHasEscapes, "form") {
          capabilities.insert(.formElicitation)
        }
      }
      if isEmpty { capabilities.insert(.formElicitation) }
    }
    return capabilities
  }
}
