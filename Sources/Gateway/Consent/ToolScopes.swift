internal import Basics
internal import Configuration
internal import Consent
internal import JSON
internal import Reactor

/// The scopes that MCP methods and tools are known to need beyond those of their route: configured, and learned from what upstreams
/// demanded.
///
/// Owner: shared; data loops read and learn, the control loop stores and forgets. Bound: `capacity` learned entries; when it is
/// reached nothing more is learned.
final class ToolScopes: Sendable {
  /// What needs scopes.
  struct Subject: Hashable, Sendable {
    /// Path of the route.
    var route: String
    var method: String
    /// Empty: all of the method.
    var tool: String

    /// The key under which it is stored: paths and methods have no line ends.
    var key: String { route + "\n" + method + "\n" + tool }
  }

  /// One learned entry.
  struct Learned: Sendable {
    var subject: Subject
    var scopes: [String]
    var at: Timestamp
  }

  private let configured: [Subject: [String]]
  private let learned = Locked<[Subject: Learned]>([:])
  private let capacity: Int
  /// The longest name for which scopes are learned, in bytes.
  static let maxLearnedBytes = 128
  /// The longest name that is compared with configured ones, in bytes.
  static let maxToolBytes = 4096
  /// Scopes that are learned for one tool.
  private static let maxScopes = 32

  /// - Parameter routes: paths of all routes: an entry without a route is for each.
  init(_ entries: [Configuration.Consent.ToolScope], routes: [String], capacity: Int = 2048) {
    var table: [Subject: [String]] = [:]
    for entry in entries {
      for route in entry.route.map({ [$0] }) ?? routes {
        let subject = Subject(
          route: route, method: entry.method ?? "tools/call", tool: entry.tool ?? "")
        table[subject] = ScopeList.union(table[subject] ?? [], entry.scope)
      }
    }
    configured = table
    self.capacity = capacity
  }

  /// What a call needs, by all that is known.
  func needed(by subject: Subject) -> [String] {
    var whole = subject
    whole.tool = ""
    let own = learned.withLock { ($0[subject]?.scopes ?? [], $0[whole]?.scopes ?? []) }
    return ScopeList.union(configured[subject] ?? [], configured[whole] ?? [], own.0, own.1)
  }

  /// Learns from a demand. Returns the entry when it is new or larger, to be stored.
  func learn(_ subject: Subject, scopes: [String], now: Timestamp) -> Learned? {
    guard !scopes.isEmpty, subject.tool.utf8.count <= Self.maxLearnedBytes else { return nil }
    return learned.withLock { table in
      let known = table[subject]
      let union = Array(ScopeList.union(known?.scopes ?? [], scopes).prefix(Self.maxScopes))
      guard union != known?.scopes, known != nil || table.count < capacity else { return nil }
      let entry = Learned(subject: subject, scopes: union, at: now)
      table[subject] = entry
      return entry
    }
  }

  /// Takes in what was stored.
  func restore(_ entries: [Learned]) {
    learned.withLock { table in
      for entry in entries.prefix(capacity) where table[entry.subject] == nil { table[entry.subject] = entry }
    }
  }

  /// Takes in what was stored, and forgets what is not there any more.
  func replace(_ entries: [Learned]) {
    learned.withLock { $0 = [:] }
    restore(entries)
  }

  /// All that was learned, in order.
  var all: [Learned] { learned.withLock { Array($0.values) }.sorted { $0.subject.key < $1.subject.key } }

  /// Forgets what fits; nil fits everything. Returns the keys that were forgotten.
  func forget(route: String?, tool: String?) -> [String] {
    learned.withLock { table in
      let gone = table.keys.filter { (route ?? $0.route) == $0.route && (tool ?? $0.tool) == $0.tool }
      for subject in gone { table[subject] = nil }
      return gone.map(\.key)
    }
  }
}

extension ToolScopes.Learned {
  var json: JSONValue {
    .object([
      "route": .string(subject.route), "method": .string(subject.method), "tool": .string(subject.tool),
      "scopes": .array(scopes.map { .string($0) }), "learned_at": .string(at.rfc3339),
    ])
  }

  /// Reads the stored form.
  init?(payload: [UInt8], at: Timestamp) {
    guard let value = try? JSONValue.parse(payload), let route = value["route"]?.string,
      let method = value["method"]?.string, let tool = value["tool"]?.string,
      let scopes = value["scopes"]?.strings
    else { return nil }
    self.init(
      subject: ToolScopes.Subject(route: route, method: method, tool: tool), scopes: ScopeList.union(scopes),
      at: at)
  }
}
