public import Basics

/// Stops walking in circles: a server that still refuses after the user consented is asked about only so many
/// times.
///
/// A *round* is a consent that was completed. After ``maxRounds`` rounds for the same user, route, tool and
/// demand within ``window``, the next refusal is final until the window has passed. Refusals alone, without
/// the user doing anything, count for nothing, so an impatient client uses no rounds up.
///
/// Invariant: `rounds.count <= capacity`. Owner: whoever holds it; a plain value.
public struct LoopGuard: Sendable {
  /// What is counted.
  public struct Key: Sendable, Hashable {
    /// The user, in whatever spelling identifies one.
    public let user: String
    /// The route.
    public let route: String
    /// The tool or other name, where known.
    public let name: String?
    /// What is demanded, independent of order.
    let demand: Set<String>

    /// The key of a set of scopes. `name` may be nil when the loop is counted per route.
    public init(user: String, route: String, name: String? = nil, scopes: [String]) {
      self.user = user
      self.route = route
      self.name = name
      demand = Set(scopes)
    }
  }

  /// What to do about a refusal.
  public enum Verdict: Sendable, Equatable {
    /// Ask; the number counts from 1.
    case ask(attempt: Int)
    /// Asked often enough: say what the server still wants, and stop.
    case exhausted
  }

  private struct Entry: Sendable {
    var count: Int
    var since: Timestamp
  }

  /// Completed rounds after which a refusal is final.
  public let maxRounds: Int
  /// How long rounds are remembered, counted from the first.
  public let window: Duration
  /// How many keys are remembered; the oldest are forgotten first.
  public let capacity: Int
  private var rounds: [Key: Entry] = [:]

  /// Two rounds in ten minutes, the life of one consent link.
  public init(maxRounds: Int = 2, window: Duration = .seconds(600), capacity: Int = 10_000) {
    self.maxRounds = max(maxRounds, 1)
    self.window = window
    self.capacity = max(capacity, 1)
  }

  /// How many keys are remembered.
  public var count: Int { rounds.count }

  /// What to do about a refusal met at `now`. Changes nothing.
  public func verdict(_ key: Key, now: Timestamp) -> Verdict {
    guard let entry = rounds[key], isCurrent(entry, now) else { return .ask(attempt: 1) }
    return entry.count >= maxRounds ? .exhausted : .ask(attempt: entry.count + 1)
  }

  /// Notes that the user completed the consent for `key`.
  public mutating func completed(_ key: Key, now: Timestamp) {
    if let entry = rounds[key], isCurrent(entry, now) {
      rounds[key] = Entry(count: min(entry.count + 1, maxRounds), since: entry.since)
      return
    }
    if rounds[key] == nil, rounds.count >= capacity { makeRoom(now) }
    rounds[key] = Entry(count: 1, since: now)
  }

  /// Forgets everything about a user, at sign-out.
  public mutating func forget(user: String) { rounds = rounds.filter { $0.key.user != user } }

  /// Forgets what is older than the window.
  public mutating func sweep(now: Timestamp) { rounds = rounds.filter { isCurrent($0.value, now) } }

  private func isCurrent(_ entry: Entry, _ now: Timestamp) -> Bool { now < entry.since + window }

  /// Drops what has expired, and if that is not enough the oldest quarter, so that the cost is shared by many
  /// additions.
  private mutating func makeRoom(_ now: Timestamp) {
    sweep(now: now)
    guard rounds.count >= capacity else { return }
    let ages = rounds.values.map(\.since).sorted()
    let cut = ages[min(capacity / 4, ages.count - 1)]
    rounds = rounds.filter { $0.value.since > cut }
  }
}
