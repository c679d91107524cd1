public import Basics

/// Sessions and records in memory only: all are gone at a restart.
///
/// Bounded by the caller's sweeps for sessions and by a limit for records.
public actor MemorySessionStore: SessionStore {
  private struct RecordKey: Hashable {
    let kind: RecordKind
    let key: TicketHash
  }

  private var sessions: [TicketHash: Session] = [:]
  private var records: [RecordKey: SingleUseRecord] = [:]
  private var recordCounts: [RecordKind: Int] = [:]
  private let maxRecordsPerKind: Int
  private var isClosed = false

  /// An empty store.
  public init(maxRecordsPerKind: Int = 50_000) { self.maxRecordsPerKind = max(1, maxRecordsPerKind) }

  public func load(_ hash: TicketHash) async throws(StoreError) -> Session? {
    try checkOpen()
    return sessions[hash]
  }

  public func insert(_ session: Session, removing old: TicketHash?) async throws(StoreError) {
    try checkOpen()
    if let present = sessions[session.hash] { throw .conflict(current: present.generation) }
    if let old { sessions[old] = nil }
    sessions[session.hash] = session
  }

  public func save(_ session: Session, replacing generation: UInt64) async throws(StoreError) {
    try checkOpen()
    guard let present = sessions[session.hash], present.generation == generation else {
      throw .conflict(current: sessions[session.hash]?.generation)
    }
    var session = session
    session.lastSeenAt = max(session.lastSeenAt, present.lastSeenAt)
    sessions[session.hash] = session
  }

  public func delete(_ hash: TicketHash) async throws(StoreError) {
    try checkOpen()
    sessions[hash] = nil
  }

  public func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try deleteAll { $0.user == user }
  }

  public func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try deleteAll { $0.sid == sid && $0.user.issuer == issuer }
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
    for (key, record) in records where record.expiresAt <= now { remove(key) }
  }

  public func put(_ record: SingleUseRecord) async throws(StoreError) {
    try checkOpen()
    let key = RecordKey(kind: record.kind, key: record.key)
    remove(key)
    if recordCounts[record.kind, default: 0] >= maxRecordsPerKind { makeRoom(record.kind) }
    records[key] = record
    recordCounts[record.kind, default: 0] += 1
  }

  public func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp)
    async throws(StoreError)
    -> RecordTake
  {
    try checkOpen()
    let recordKey = RecordKey(kind: kind, key: key)
    guard let record = records[recordKey] else { return .missing }
    guard record.expiresAt > now else {
      remove(recordKey)
      return .missing
    }
    if let bound = record.owner, bound != owner { return .foreign }
    remove(recordKey)
    return .taken(record.payload)
  }

  public func count() async throws(StoreError) -> Int {
    try checkOpen()
    return sessions.count
  }

  public func ping() async throws(StoreError) { try checkOpen() }

  public func close() async {
    isClosed = true
    sessions = [:]
    records = [:]
    recordCounts = [:]
  }

  private func checkOpen() throws(StoreError) {
    if isClosed { throw .unavailable("it was closed") }
  }

  private func deleteAll(where matches: (Session) -> Bool) throws(StoreError) -> [TicketHash] {
    try checkOpen()
    let gone = sessions.values.filter(matches).map(\.hash)
    for hash in gone { sessions[hash] = nil }
    return gone
  }

  private func remove(_ key: RecordKey) {
    if records.removeValue(forKey: key) != nil { recordCounts[key.kind, default: 1] -= 1 }
  }

  /// Removes a sixteenth of the kind's records at once, so that a flood does not sort the table at every
  /// step.
  private func makeRoom(_ kind: RecordKind) {
    let byExpiry = records.filter { $0.key.kind == kind }.sorted { $0.value.expiresAt < $1.value.expiresAt }
    for (key, _) in byExpiry.prefix(max(1, maxRecordsPerKind / 16)) { remove(key) }
  }
}
