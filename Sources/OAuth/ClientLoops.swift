internal import Basics

/// Requests that the provider refused because the same came too often (Entra's `AADSTS50196`): each is held back for a minute, then
/// for twice as long each time it happens again, up to ten minutes.
///
/// Keys name no user: a loop is the installation's fault, and all its requests count together.
struct ClientLoops {
  /// What makes two requests the same.
  struct Key: Hashable {
    let grant: GrantType
    let scope: [String]
    let claims: String?
    /// Audiences and resources of an exchange.
    let targets: [String]

    init(_ grant: GrantType, scope: [String]?, claims: String? = nil, targets: [String] = []) {
      self.grant = grant
      self.scope = (scope ?? []).sorted()
      self.claims = claims
      self.targets = targets.sorted()
    }
  }

  private struct Entry {
    var since: Timestamp
    var delay: Duration
    /// From here on the history is forgotten.
    var forgottenAt: Timestamp { since + (delay + ClientLoops.maxDelay) }
  }

  static let minDelay = Duration.seconds(60)
  static let maxDelay = Duration.seconds(600)
  /// There are as many keys as configured routes and their challenges; more than this is an attempt to fill the table.
  static let maxEntries = 256

  private var entries: [Key: Entry] = [:]

  var count: Int { entries.count }

  /// How long `key` is still held back; nil: it may go.
  func wait(for key: Key, at now: Timestamp) -> Duration? {
    guard let entry = entries[key] else { return nil }
    let age = now - entry.since
    // A clock that was set back counts as time passed.
    return age >= .zero && age < entry.delay ? entry.delay - age : nil
  }

  /// Takes down a refusal. - Returns: how long `key` is held back now.
  mutating func note(_ key: Key, at now: Timestamp) -> Duration {
    // Requests that were under way together are one refusal.
    if let wait = wait(for: key, at: now) { return wait }
    var delay = Self.minDelay
    if let entry = entries[key], now < entry.forgottenAt { delay = min(entry.delay * 2, Self.maxDelay) }
    if entries[key] == nil { makeRoom(now) }
    entries[key] = Entry(since: now, delay: delay)
    return delay
  }

  /// The provider took such a request again.
  mutating func end(_ key: Key) { entries[key] = nil }

  private mutating func makeRoom(_ now: Timestamp) {
    guard entries.count >= Self.maxEntries else { return }
    entries = entries.filter { now < $0.value.forgottenAt }
    guard entries.count >= Self.maxEntries else { return }
    if let oldest = entries.min(by: { $0.value.forgottenAt < $1.value.forgottenAt }) {
      entries[oldest.key] = nil
    }
  }
}
