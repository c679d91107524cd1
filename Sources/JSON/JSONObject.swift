/// The members of a JSON object in their order; no key occurs twice. Equality ignores the order.
///
/// Small objects are searched in order; from ``indexThreshold`` members on an index is kept, so that building and
/// reading a large object stay linear.
public struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
  /// The members in order.
  public private(set) var members: [(key: String, value: JSONValue)] = []
  private var index: [String: Int] = [:]

  private static let indexThreshold = 16

  /// An object without members.
  public init() {}

  /// Members in order; a repeated key replaces the earlier member.
  public init(_ members: [(String, JSONValue)]) {
    for (key, value) in members { self[key] = value }
  }

  public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }

  /// How many members there are.
  public var count: Int { members.count }

  /// Whether there are none.
  public var isEmpty: Bool { members.isEmpty }

  /// The keys in order.
  public var keys: [String] { members.map(\.key) }

  /// The member `key`. Setting nil removes it, setting another value keeps its place.
  public subscript(key: String) -> JSONValue? {
    get { position(of: key).map { members[$0].value } }
    set {
      switch (position(of: key), newValue) {
      case (let position?, let value?): members[position].value = value
      case (let position?, nil):
        members.remove(at: position)
        index = [:]
        buildIndex()
      case (nil, let value?): append(key, value)
      case (nil, nil): break
      }
    }
  }

  /// Appends a member known to be new.
  mutating func append(_ key: String, _ value: JSONValue) {
    members.append((key, value))
    if index.isEmpty { buildIndex() } else { index[key] = members.count - 1 }
  }

  func position(of key: String) -> Int? {
    index.isEmpty ? members.firstIndex { $0.key == key } : index[key]
  }

  private mutating func buildIndex() {
    guard members.count >= Self.indexThreshold else { return }
    for (position, member) in members.enumerated() { index[member.key] = position }
  }

  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.count == b.count && a.members.allSatisfy { b[$0.key] == $0.value }
  }

  public func hash(into hasher: inout Hasher) {
    // Order does not count, so the members' hashes are added up.
    var sum = 0
    for member in members {
      var inner = Hasher()
      inner.combine(member.key)
      inner.combine(member.value)
      sum &+= inner.finalize()
    }
    hasher.combine(sum)
  }
}
