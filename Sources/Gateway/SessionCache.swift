internal import Basics
internal import Sessions

/// One data loop's view of the sessions it has met, keyed by ticket hash.
///
/// Owner: its loop. Bound: `capacity` entries; when full, entries that were not used for `quietPeriod` go first, then all
/// (the control loop has them still). Invariant: an entry's snapshot is never older than the last change that was broadcast.
struct SessionCache {
  /// One ticket's entry. A class, so the hot path changes `lastSeen` in place.
  final class Entry {
    fileprivate(set) var snapshot: SessionSnapshot
    /// When a request last used it, for the idle timeout.
    var lastSeen: Timestamp
    /// When `lastSeen` was last told to the control loop.
    var lastReported: Timestamp
    /// A ticket that was replaced at a step-up is asked for anew from here on: how long it still leads to its session is the control
    /// loop's to say.
    let recheckAt: Timestamp?
    /// When the control loop was last asked to refresh ahead of time.
    var lastRefreshAsk = Timestamp(milliseconds: 0)

    init(snapshot: SessionSnapshot, lastSeen: Timestamp, recheckAt: Timestamp?) {
      self.snapshot = snapshot
      self.lastSeen = lastSeen
      self.recheckAt = recheckAt
      lastReported = snapshot.lastSeen
    }
  }

  private var entries: [TicketHash: Entry] = [:]
  /// Tickets that stand for another session's ticket since a step-up, so a change finds them too.
  private var aliases: [TicketHash: [TicketHash]] = [:]
  /// Sessions that ended a moment ago: an answer of the control loop that was on its way then must not bring one back.
  private var ended: [TicketHash: Timestamp] = [:]
  private let capacity: Int
  private static let endedMemory = Duration.seconds(60)
  private let quietPeriod: Duration = .seconds(300)

  /// False: all are asked for anew, because nobody knows whether they still live.
  var isUsable = true

  init(capacity: Int = 100_000) { self.capacity = capacity }

  var count: Int { entries.count }

  /// The entry of a ticket, if it is known here.
  func entry(for ticket: TicketHash, now: Timestamp) -> Entry? {
    guard isUsable, let entry = entries[ticket] else { return nil }
    if let recheckAt = entry.recheckAt, recheckAt <= now { return nil }
    return entry
  }

  /// Remembers a session under the ticket it was asked by.
  ///
  /// - Returns: nil when the session ended meanwhile.
  mutating func insert(_ snapshot: SessionSnapshot, ticket: TicketHash, now: Timestamp) -> Entry? {
    if ended[snapshot.hash] != nil { return nil }
    if entries.count >= capacity { makeRoom(now: now) }
    if ticket != snapshot.hash, entries[ticket] == nil { aliases[snapshot.hash, default: []].append(ticket) }
    let recheckAt = ticket == snapshot.hash ? nil : now + .seconds(30)
    let entry = Entry(snapshot: snapshot, lastSeen: max(now, snapshot.lastSeen), recheckAt: recheckAt)
    entries[ticket] = entry
    return entry
  }

  /// Takes over a change. A snapshot that is older than what is known is ignored: broadcasts of two threads may cross.
  mutating func update(_ snapshot: SessionSnapshot) {
    for ticket in [snapshot.hash] + (aliases[snapshot.hash] ?? []) {
      guard let entry = entries[ticket], entry.snapshot.generation <= snapshot.generation else { continue }
      entry.snapshot = snapshot
    }
  }

  /// Forgets a session that ended or was replaced, under all its tickets, for good.
  mutating func end(_ session: TicketHash, now: Timestamp) {
    if ended.count >= 4096 { ended = ended.filter { now - $0.value < SessionCache.endedMemory } }
    ended[session] = now
    remove(session)
  }

  /// Forgets every session, each for good.
  mutating func endAll(now: Timestamp) {
    for hash in Set(entries.values.map(\.snapshot.hash)) { end(hash, now: now) }
  }

  /// Forgets a session; it is asked for anew when it is needed.
  mutating func remove(_ session: TicketHash) {
    entries[session] = nil
    for ticket in aliases.removeValue(forKey: session) ?? [] { entries[ticket] = nil }
  }

  /// Forgets all; each is asked for anew when it is needed.
  mutating func removeAll() {
    entries = [:]
    aliases = [:]
  }

  private mutating func makeRoom(now: Timestamp) {
    let limit = now - quietPeriod
    entries = entries.filter { $0.value.lastSeen > limit }
    if entries.count >= capacity { entries.removeAll() }
    aliases = aliases.filter { $0.value.contains { entries[$0] != nil } }
  }
}
