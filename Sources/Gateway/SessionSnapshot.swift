internal import Basics
internal import Sessions

/// The part of a session that data loops need, frozen: who it is, until when, and the tokens.
///
/// Owner: shared and immutable; the control loop makes a new one at every change and broadcasts it.
final class SessionSnapshot: Sendable {
  /// The token of one credential slot.
  struct Credential: Sendable {
    /// From here on a refresh is started while this token is still used.
    let softExpiry: Timestamp
    /// From here on the token is not sent any more.
    let expiry: Timestamp
    /// The scopes it was granted, as far as they are known.
    let scopes: [String]
    /// What is sent upstream, and by which the authority is told that it was rejected.
    let token: Secret
  }

  let hash: TicketHash
  let user: UserKey
  /// Stands for the user in tables that must not hold names.
  var userDigest: Bytes32 { user.digest }
  /// The place of its provider in the configuration.
  let provider: Int
  let createdAt: Timestamp
  let lastSeen: Timestamp
  let generation: UInt64
  /// One entry a slot; nil when no token could be had yet.
  let credentials: [Credential?]

  init(
    hash: TicketHash, user: UserKey, provider: Int = 0, createdAt: Timestamp, lastSeen: Timestamp,
    generation: UInt64,
    credentials: [Credential?]
  ) {
    self.hash = hash
    self.user = user
    self.provider = provider
    self.createdAt = createdAt
    self.lastSeen = lastSeen
    self.generation = generation
    self.credentials = credentials
  }
}
