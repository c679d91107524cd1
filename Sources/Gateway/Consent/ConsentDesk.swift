internal import Basics
internal import Reactor
internal import Sessions

/// The questions to people that are open: what was asked about which call, and what became of it.
///
/// Why shared: the client that repeats its call, the stream that hears of the consent, and the page that waits may each be on
/// another loop. Bounds: `capacity` questions, and for one person `perUser`; the oldest go first. A question that is forgotten costs
/// its asker a fresh link, nothing else.
final class ConsentDesk: Sendable {
  /// A call as far as it matters for recognising it when it comes again.
  struct Subject: Hashable, Sendable {
    var user: Bytes32
    /// Whoever comes with another ticket has not seen the link.
    var session: TicketHash
    var route: Int
    var method: [UInt8]
    var name: [UInt8]
  }

  /// What became of a question.
  enum State: String, Sendable { case pending, granted, declined }

  /// One question.
  struct Ask: Sendable {
    var subject: Subject
    var askedAt: Timestamp
    var state = State.pending
    /// The MCP session to tell when it is answered; nil where nobody is.
    var mcpSession: Bytes32?
  }

  private struct Table {
    var asks: [TicketHash: Ask] = [:]
    /// The newest question about a call.
    var newest: [Subject: TicketHash] = [:]
    var counts: [Bytes32: Int] = [:]
  }

  private let table = Locked(Table())
  private let lifetime: Duration
  private let capacity: Int
  private let perUser: Int

  /// - Parameter lifetime: how long a link works.
  init(lifetime: Duration, capacity: Int = 10_000, perUser: Int = 64) {
    self.lifetime = lifetime
    self.capacity = capacity
    self.perUser = perUser
  }

  /// Notes that a link was given out. What is known of it already stays.
  func asked(_ id: TicketHash, _ ask: Ask) {
    table.withLock { table in
      guard table.asks[id] == nil else { return }
      if table.asks.count >= capacity { makeRoom(&table) }
      if table.counts[ask.subject.user, default: 0] >= perUser { forgetOldest(of: ask.subject.user, &table) }
      table.asks[id] = ask
      // One that was answered before it was heard of here is only kept to be told about.
      if ask.state == .pending { table.newest[ask.subject] = id }
      table.counts[ask.subject.user, default: 0] += 1
    }
  }

  /// Whether this call was asked about, and the person has not answered yet.
  func isOpen(_ subject: Subject, now: Timestamp) -> Bool {
    table.withLock { table in
      guard let id = table.newest[subject], let ask = table.asks[id] else { return false }
      return ask.state == .pending && now < ask.askedAt + lifetime
    }
  }

  /// A call that comes again is asked about anew, not waited for. The link of before still works.
  func withdraw(_ subject: Subject) { table.withLock { $0.newest[subject] = nil } }

  /// Whether no question is open: what the way of every event stream looks at.
  var isEmpty: Bool { table.withLock { $0.newest.isEmpty } }

  /// Forgets what is too old to matter.
  func sweep(now: Timestamp) {
    table.withLock { table in
      let limit = now - lifetime
      table.newest = table.newest.filter { table.asks[$0.value].map { $0.askedAt > limit } ?? false }
      keep(&table) { $0.askedAt > limit - self.lifetime }
    }
  }

  /// Questions that nobody has answered, as far as it is known here.
  func pending(now: Timestamp) -> [(id: TicketHash, ask: Ask)] {
    table.withLock { table in
      table.asks.lazy.filter { $0.value.state == .pending && now < $0.value.askedAt + self.lifetime }
        .map { (id: $0.key, ask: $0.value) }
    }
  }

  /// One question; nil when it is not known (any more).
  func ask(_ id: TicketHash) -> Ask? { table.withLock { $0.asks[id] } }

  /// What became of a question; nil when it is not known (any more), or is somebody else's.
  func state(of id: TicketHash, user: Bytes32, now: Timestamp) -> State? {
    table.withLock { table in
      guard let ask = table.asks[id], ask.subject.user == user, now < ask.askedAt + lifetime * 2 else {
        return nil
      }
      return ask.state
    }
  }

  /// Notes the answer to a question. With a yes, the person's other questions about the same server count as answered too: one
  /// consent may serve them all, and what it does not serve is asked about anew.
  ///
  /// - Returns: the question, and all that are answered now.
  func answered(_ id: TicketHash, _ state: State) -> (ask: Ask, all: [TicketHash])? {
    table.withLock { table in
      guard let ask = table.asks[id] else { return nil }
      var all = [id]
      if state == .granted {
        let (user, route) = (ask.subject.user, ask.subject.route)
        all += table.asks.keys.filter { other in
          guard other != id, let known = table.asks[other] else { return false }
          return known.state == .pending && known.subject.user == user && known.subject.route == route
        }
        table.newest = table.newest.filter { $0.key.user != user || $0.key.route != route }
      } else if table.newest[ask.subject] == id {
        table.newest[ask.subject] = nil
      }
      for other in all { table.asks[other]?.state = state }
      return (ask, all)
    }
  }

  /// Forgets one question: nobody will answer it any more.
  func forget(_ id: TicketHash) {
    table.withLock { table in
      guard let ask = table.asks.removeValue(forKey: id) else { return }
      if table.newest[ask.subject] == id { table.newest[ask.subject] = nil }
      table.counts[ask.subject.user, default: 1] -= 1
    }
  }

  /// Forgets everything about a person.
  func forget(user: Bytes32) {
    table.withLock { table in
      table.asks = table.asks.filter { $0.value.subject.user != user }
      table.newest = table.newest.filter { $0.key.user != user }
      table.counts[user] = nil
    }
  }

  /// Makes room: the oldest quarter goes, so that the cost is shared by many additions.
  private func makeRoom(_ table: inout Table) {
    let ages = table.asks.values.map(\.askedAt).sorted()
    let cut = ages[ages.count / 4]
    keep(&table) { $0.askedAt > cut }
  }

  private func keep(_ table: inout Table, where isKept: (Ask) -> Bool) {
    table.asks = table.asks.filter { isKept($0.value) }
    table.newest = table.newest.filter { table.asks[$0.value] != nil }
    table.counts = table.asks.values.reduce(into: [:]) { $0[$1.subject.user, default: 0] += 1 }
  }

  private func forgetOldest(of user: Bytes32, _ table: inout Table) {
    guard
      let oldest = table.asks.filter({ $0.value.subject.user == user })
        .min(by: { $0.value.askedAt < $1.value.askedAt })
    else { return }
    table.asks[oldest.key] = nil
    if table.newest[oldest.value.subject] == oldest.key { table.newest[oldest.value.subject] = nil }
    table.counts[user, default: 1] -= 1
  }
}
