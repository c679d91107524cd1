public import Basics

/// A small fact kept about a user or about the installation: a consent that was given, scopes a tool was seen
/// to need.
public struct Note: Sendable, Hashable {
  /// The longest ``key``, in bytes of UTF-8.
  public static let maxKeyBytes = 256
  /// The largest ``payload``, in bytes.
  public static let maxPayloadBytes = 16 * 1024

  /// What it is about.
  public var kind: NoteKind
  /// Whose it is; nil: the installation's.
  public var owner: UserKey?
  /// Its name among the notes of this kind and owner, at most ``maxKeyBytes``. Stores keep it sealed.
  public var key: String
  /// The content, at most ``maxPayloadBytes``; sealed at rest.
  public var payload: [UInt8]
  /// When it was last written. Old notes make room for new ones and are swept at last.
  public var updatedAt: Timestamp

  /// A note.
  public init(
    kind: NoteKind, owner: UserKey? = nil, key: String, payload: [UInt8], updatedAt: Timestamp
  ) {
    self.kind = kind
    self.owner = owner
    self.key = key
    self.payload = payload
    self.updatedAt = updatedAt
  }

  /// - Throws: ``StoreError/tooLarge(limit:)`` for a key or a payload beyond its limit.
  func checkSize() throws(StoreError) {
    guard key.utf8.count <= Self.maxKeyBytes else { throw .tooLarge(limit: Self.maxKeyBytes) }
    guard payload.count <= Self.maxPayloadBytes else { throw .tooLarge(limit: Self.maxPayloadBytes) }
  }
}

/// What a note is about. Notes of different kinds never meet, even under one key.
public struct NoteKind: Sendable, Hashable {
  /// The name in the store, at most 32 bytes of ASCII.
  public let name: String

  /// A kind of this name.
  public init(_ name: String) { self.name = name }

  /// A consent that a user gave.
  public static let consent = NoteKind("consent")
  /// The scopes that a tool was seen to need.
  public static let toolScopes = NoteKind("tool-scopes")
}
