public import Basics

/// Where sessions, single-use records and notes are kept.
///
/// Every method may be called from anywhere and never blocks its caller's thread for disk work. Conformers
/// pass `StoreContract` in the tests.
///
/// Several processes may use one store at the same time where ``isShared`` says so. What keeps them apart is in
/// the store: generations, leases with fences, records that are taken once.
public protocol SessionStore: Sendable {
  /// Which store it is: another than before when it lost everything, as a server does that kept nothing on disk. Makes what came back
  /// empty fit for use.
  func identity() async throws(StoreError) -> Bytes32

  /// Whether other processes may work on the same sessions at the same time, and hear of each other.
  var isShared: Bool { get }

  /// The session, or nil. Timeouts are the caller's business.
  /// - Throws: ``StoreError/sealed(_:)`` when the row exists but does not open;
  ///   ``StoreError/unavailable(_:)``.
  func load(_ hash: TicketHash) async throws(StoreError) -> Session?

  /// Adds a new session and, in the same step, removes the one it takes the place of.
  /// - Parameters:
  ///   - old: its ticket; it need not be here.
  ///   - aliasUntil: until when the old ticket stands for the new session, see ``alias(of:now:)``; nil: it is
  ///     over at once. Tickets that stood for the old session stand for the new one then, each until its own
  ///     time.
  /// - Throws: ``StoreError/conflict(current:)`` when there is one under this hash already.
  func insert(_ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?) async throws(StoreError)

  /// The ticket of the session that `ticket` stands for since a sign-in took its session's place, whether that
  /// session still lives or not; nil when it stands for none, or not any more.
  func alias(of ticket: TicketHash, now: Timestamp) async throws(StoreError) -> TicketHash?

  /// Replaces the session if the stored one has this `generation`.
  /// - Parameter lease: what the caller believes to hold; nil: it holds none.
  /// - Throws: ``StoreError/fenced`` when a later lease was given since, whatever the generation;
  ///   ``StoreError/conflict(current:)`` when the generation is another. Nothing is written then. A lease that
  ///   only ran out does no harm.
  func save(_ session: Session, replacing generation: UInt64, under lease: SessionLease?)
    async throws(StoreError)

  /// Removes the session. Removing what is not there is no error.
  func delete(_ hash: TicketHash) async throws(StoreError)

