internal import Basics
internal import Synchronization

/// A store of which is known how it fares. Where it is shared, and known to be down, nobody waits for it: every
/// question but ``ping()`` fails at once, and a ping that is answered opens the way again.
final class WatchedStore: SessionStore {
  private struct State {
    /// Since it last answered.
    var failures = 0
    var lastContact: Timestamp
    var onTrouble: (@Sendable () -> Void)?
  }

  /// What is told while the store is known to be down.
  static let knownDown = StoreError.unavailable("it did not answer a moment ago")
  /// A single failure may be one server's, or one answer's, of many.
  private static let patience = 2

  private let inner: any SessionStore
  private let clock: WallClock
  private let state: Mutex<State>
  let isShared: Bool

  init(_ inner: any SessionStore, clock: @escaping WallClock) {
    self.inner = inner
    self.clock = clock
    isShared = inner.isShared
    state = Mutex(State(lastContact: clock()))
  }

  /// Whether the last answer was no failure.
  var isUp: Bool { state.withLock { $0.failures == 0 } }
  /// Whether it fails again and again.
  var isDown: Bool { state.withLock { $0.failures >= Self.patience } }
  /// When it last answered.
  var lastContact: Timestamp { state.withLock { $0.lastContact } }

  /// Calls `work` when a failure follows an answer.
  func onTrouble(_ work: @escaping @Sendable () -> Void) { state.withLock { $0.onTrouble = work } }

  private func ask<Value: Sendable>(
    isProbe: Bool = false, _ question: (any SessionStore) async throws(StoreError) -> Value
  ) async throws(StoreError) -> Value {
    if isShared, !isProbe, isDown { throw Self.knownDown }
    do {
      let value = try await question(inner)
      answered()
      return value
    } catch .unavailable(let detail) {
      failed()
      throw .unavailable(detail)
    } catch {
      answered()
      throw error
    }
  }

  private func answered() {
    let now = clock()
    state.withLock { state in
      state.failures = 0
      state.lastContact = now
    }
  }

  private func failed() {
    let tell = state.withLock { state in
      state.failures += 1
      return state.failures == 1 ? state.onTrouble : nil
    }
    tell?()
  }

  func identity() async throws(StoreError) -> Bytes32 {
    try await ask { store throws(StoreError) in try await store.identity() }
  }

  func load(_ hash: TicketHash) async throws(StoreError) -> Session? {
    try await ask { store throws(StoreError) in try await store.load(hash) }
  }

  func insert(_ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?) async throws(StoreError)
  {
    try await ask { store throws(StoreError) in
      try await store.insert(session, removing: old, aliasUntil: aliasUntil)
    }
  }

  func alias(of ticket: TicketHash, now: Timestamp) async throws(StoreError) -> TicketHash? {
    try await ask { store throws(StoreError) in try await store.alias(of: ticket, now: now) }
  }

  func save(_ session: Session, replacing generation: UInt64, under lease: SessionLease?)
    async throws(StoreError)
  {
    try await ask { store throws(StoreError) in
      try await store.save(session, replacing: generation, under: lease)
    }
  }

  func delete(_ hash: TicketHash) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.delete(hash) }
  }

  func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await ask { store throws(StoreError) in try await store.deleteAll(of: user) }
  }

  func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await ask { store throws(StoreError) in try await store.deleteAll(issuer: issuer, sid: sid) }
  }

  func deleteEverySession() async throws(StoreError) -> Int {
    try await ask { store throws(StoreError) in try await store.deleteEverySession() }
  }

  func generations(of hashes: [TicketHash]) async throws(StoreError) -> [TicketHash: UInt64] {
    try await ask { store throws(StoreError) in try await store.generations(of: hashes) }
  }

  func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage {
    try await ask { store throws(StoreError) in try await store.page(after: cursor, limit: limit) }
  }

  func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await ask { store throws(StoreError) in try await store.hashes(of: user) }
  }

  func hashes(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await ask { store throws(StoreError) in try await store.hashes(issuer: issuer, sid: sid) }
  }

  func adopt(_ ring: KeyRing) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.adopt(ring) }
  }

  func reseal(limit: Int) async throws(StoreError) -> ResealTurn {
    try await ask { store throws(StoreError) in try await store.reseal(limit: limit) }
  }

  func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.touch(uses) }
  }

  func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError) {
    try await ask { store throws(StoreError) in
      try await store.sweep(createdBefore: createdBefore, seenBefore: seenBefore, now: now)
    }
  }

  func put(_ record: SingleUseRecord) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.put(record) }
  }

  func claim(_ record: SingleUseRecord, now: Timestamp) async throws(StoreError) -> Bool {
    try await ask { store throws(StoreError) in try await store.claim(record, now: now) }
  }

  func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake
  {
    try await ask { store throws(StoreError) in try await store.take(kind, key, owner: owner, now: now) }
  }

  func peek(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake
  {
    try await ask { store throws(StoreError) in try await store.peek(kind, key, owner: owner, now: now) }
  }

  func discard(_ kind: RecordKind, owner: UserKey) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.discard(kind, owner: owner) }
  }

  func put(_ note: Note, keeping limit: Int) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.put(note, keeping: limit) }
  }

  func notes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) -> [Note] {
    try await ask { store throws(StoreError) in try await store.notes(kind, owner: owner) }
  }

  func removeNote(_ kind: NoteKind, owner: UserKey?, key: String) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.removeNote(kind, owner: owner, key: key) }
  }

  func removeNotes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.removeNotes(kind, owner: owner) }
  }

  func sweepNotes(updatedBefore: Timestamp) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.sweepNotes(updatedBefore: updatedBefore) }
  }

  func acquireLease(_ hash: TicketHash, holder: LeaseHolder, for duration: Duration) async throws(StoreError)
    -> LeaseAnswer
  {
    try await ask { store throws(StoreError) in
      try await store.acquireLease(hash, holder: holder, for: duration)
    }
  }

  func renewLease(_ lease: SessionLease, for duration: Duration) async throws(StoreError) -> Bool {
    try await ask { store throws(StoreError) in try await store.renewLease(lease, for: duration) }
  }

  func releaseLease(_ lease: SessionLease) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.releaseLease(lease) }
  }

  func publish(_ message: [UInt8]) async throws(StoreError) {
    try await ask { store throws(StoreError) in try await store.publish(message) }
  }

  func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void) async { await inner.listen(listener) }

  func count() async throws(StoreError) -> Int {
    try await ask { store throws(StoreError) in try await store.count() }
  }

  func ping() async throws(StoreError) {
    try await ask(isProbe: true) { store throws(StoreError) in try await store.ping() }
  }

  func close() async { await inner.close() }
}
