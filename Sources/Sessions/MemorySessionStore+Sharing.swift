public import Basics

/// What a store in memory knows of a session's lease.
struct MemoryLease {
  var holder: LeaseHolder
  var fence: UInt64
  /// Nil: it was given back.
  var until: Timestamp?

  /// How long it still lasts; nil when it is over.
  func remaining(at now: Timestamp) -> Duration? {
    guard let until, until > now, until - now <= SessionLease.longest else { return nil }
    return until - now
  }
}

// What several at one store need: changes that the others hear of, leases, aliases.
extension MemorySessionStore {
  /// The same sessions for another one to work on, as for another process: the two hear of each other.
  public nonisolated func view() -> some SessionStore { MemoryStoreView(of: self) }

  public func insert(_ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?)
    async throws(StoreError)
  {
    try insert(session, removing: old, aliasUntil: aliasUntil, by: .itself)
  }

  public func save(_ session: Session, replacing generation: UInt64, under lease: SessionLease?)
    async throws(StoreError)
  {
    try save(session, replacing: generation, under: lease, by: .itself)
  }

  public func delete(_ hash: TicketHash) async throws(StoreError) { try delete(hash, by: .itself) }

  public func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try deleteAll(of: user, by: .itself)
  }

  public func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try deleteAll(issuer: issuer, sid: sid, by: .itself)
  }

  public func deleteEverySession() async throws(StoreError) -> Int { try deleteEverySession(by: .itself) }

  public func alias(of ticket: TicketHash, now: Timestamp) async throws(StoreError) -> TicketHash? {
    try checkOpen()
    return aliases[ticket].flatMap { $0.until > now ? $0.new : nil }
  }

  public func identity() async throws(StoreError) -> Bytes32 {
    try checkOpen()
    return name
  }

  /// Loses everything, as a server that kept nothing on disk.
  public func loseEverything() {
    (sessions, leases, aliases) = ([:], [:], [:])
    name = LeaseHolder.make().id
  }

  public func generations(of hashes: [TicketHash]) async throws(StoreError) -> [TicketHash: UInt64] {
    try checkOpen()
    var known: [TicketHash: UInt64] = [:]
    for hash in hashes { known[hash] = generation(of: hash) }
    return known
  }

  public func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage {
    try checkOpen()
    let start = cursor.map { TicketHash(cursor: $0) }
    if case .some(.none) = start { return SessionPage(sessions: [], next: nil) }
    let rest = sessions.keys.filter { hash in start.flatMap { $0 }.map { $0 < hash } ?? true }.sorted(by: <)
    let hashes = rest.prefix(max(1, limit))
    return SessionPage(
      sessions: hashes.compactMap { sessions[$0]?.session($0) },
      next: hashes.count < rest.count ? hashes.last?.cursor : nil)
  }

  public func acquireLease(_ hash: TicketHash, holder: LeaseHolder, for duration: Duration)
    async throws(StoreError)
    -> LeaseAnswer
  {
    try checkOpen()
    guard sessions[hash] != nil else { return .missing }
    let now = clock()
    let last = leases[hash]
    if let last, last.holder != holder, let remaining = last.remaining(at: now) {
      return .held(remaining: remaining)
    }
    let fence = (last?.fence ?? 0) + 1
    leases[hash] = MemoryLease(
      holder: holder, fence: fence, until: now + min(duration, SessionLease.longest))
    return .granted(SessionLease(hash: hash, holder: holder, fence: fence))
  }

  public func renewLease(_ lease: SessionLease, for duration: Duration) async throws(StoreError) -> Bool {
    try checkOpen()
    let now = clock()
    guard let last = leases[lease.hash], last.fence == lease.fence, last.holder == lease.holder,
      last.remaining(at: now) != nil
    else { return false }
    leases[lease.hash]?.until = now + min(duration, SessionLease.longest)
    return true
  }

  public func releaseLease(_ lease: SessionLease) async throws(StoreError) {
    try releaseLease(lease, by: .itself)
  }

  public func publish(_ message: [UInt8]) async throws(StoreError) { try publish(message, by: .itself) }

  public func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void) async {
    listen(listener, as: .itself)
  }

  // MARK: By whom

  func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void, as number: MemoryStoreView.Number) {
    listeners[number] = listener
  }

  func insert(
    _ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?, by number: MemoryStoreView.Number
  ) throws(StoreError) {
    try checkOpen()
    if let current = generation(of: session.hash) { throw .conflict(current: current) }
    sessions[session.hash] = PackedSession(session)
    guard let old else { return }
    forget(old)
    guard let aliasUntil else {
      tell(.ended(old), by: number)
      return
    }
    for (ticket, alias) in aliases where alias.new == old { aliases[ticket] = (session.hash, alias.until) }
    aliases[old] = (session.hash, aliasUntil)
    tell(.replaced(old, by: session.hash), by: number)
  }

  func save(
    _ session: Session, replacing generation: UInt64, under lease: SessionLease?,
    by number: MemoryStoreView.Number
  ) throws(StoreError) {
    try checkOpen()
    let current = self.generation(of: session.hash)
    guard let present = sessions[session.hash] else { throw .conflict(current: nil) }
    if let lease, leases[lease.hash]?.fence != lease.fence { throw .fenced }
    guard current == generation else { throw .conflict(current: current) }
    var packed = PackedSession(session)
    packed.lastSeenAt = max(packed.lastSeenAt, present.lastSeenAt)
    sessions[session.hash] = packed
    tell(.saved(session.hash, generation: session.generation), by: number)
  }

  func delete(_ hash: TicketHash, by number: MemoryStoreView.Number) throws(StoreError) {
    try checkOpen()
    _ = forget(hash)
    // In any case: another may put it back that has it in memory.
    tell(.ended(hash), by: number)
  }

  func deleteAll(of user: UserKey, by number: MemoryStoreView.Number) throws(StoreError) -> [TicketHash] {
    try deleteAll(by: number) { $1.belongs(to: user, $0) }
  }

  func deleteAll(issuer: String, sid: String, by number: MemoryStoreView.Number) throws(StoreError)
    -> [TicketHash]
  {
    try deleteAll(by: number) { hash, packed in packed.session(hash).belongs(issuer: issuer, sid: sid) }
  }

  func deleteEverySession(by number: MemoryStoreView.Number) throws(StoreError) -> Int {
    try checkOpen()
    defer {
      sessions = [:]
      leases = [:]
      aliases = [:]
      tell(.endedAll, by: number)
    }
    return sessions.count
  }

  func releaseLease(_ lease: SessionLease, by number: MemoryStoreView.Number) throws(StoreError) {
    try checkOpen()
    guard let last = leases[lease.hash], last.fence == lease.fence, last.until != nil else { return }
    leases[lease.hash]?.until = nil
    tell(.leaseEnded(lease.hash), by: number)
  }

  func publish(_ message: [UInt8], by number: MemoryStoreView.Number) throws(StoreError) {
    try checkOpen()
    tell(.message(message), by: number)
  }

  private func tell(_ notice: StoreNotice, by number: MemoryStoreView.Number) {
    for (listening, listener) in listeners where listening != number { listener(notice) }
  }

  private func generation(of hash: TicketHash) -> UInt64? { sessions[hash]?.session(hash).generation }

  @discardableResult
  private func forget(_ hash: TicketHash) -> Bool {
    leases[hash] = nil
    return sessions.removeValue(forKey: hash) != nil
  }

  private func deleteAll(
    by number: MemoryStoreView.Number, where matches: (TicketHash, PackedSession) -> Bool
  ) throws(StoreError) -> [TicketHash] {
    try checkOpen()
    let gone = sessions.filter { matches($0.key, $0.value) }.map(\.key)
    for hash in gone where forget(hash) { tell(.ended(hash), by: number) }
    return gone
  }
}

extension TicketHash {
  /// Where a page ends, for stores that give sessions in the order of their hashes.
  var cursor: String { Base64URL.encode(digest.bytes) }

  init?(cursor: String) {
    guard let digest = Base64URL.decode32(cursor.utf8.span) else { return nil }
    self.init(digest: digest)
  }

  /// The order of the bytes.
  static func < (one: TicketHash, other: TicketHash) -> Bool {
    (one.digest.a, one.digest.b, one.digest.c, one.digest.d)
      < (other.digest.a, other.digest.b, other.digest.c, other.digest.d)
  }
}