  /// Removes all sessions of a user, and says which.
  func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash]

  /// Removes all sessions that belong to one session at the provider, and says which.
  func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash]

  /// Removes every session, and says how many there were.
  func deleteEverySession() async throws(StoreError) -> Int

  /// The generations of those of these sessions that exist.
  func generations(of hashes: [TicketHash]) async throws(StoreError) -> [TicketHash: UInt64]

  /// Sessions in an order of the store's own, at most `limit` a page. Whoever follows ``SessionPage/next`` to
  /// its end meets every session that was there all the time once or more.
  /// - Parameter cursor: ``SessionPage/next`` of the page before; nil: the first. What is no cursor of this
  ///   store gives an empty page.
  func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage

  /// The tickets of all sessions of a user, in no order.
  func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash]

  /// The tickets of all sessions that belong to one session at the provider, in no order.
  func hashes(issuer: String, sid: String) async throws(StoreError) -> [TicketHash]

  /// Notes when sessions were last used; an earlier time than the stored one changes nothing. Not a change of
  /// generation.
  func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError)

  /// Removes sessions that began or were used too long ago, and records that expired. Sessions that began or were used at a time
  /// that is still to come did so now: the clock was set back.
  func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError)

  /// Keeps a record until it is taken. At the store's limit of records of this kind, those that expire first
  /// make room: anybody may start a sign-in, so the number must be bounded. So do those of its owner at
  /// ``SingleUseRecord/perOwner``.
  func put(_ record: SingleUseRecord) async throws(StoreError)

  /// Keeps a record as ``put(_:)`` does, unless there is one of its kind and key that has not expired; however
  /// many ask at once, one of them alone.
  /// - Returns: whether it was this one.
  func claim(_ record: SingleUseRecord, now: Timestamp) async throws(StoreError) -> Bool

  /// Takes a record out, exactly once however many ask at once.
  /// - Parameter owner: who asks; a record bound to somebody else stays where it is.
  func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake

  /// What ``take(_:_:owner:now:)`` would give; the record stays.
  func peek(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake

  /// Removes all records of this kind that are bound to this owner.
  func discard(_ kind: RecordKind, owner: UserKey) async throws(StoreError)

  /// Keeps a note, in the place of the one with its kind, owner and key. Of this kind and owner at most
  /// `limit` notes remain; those written longest ago go.
  /// - Throws: ``StoreError/tooLarge(limit:)`` for a key or a payload beyond its limit.
  func put(_ note: Note, keeping limit: Int) async throws(StoreError)

  /// The notes of one kind and owner (nil: the installation's), the latest first; of the same time, the one
  /// put last first. Those that do not open are left out, and stay.
  func notes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) -> [Note]

  /// Removes one note. Removing what is not there is no error.
  func removeNote(_ kind: NoteKind, owner: UserKey?, key: String) async throws(StoreError)

  /// Removes all notes of one kind and owner (nil: the installation's).
  func removeNotes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError)

  /// Removes notes of every kind and owner that were last written at this time or earlier.
  func sweepNotes(updatedBefore: Timestamp) async throws(StoreError)

  /// Gives the session's lease to `holder`, unless another has it. A holder that asks again gets a new one in
  /// the place of its old one: the answer to its first question may have been lost.
  /// - Parameter duration: at most ``SessionLease/longest``.
  func acquireLease(_ hash: TicketHash, holder: LeaseHolder, for duration: Duration) async throws(StoreError)
    -> LeaseAnswer

  /// Lets a lease last for `duration` from now on. False when it ran out, was released or is another's.
  func renewLease(_ lease: SessionLease, for duration: Duration) async throws(StoreError) -> Bool

  /// Gives a lease back; listeners hear ``StoreNotice/leaseEnded(_:)``. One that is not the holder's any more
  /// stays as it is.
  func releaseLease(_ lease: SessionLease) async throws(StoreError)

  /// Tells all other processes; it reaches their listeners as ``StoreNotice/message(_:)``, at most once.
  /// Sealed by the caller where it must be.
  func publish(_ message: [UInt8]) async throws(StoreError)

  /// Tells `listener`, in the place of the one before, what others do from now on, in their order. Called on
  /// any thread; it must return at once. It does not hear what is done through this very store.
  func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void) async

  /// Number of sessions.
  func count() async throws(StoreError) -> Int

  /// Whether the store answers and takes what is written, for the readiness check.
  func ping() async throws(StoreError)

  /// Seals and opens with another ring from now on, if that opens what is stored: the store keeps a known value under the current
  /// key of the ring before. Other values that it does not open are found when they are loaded, and count as gone.
  /// - Throws: ``StoreError/sealed(_:)`` when it does not open what is stored; then, and with every other error, the ring before
  ///   stays in use.
  func adopt(_ ring: KeyRing) async throws(StoreError)

  /// Looks at the next `limit` values at most and seals those that are under an older key under the current one, so that the older
  /// key can be taken away. A walk through everything begins with the first turn after ``adopt(_:)`` and after one that was done.
  func reseal(limit: Int) async throws(StoreError) -> ResealTurn

  /// Finishes what is being written and lets go of the file. Every later call throws.
  func close() async
}

/// What one turn of ``SessionStore/reseal(limit:)`` did.
public struct ResealTurn: Sendable, Hashable {
  /// Values that are under the current key since.
  public var resealed: Int
  /// Values of the whole walk that no key opens; 0 until it is done.
  public var unreadable: Int
  /// Whether the walk has seen everything that was stored when it began.
  public var isDone: Bool

  /// A turn.
  public init(resealed: Int = 0, unreadable: Int = 0, isDone: Bool = true) {
    self.resealed = resealed
    self.unreadable = unreadable
    self.isDone = isDone
  }
}

// What most stores have nothing to do for: they cannot come back empty, and one that seals nothing needs no keys.
extension SessionStore {
  public func identity() async throws(StoreError) -> Bytes32 { Bytes32(0, 0, 0, 0) }

  public func adopt(_ ring: KeyRing) async throws(StoreError) {}

  public func reseal(limit: Int) async throws(StoreError) -> ResealTurn { ResealTurn() }
}
