public import JSON

/// The `claims` parameter (OpenID Connect Core 1.0 §5.5) put together from what is always demanded and what a challenge adds.
public enum ClaimsRequest {
  /// Longest claims text that is accepted, in bytes.
  public static let maxBytes = 8 << 10

  /// `base` and the object in `text` merged member by member at every depth; where both name a value, `text` wins.
  ///
  /// Text without a base is returned as it was sent: providers compare spellings such as `Values`, so nothing is re-typed. Nil when
  /// there is nothing to demand. A text that is no JSON object is ignored.
  public static func merged(base: JSONObject?, text: String?) -> String? {
    let base = base.flatMap { $0.isEmpty ? nil : $0 }
    guard let text, let demand = object(text) else { return base.map { JSONValue.object($0).serialized() } }
    guard let base else { return text }
    return JSONValue.object(merge(base, demand)).serialized()
  }

  /// The object in `text`, when it is one within the bounds.
  public static func object(_ text: String) -> JSONObject? {
    guard text.utf8.count <= maxBytes else { return nil }
    return (try? JSONValue.parse(text, limits: JSONLimits(depth: 16, bytes: maxBytes)))?.object
  }

  private static func merge(_ base: JSONObject, _ demand: JSONObject) -> JSONObject {
    var out = base
    for member in demand.members {
      if case .object(let inner)? = out[member.key], case .object(let added) = member.value {
        out[member.key] = .object(merge(inner, added))
      } else {
        out[member.key] = member.value
      }
    }
    return out
  }
}
