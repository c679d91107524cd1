internal import Basics
internal import Synchronization

/// One of several who work on the same sessions in memory, as processes do on a shared store.
struct MemoryStoreView: SessionStore {
  /// Tells the views of all stores apart.
  struct Number: Hashable {
    private static let last = Atomic<UInt64>(0)
    /// The store's own.
    static let itself = Number(value: 0)

    private let value: UInt64

    private init(value: UInt64) { self.value = value }

    static func next() -> Number { Number(value: last.wrappingAdd(1, ordering: .relaxed).newValue) }
  }

  private let store: MemorySessionStore
  private let number = Number.next()

  init(of store: MemorySessionStore) { self.store = store }

  var isShared: Bool { true }

  func identity() async throws(StoreError) -> Bytes32 { try await store.identity() }

  func load(_ hash: TicketHash) async throws(StoreError) -> Session? { try await store.load(hash) }

  func insert(_ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?) async throws(StoreError)
  {
    try await store.insert(session, removing: old, aliasUntil: aliasUntil, by: number)
  }

  func alias(of ticket: TicketHash, now: Timestamp) async throws(StoreError) -> TicketHash? {
    try await store.alias(of: ticket, now: now)
  }

  func save(_ session: Session, replacing generation: UInt64, under lease: SessionLease?)
    async throws(StoreError)
  {
    try await store.save(session, replacing: generation, under: lease, by: number)
  }

  func delete(_ hash: TicketHash) async throws(StoreError) { try await store.delete(hash, by: number) }

  func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await store.deleteAll(of: user, by: number)
  }

  func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await store.deleteAll(issuer: issuer, sid: sid, by: number)
  }

  func deleteEverySession() async throws(StoreError) -> Int { try await store.deleteEverySession(by: number) }

  func generations(of hashes: [TicketHash]) async throws(StoreError) -> [TicketHash: UInt64] {
    try await store.generations(of: hashes)
  }

  func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage {
    try await store.page(after: cursor, limit: limit)
  }

  func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await store.hashes(of: user)
  }

  func hashes(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await store.hashes(issuer: issuer, sid: sid)
  }

  func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError) { try await store.touch(uses) }

  func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError) {
    try await store.sweep(createdBefore: createdBefore, seenBefore: seenBefore, now: now)
  }

  func put(_ record: SingleUseRecord) async throws(StoreError) { try await store.put(record) }

  func claim(_ record: SingleUseRecord, now: Timestamp) async throws(StoreError) -> Bool {
    try await store.claim(record, now: now)
  }

  func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake
  {
    try await store.take(kind, key, owner: owner, now: now)
  }

  func peek(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake
  {
    try await store.peek(kind, key, owner: owner, now: now)
  }

  func discard(_ kind: RecordKind, owner: UserKey) async throws(StoreError) {
    try await store.discard(kind, owner: owner)
  }

  func put(_ note: Note, keeping limit: Int) async throws(StoreError) {
    try await store.put(note, keeping: limit)
  }

  func notes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) -> [Note] {
    try await store.notes(kind, owner: owner)
  }

  func removeNote(_ kind: NoteKind, owner: UserKey?, key: String) async throws(StoreError) {
    try await store.removeNote(kind, owner: owner, key: key)
  }

  func removeNotes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) {
    try await store.removeNotes(kind, owner: owner)
  }

  func sweepNotes(updatedBefore: Timestamp) async throws(StoreError) {
    try await store.sweepNotes(updatedBefore: updatedBefore)
  }

  func acquireLease(_ hash: TicketHash, holder: LeaseHolder, for duration: Duration) async throws(StoreError)
    -> LeaseAnswer
  {
    try await store.acquireLease(hash, holder: holder, for: duration)
  }

  func renewLease(_ lease: SessionLease, for duration: Duration) async throws(StoreError) -> Bool {
    try await store.renewLease(lease, for: duration)
  }

  func releaseLease(_ lease: SessionLease) async throws(StoreError) {
    try await store.releaseLease(lease, by: number)
  }

  func publish(_ message: [UInt8]) async throws(StoreError) { try await store.publish(message, by: number) }

  func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void) async {
    await store.listen(listener, as: number)
  }

  func count() async throws(StoreError) -> Int { try await store.count() }
  func ping() async throws(StoreError) { try await store.ping() }
  /// The store goes on for the others.
  func close() async {}
}
