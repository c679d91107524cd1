import Basics
import Sessions
import Synchronization

/// A memory store that can be taken down, held up, and that writes down what it is asked to do.
final class FaultyStore: SessionStore {
  enum Fault: Sendable {
    case none
    /// Every operation fails.
    case down
    /// Sessions cannot be saved.
    case readOnly
  }

  let inner: any SessionStore
  var isShared: Bool { inner.isShared }
  let log = Journal<String>()
  private let state = Mutex<(fault: Fault, loadGate: Gate?, saveGate: Gate?)>((.none, nil, nil))
  private let ear = Ear()
  let loads = Tally()
  let saves = Tally()

  /// Where notices arrive.
  private final class Ear: Sendable {
    struct State {
      var listener: (@Sendable (StoreNotice) -> Void)?
      var isDeaf = false
    }

    let state = Mutex(State())

    func hear(_ notice: StoreNotice) { state.withLock { $0.isDeaf ? nil : $0.listener }?(notice) }
  }

  /// How often this was asked.
  func asked(_ operation: String) -> Int { log.items.count { $0.hasPrefix(operation) } }

  init(_ inner: any SessionStore = MemorySessionStore()) { self.inner = inner }

  func set(_ fault: Fault) { state.withLock { $0.fault = fault } }
  func holdLoads(_ gate: Gate?) { state.withLock { $0.loadGate = gate } }
  func holdSaves(_ gate: Gate?) { state.withLock { $0.saveGate = gate } }

  private func pass(_ operation: String) throws(StoreError) {
    log.note(operation)
    let fault = state.withLock { $0.fault }
    if fault == .down || fault == .readOnly && (operation.hasPrefix("save") || operation.hasPrefix("insert"))
    {
      throw .unavailable("disk I/O error")
    }
  }

  func identity() async throws(StoreError) -> Bytes32 {
    try pass("identity")
    return try await inner.identity()
  }

  func load(_ hash: TicketHash) async throws(StoreError) -> Session? {
    try pass("load")
    let session = try await inner.load(hash)
    loads.add()
    if let gate = state.withLock({ $0.loadGate }) { await gate.wait() }
    return session
  }
  func insert(_ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?) async throws(StoreError)
  {
    try pass("insert \(session.generation)")
    try await inner.insert(session, removing: old, aliasUntil: aliasUntil)
  }
  func save(_ session: Session, replacing generation: UInt64, under lease: SessionLease?)
    async throws(StoreError)
  {
    try pass("save \(session.generation) \(session.refreshToken?.reveal() ?? "-")")
    saves.add()
    if let gate = state.withLock({ $0.saveGate }) { await gate.wait() }
    try await inner.save(session, replacing: generation, under: lease)
  }
  func alias(of ticket: TicketHash, now: Timestamp) async throws(StoreError) -> TicketHash? {
    try pass("alias")
    return try await inner.alias(of: ticket, now: now)
  }
  func generations(of hashes: [TicketHash]) async throws(StoreError) -> [TicketHash: UInt64] {
    try pass("generations")
    return try await inner.generations(of: hashes)
  }
  func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage {
    try pass("page")
    return try await inner.page(after: cursor, limit: limit)
  }
  func deleteEverySession() async throws(StoreError) -> Int {
    try pass("delete all")
    return try await inner.deleteEverySession()
  }
  func acquireLease(_ hash: TicketHash, holder: LeaseHolder, for duration: Duration) async throws(StoreError)
    -> LeaseAnswer
  {
    try pass("acquire")
    return try await inner.acquireLease(hash, holder: holder, for: duration)
  }
  func renewLease(_ lease: SessionLease, for duration: Duration) async throws(StoreError) -> Bool {
    try pass("renew")
    return try await inner.renewLease(lease, for: duration)
  }
  func releaseLease(_ lease: SessionLease) async throws(StoreError) {
    try pass("release")
    try await inner.releaseLease(lease)
  }
  func publish(_ message: [UInt8]) async throws(StoreError) {
    try pass("publish")
    try await inner.publish(message)
  }
  func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void) async {
    ear.state.withLock { $0.listener = listener }
    await inner.listen { [ear] notice in ear.hear(notice) }
  }

  /// Loses what others tell, and says so, until it does not.
  func setDeaf(_ isDeaf: Bool) {
    let listener = ear.state.withLock { ear in
      ear.isDeaf = isDeaf
      return ear.listener
    }
    listener?(isDeaf ? .interrupted : .resumed)
  }
  func delete(_ hash: TicketHash) async throws(StoreError) {
    try pass("delete")
    try await inner.delete(hash)
  }
  func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try pass("delete user")
    return try await inner.deleteAll(of: user)
  }
  func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try pass("delete sid")
    return try await inner.deleteAll(issuer: issuer, sid: sid)
  }
  func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError) {
    try pass("touch \(uses.count)")
    try await inner.touch(uses)
  }
  func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError) {
    try pass("sweep")
    try await inner.sweep(createdBefore: createdBefore, seenBefore: seenBefore, now: now)
  }
  func put(_ record: SingleUseRecord) async throws(StoreError) {
    try pass("put")
    try await inner.put(record)
  }
  func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake
  {
    try pass("take")
    return try await inner.take(kind, key, owner: owner, now: now)
  }
  func peek(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake
  {
    try pass("peek")
    return try await inner.peek(kind, key, owner: owner, now: now)
  }
  func discard(_ kind: RecordKind, owner: UserKey) async throws(StoreError) {
    try pass("discard")
    try await inner.discard(kind, owner: owner)
  }
  func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try pass("hashes")
    return try await inner.hashes(of: user)
  }
  func hashes(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try pass("hashes sid")
    return try await inner.hashes(issuer: issuer, sid: sid)
  }
  func claim(_ record: SingleUseRecord, now: Timestamp) async throws(StoreError) -> Bool {
    try pass("claim")
    return try await inner.claim(record, now: now)
  }
  func put(_ note: Note, keeping limit: Int) async throws(StoreError) {
    try pass("put note")
    try await inner.put(note, keeping: limit)
  }
  func notes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) -> [Note] {
    try pass("notes")
    return try await inner.notes(kind, owner: owner)
  }
  func removeNote(_ kind: NoteKind, owner: UserKey?, key: String) async throws(StoreError) {
    try pass("remove note")
    try await inner.removeNote(kind, owner: owner, key: key)
  }
  func removeNotes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) {
    try pass("remove notes")
    try await inner.removeNotes(kind, owner: owner)
  }
  func sweepNotes(updatedBefore: Timestamp) async throws(StoreError) {
    try pass("sweep notes")
    try await inner.sweepNotes(updatedBefore: updatedBefore)
  }
  func count() async throws(StoreError) -> Int { try await inner.count() }
  func ping() async throws(StoreError) { try pass("ping") }
  func close() async { await inner.close() }
}
