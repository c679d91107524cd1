public import Basics

/// Where sessions and single-use records are kept.
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

  /// Notes when sessions were last used; an earlier time than the stored one changes nothing. Not a change of
  /// generation.
  func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError)

  /// Removes sessions that began or were used too long ago, and records that expired.
  func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError)

  /// Keeps a record until it is taken. At the store's limit of records of this kind, those that expire first
  /// make room: anybody may start a sign-in, so the number must be bounded.
  func put(_ record: SingleUseRecord) async throws(StoreError)

  /// Takes a record out, exactly once however many ask at once.
  /// - Parameter owner: who asks; a record bound to somebody else stays where it is.
  func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp) async throws(StoreError)
    -> RecordTake

  /// Number of sessions.
  func count() async throws(StoreError) -> Int

  /// Whether the store answers, for the readiness check.
  func ping() async throws(StoreError)

  /// Finishes what is being written and lets go of the file. Every later call throws.
  func close() async
}

/// What a single-use record is for. Records of different kinds never meet, even under one key.
public struct RecordKind: Sendable, Hashable {
  /// The name in the store, at most 32 bytes of ASCII.
  public let name: String

  /// A kind of this name.
  public init(_ name: String) { self.name = name }

  /// A sign-in on its way to the provider and back.
  public static let signIn = RecordKind("sign-in")
  /// A link that continues after a call that needs consent.
  public static let continuation = RecordKind("continuation")
}

/// Something kept until it is asked for once: a sign-in on its way, a link to continue.
public struct SingleUseRecord: Sendable {
  /// What it is for.
  public var kind: RecordKind
  /// The hash of the random value that its holder shows.
  public var key: TicketHash
  /// Who alone may take it; nil when whoever holds the value may.
  public var owner: UserKey?
  /// The content; sealed at rest.
  public var payload: [UInt8]
  /// From here on it is as if it had never been.
  public var expiresAt: Timestamp

  /// A record.
  public init(
    kind: RecordKind, key: TicketHash, owner: UserKey? = nil, payload: [UInt8], expiresAt: Timestamp
  ) {
    self.kind = kind
    self.key = key
    self.owner = owner
    self.payload = payload
    self.expiresAt = expiresAt
  }
}

/// What became of the wish to take a record.
public enum RecordTake: Sendable, Hashable {
  /// Its content; it is gone now.
  case taken([UInt8])
  /// It never was, was taken before, or expired.
  case missing
  /// It belongs to somebody else, and stays theirs.
  case foreign
}
