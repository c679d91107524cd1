public import Basics

/// Sessions, records and notes in memory only: all are gone at a restart.
///
/// Bounded by the caller's sweeps for sessions, aliases and notes and by a limit for records. Several may work
/// on one through ``view()``, as processes do on a shared store.
public actor MemorySessionStore: SessionStore {
  private struct RecordKey: Hashable {
    let kind: RecordKind
    let key: TicketHash
  }

  private struct RecordOwner: Hashable {
    let kind: RecordKind
    let owner: UserKey
  }

  private struct NoteOwner: Hashable {
    let kind: NoteKind
    /// Nil: the installation.
    let owner: UserKey?
  }

  public nonisolated var isShared: Bool { false }

  var sessions: [TicketHash: PackedSession] = [:]
  /// The last lease of each session that ever had one, also when it has ended.
  var leases: [TicketHash: MemoryLease] = [:]
  /// Tickets that stand for newer sessions.
  var aliases: [TicketHash: (new: TicketHash, until: Timestamp)] = [:]
  var listeners: [MemoryStoreView.Number: @Sendable (StoreNotice) -> Void] = [:]
  let clock: WallClock
  /// What tells it from one that lost everything.
  var name = LeaseHolder.make().id
  private var records: [RecordKey: SingleUseRecord] = [:]
  private var recordCounts: [RecordKind: Int] = [:]
  /// The records that are bound to an owner, with the number that tells their order.
  private var ownedRecords: [RecordOwner: [TicketHash: UInt64]] = [:]
  private var lastRecordNumber: UInt64 = 0
  /// The latest first.
  private var notes: [NoteOwner: [Note]] = [:]
  private let maxRecordsPerKind: Int
  private var isClosed = false

  /// An empty store.
  /// - Parameter clock: the time that leases run by.
  public init(maxRecordsPerKind: Int = 50_000, clock: @escaping WallClock = Timestamp.now) {
    self.maxRecordsPerKind = max(1, maxRecordsPerKind)
    self.clock = clock
  }

  public func load(_ hash: TicketHash) async throws(StoreError) -> Session? {
    try checkOpen()
    return sessions[hash]?.session(hash)
  }

  public func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try checkOpen()
    return sessions.filter { $0.value.belongs(to: user, $0.key) }.map(\.key)
  }

  public func hashes(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try checkOpen()
    return sessions.filter { hash, packed in packed.session(hash).belongs(issuer: issuer, sid: sid) }.map(
      \.key)
  }

  public func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError) {
    try checkOpen()
    for (hash, time) in uses {
      guard let seen = sessions[hash]?.lastSeenAt, seen < time else { continue }
      sessions[hash]?.lastSeenAt = time
    }
  }

  public func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError)
  {
    try checkOpen()
    sessions = sessions.filter { $0.value.createdAt > createdBefore && $0.value.lastSeenAt > seenBefore }
    for (hash, session) in sessions
    where max(session.createdAt, session.lastSeenAt) > now + Session.clockTolerance {
      sessions[hash]?.began(noLaterThan: now)
      sessions[hash]?.lastSeenAt = min(session.lastSeenAt, now)
    }
    leases = leases.filter { sessions[$0.key] != nil }
    aliases = aliases.filter { $0.value.until > now }
    for (key, record) in records where record.expiresAt <= now { remove(key) }
  }

  public func put(_ record: SingleUseRecord) async throws(StoreError) {
    try checkOpen()
    let key = RecordKey(kind: record.kind, key: record.key)
    remove(key)
    if recordCounts[record.kind, default: 0] >= maxRecordsPerKind { makeRoom(record.kind) }
    if let owner = record.owner {
      let recordOwner = RecordOwner(kind: record.kind, owner: owner)
      if let perOwner = record.perOwner { makeRoom(recordOwner, max(1, perOwner)) }
      lastRecordNumber += 1
      ownedRecords[recordOwner, default: [:]][record.key] = lastRecordNumber
    }
    records[key] = record
    recordCounts[record.kind, default: 0] += 1
  }

  public func claim(_ record: SingleUseRecord, now: Timestamp) async throws(StoreError) -> Bool {
    try checkOpen()
    if let there = records[RecordKey(kind: record.kind, key: record.key)], there.expiresAt > now {
      return false
    }
    try await put(record)
    return true
  }

  public func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp)
    async throws(StoreError)
    -> RecordTake
  {
    try checkOpen()
    let found = look(kind, key, owner: owner, now: now)
    if found != .foreign { remove(RecordKey(kind: kind, key: key)) }
    return found
  }

  public func peek(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp)
    async throws(StoreError)
    -> RecordTake
  {
    try checkOpen()
    return look(kind, key, owner: owner, now: now)
  }

  public func discard(_ kind: RecordKind, owner: UserKey) async throws(StoreError) {
    try checkOpen()
    for key in (ownedRecords[RecordOwner(kind: kind, owner: owner)] ?? [:]).keys {
      remove(RecordKey(kind: kind, key: key))
    }
  }

  public func put(_ note: Note, keeping limit: Int) async throws(StoreError) {
    try checkOpen()
    try note.checkSize()
    let owner = NoteOwner(kind: note.kind, owner: note.owner)
    var kept = (notes[owner] ?? []).filter { $0.key != note.key }
    kept.insert(note, at: kept.firstIndex { $0.updatedAt <= note.updatedAt } ?? kept.endIndex)
    set(Array(kept.prefix(max(0, limit))), of: owner)
  }

  public func notes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) -> [Note] {
    try checkOpen()
    return notes[NoteOwner(kind: kind, owner: owner)] ?? []
  }

  public func removeNote(_ kind: NoteKind, owner: UserKey?, key: String) async throws(StoreError) {
    try checkOpen()
    let owner = NoteOwner(kind: kind, owner: owner)
    set((notes[owner] ?? []).filter { $0.key != key }, of: owner)
  }

  public func removeNotes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) {
    try checkOpen()
    notes[NoteOwner(kind: kind, owner: owner)] = nil
  }

  public func sweepNotes(updatedBefore: Timestamp) async throws(StoreError) {
    try checkOpen()
    for (owner, kept) in notes { set(kept.filter { $0.updatedAt > updatedBefore }, of: owner) }
  }

  public func count() async throws(StoreError) -> Int {
    try checkOpen()
    return sessions.count
  }

  public func ping() async throws(StoreError) { try checkOpen() }

  public func close() async {
    isClosed = true
    sessions = [:]
    leases = [:]
    aliases = [:]
    listeners = [:]
    records = [:]
    recordCounts = [:]
    ownedRecords = [:]
    notes = [:]
  }

  func checkOpen() throws(StoreError) {
    if isClosed { throw .unavailable("it was closed") }
  }

  private func set(_ kept: [Note], of owner: NoteOwner) { notes[owner] = kept.isEmpty ? nil : kept }

  private func look(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) -> RecordTake {
    guard let record = records[RecordKey(kind: kind, key: key)], record.expiresAt > now else {
      return .missing
    }
    if let bound = record.owner, bound != owner { return .foreign }
    return .taken(record.payload)
  }

  private func remove(_ key: RecordKey) {
    guard let record = records.removeValue(forKey: key) else { return }
    recordCounts[key.kind, default: 1] -= 1
    guard let owner = record.owner else { return }
    let recordOwner = RecordOwner(kind: key.kind, owner: owner)
    ownedRecords[recordOwner]?[key.key] = nil
    if ownedRecords[recordOwner]?.isEmpty ?? false { ownedRecords[recordOwner] = nil }
  }

  /// Removes records of one owner until there is room for another; of the same expiry, the first to come goes
  /// first.
  private func makeRoom(_ owner: RecordOwner, _ limit: Int) {
    let owned = ownedRecords[owner] ?? [:]
    guard owned.count >= limit else { return }
    let inOrder = owned.sorted { $0.value < $1.value }.map { RecordKey(kind: owner.kind, key: $0.key) }
    let byExpiry = inOrder.compactMap { records[$0] }.sorted { $0.expiresAt < $1.expiresAt }
    for record in byExpiry.prefix(owned.count + 1 - limit) {
      remove(RecordKey(kind: record.kind, key: record.key))
    }
  }

  /// Removes a sixteenth of the kind's records at once, so that a flood does not sort the table at every
  /// step.
  private func makeRoom(_ kind: RecordKind) {
    let byExpiry = records.filter { $0.key.kind == kind }.sorted { $0.value.expiresAt < $1.value.expiresAt }
    for (key, _) in byExpiry.prefix(max(1, maxRecordsPerKind / 16)) { remove(key) }
  }
}
