internal import JSON

/// The requests for consent of Azure AI Foundry's Responses interface: an output item `oauth_consent_request`, in a
/// response or as an event while it is streamed, and an event of its own.
enum FoundryConsent {
  /// Part of every such request.
  static let mark: StaticString = "oauth_consent_request"
  /// No type of these events is longer.
  static let maxTypeBytes = 40

  private static let itemEvents = ["response.output_item.added", "response.output_item.done"]
  private static let ownEvent = "response.oauth_consent_requested"
  private static let itemType = "oauth_consent_request"
  /// More items of a response are not looked at.
  private static let maxItems = 64

  /// Whether events of this type may be such a request.
  static func isEvent(_ type: String) -> Bool { type == ownEvent || itemEvents.contains(type) }

  /// The demand in a response; nil when no item of its output is one with a link that may be shown.
  static func need(inResponse response: JSONObject) -> ConsentNeed? {
    need(in: (response["output"]?.array ?? []).prefix(maxItems))
  }

  /// The demand in an event. Some servers name its type in the data only.
  static func need(inEvent data: JSONObject, type: String) -> ConsentNeed? {
    let type = type.isEmpty ? data["type"]?.string ?? "" : type
    if itemEvents.contains(type) { return need(in: [data["item"]].compactMap(\.self)[...]) }
    guard type == ownEvent else { return nil }
    return need(links: [data["consent_link"], data["item"]?["consent_link"]].compactMap { $0?.string })
  }

  private static func need(in items: ArraySlice<JSONValue>) -> ConsentNeed? {
    need(
      links: items.compactMap { $0["type"]?.string == itemType ? $0["consent_link"]?.string : nil })
  }

  private static func need(links: [String]) -> ConsentNeed? {
    let links = links.compactMap(ConsentLink.safe)
    guard !links.isEmpty else { return nil }
    return ConsentNeed(.consent, source: .body, code: itemType, target: .downstream, links: links)
  }
}
