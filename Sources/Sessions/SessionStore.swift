public import Basics

/// Where sessions, single-use records and notes are kept.
///
/// Every method may be called from anywhere and never blocks its caller's thread for disk work. Conformers
/// pass `StoreContract` in the tests.
public protocol SessionStore: Sendable {
  /// The session, or nil. Timeouts are the caller's business.
  /// - Throws: ``StoreError/sealed(_:)`` when the row exists but does not open;
  ///   ``StoreError/unavailable(_:)``.
  func load(_ hash: TicketHash) async throws(StoreError) -> Session?

  /// Adds a new session and, in the same step, removes the one it takes the place of.
  /// - Throws: ``StoreError/conflict(current:)`` when there is one under this hash already.
  func insert(_ session: Session, removing old: TicketHash?) async throws(StoreError)

  /// Replaces the session if the stored one has this `generation`.
  /// - Throws: ``StoreError/conflict(current:)`` otherwise; nothing is written then.
  func save(_ session: Session, replacing generation: UInt64) async throws(StoreError)

  /// Removes the session. Removing what is not there is no error.
  func delete(_ hash: TicketHash) async throws(StoreError)

  /// Removes all sessions of a user, and says which.
  func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash]

  /// Removes all sessions that belong to one session at the provider, and says which.
  func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash]

  /// The tickets of all sessions of a user, in no order.
  func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash]

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

  /// Number of sessions.
  func count() async throws(StoreError) -> Int

  /// Whether the store answers and takes what is written, for the readiness check.
  func ping() async throws(StoreError)

  /// Finishes what is being written and lets go of the file. Every later call throws.
  func close() async
}
