public import Basics

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
  /// A call that waits for consent and is sent again afterwards.
  public static let keptCall = RecordKind("kept-call")
  /// A logout token that was acted on, kept so that it counts once.
  public static let logoutToken = RecordKind("logout-token")
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
  /// How many of the kind are kept for the same ``owner``, this one included, at least 1: those that expire
  /// first make room. Nil, and without an owner: as many as the store keeps of the kind.
  public var perOwner: Int?

  /// A record.
  public init(
    kind: RecordKind, key: TicketHash, owner: UserKey? = nil, payload: [UInt8], expiresAt: Timestamp,
    perOwner: Int? = nil
  ) {
    self.kind = kind
    self.key = key
    self.owner = owner
    self.payload = payload
    self.expiresAt = expiresAt
    self.perOwner = perOwner
  }
}

extension SingleUseRecord {
  /// A logout token, to be claimed: ``SessionStore/claim(_:now:)``.
  ///
  /// - Parameters:
  ///   - id: its `jti`, unique within the issuer.
  ///   - usableUntil: when nobody takes it any more. Clocks of processes that share a store may differ: it is kept for longer.
  public static func logoutToken(issuer: String, id: String, usableUntil: Timestamp) -> SingleUseRecord {
    SingleUseRecord(
      kind: .logoutToken, key: TicketHash(digest: Fingerprint.sha256(parts: ["logout-token", issuer, id])),
      payload: [], expiresAt: usableUntil + .seconds(120))
  }
}

/// What became of the wish to take a record.
public enum RecordTake: Sendable, Hashable {
  /// Its content; after ``SessionStore/take(_:_:owner:now:)`` it is gone.
  case taken([UInt8])
  /// It never was, was taken before, or expired.
  case missing
  /// It belongs to somebody else, and stays theirs.
  case foreign
}
