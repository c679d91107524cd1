public import Basics
public import JSON

/// What the proxy gives a client to bring back when it repeats a call after consent: `requestState` of an
/// `input_required` result (MCP 2026-07-28, patterns, *Multi Round-Trip Requests*).
///
/// A state grants nothing: whoever brings it makes the call anew, as the same user, so it may come back twice.
/// This is the content. It is worth something only sealed: the caller encrypts ``encoded()`` and authenticates
/// what comes back before it is decoded. A pure value.
public struct RequestState: Sendable, Hashable {
  /// The user who was asked.
  public var user: Bytes32
  /// The route that was called.
  public var route: Int
  /// The digest of the call, see `CallDigest`.
  public var call: Bytes32
  /// The first moment at which the state is of no use any more.
  public var expiresAt: Timestamp
  /// The upstream's own state, which the call carried when consent turned out to be missing.
  public var upstreamState: String?
  /// The responses to the upstream's own requests, which came with it: clients send only those of the last round.
  public var upstreamResponses: JSONObject?

  /// A state to be sealed.
  public init(
    user: Bytes32, route: Int, call: Bytes32, expiresAt: Timestamp, upstreamState: String? = nil,
    upstreamResponses: JSONObject? = nil
  ) {
    self.user = user
    self.route = route
    self.call = call
    self.expiresAt = expiresAt
    self.upstreamState = upstreamState
    self.upstreamResponses = upstreamResponses
  }

  /// Why a state that came back is refused.
  public enum Problem: Sendable, Hashable, CaseIterable {
    /// Not sealed by us, or not readable.
    case malformed
    /// Too old.
    case expired
    /// Made for someone else.
    case foreignUser
    /// Made for another route or other arguments.
    case otherCall
  }

  /// Why the state is of no use for a call; nil when it is.
  public func problem(user: Bytes32, route: Int, call: Bytes32, now: Timestamp) -> Problem? {
    if self.user != user { return .foreignUser }
    if self.route != route || self.call != call { return .otherCall }
    return now < expiresAt ? nil : .expired
  }
}

// MARK: - As text

extension RequestState {
  /// The key of our request in `inputRequests`, and of the response to it in `inputResponses`.
  public static let inputKey = "coatcheck.consent"

  /// What the text form begins with.
  private static let prefix = "cc1."

  /// Whether a `requestState` is one of ours. An upstream's own passes untouched.
  public static func isOurs(_ text: String) -> Bool { text.utf8.starts(with: prefix.utf8) }

  /// The text form of sealed bytes.
  public static func text(sealed bytes: [UInt8]) -> String { prefix + Base64URL.encode(bytes) }

  /// The sealed bytes of a text form; nil when it is none of ours, longer than any of ours can be, or no
  /// base64url.
  public static func sealed(_ text: String) -> [UInt8]? {
    // Nonce and tag are far shorter than this.
    let maxSealedBytes = maxBytes + 256
    guard isOurs(text), text.utf8.count <= prefix.utf8.count + (maxSealedBytes + 2) / 3 * 4 else {
      return nil
    }
    // By bytes: a combining mark may not make one character with the dot.
    guard let encoded = String(text.utf8.dropFirst(prefix.utf8.count)) else { return nil }
    return Base64URL.decode(encoded)
  }

  /// Whether the person was asked for our part, and did not want to.
  public static func isDeclined(_ responses: JSONObject) -> Bool {
    responses.members.contains { member in
      guard isOurs(key: member.key), let action = member.value["action"]?.string else { return false }
      return action != "accept"
    }
  }

  /// Whether an entry of `inputRequests` is one of ours: several links have a number each.
  private static func isOurs(key: String) -> Bool { key == inputKey || key.hasPrefix(inputKey + ".") }

  /// The responses that the upstream may see: those to its own requests. Nil when there are none.
  public static func withoutOurs(_ responses: JSONObject) -> JSONObject? {
    let others = JSONObject(responses.members.filter { !isOurs(key: $0.key) }.map { ($0.key, $0.value) })
    return others.isEmpty ? nil : others
  }
}
