internal import Basics
internal import Sessions

/// The part of a session that data loops need, frozen: who it is, until when, and the ready `Authorization` lines.
///
/// Owner: shared and immutable; the control loop makes a new one at every change and broadcasts it.
final class SessionSnapshot: Sendable {
  /// The token of one credential slot.
  struct Credential: Sendable {
    /// `Authorization: Bearer <token>\r\n`, ready to be copied.
    let line: [UInt8]
    /// From here on a refresh is started while this token is still used.
    let softExpiry: Timestamp
    /// From here on the token is not sent any more.
    let expiry: Timestamp
    /// The scopes it was granted, as far as they are known.
    let scopes: [String]
    /// Kept to tell the authority which token an upstream rejected.
    let token: Secret
  }

  let hash: TicketHash
  let user: UserKey
  /// Stands for the user in tables that must not hold names.
  let userDigest: Bytes32
  let createdAt: Timestamp
  let lastSeen: Timestamp
  let generation: UInt64
  /// One entry a slot; nil when no token could be had yet.
  let credentials: [Credential?]

  init(
    hash: TicketHash, user: UserKey, userDigest: Bytes32, createdAt: Timestamp, lastSeen: Timestamp,
    generation: UInt64,
    credentials: [Credential?]
  ) {
    self.hash = hash
    self.user = user
    self.userDigest = userDigest
    self.createdAt = createdAt
    self.lastSeen = lastSeen
    self.generation = generation
    self.credentials = credentials
  }
}
