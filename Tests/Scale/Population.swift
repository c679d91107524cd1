internal import Basics
internal import Sessions

/// Sessions as common providers make them: an access token of 1,500 bytes, a refresh token and an ID token of 1,000 each. Each is known by
/// its number alone, so that one run finds what another put in.
struct Population: Sendable {
  let now: Timestamp

  /// One of twenty was last used yesterday, and is what a sweep finds.
  static let agedEvery = 20
  static let age = Duration.seconds(86_400)

  /// The ticket's hash.
  static func hash(_ number: Int) -> TicketHash {
    let number = UInt64(number)
    return TicketHash(ticket: Bytes32(0x636F_6174, number, number &* 0x9E37_79B9_7F4A_7C15, ~number))
  }

  /// Two sessions a user, as with two browsers.
  static func user(_ number: Int) -> UserKey {
    UserKey(issuer: "https://login.example.com/realms/main", subject: "f81d4fae-7dec-11d0-a765-\(number / 2)")
  }

  /// A session. Its secrets are as long as real ones, and of different bytes.
  func session(_ number: Int) -> Session {
    let token = TokenSchedule().token(
      TokenGrant(
        accessToken: secret(number, 1500), expiresIn: .seconds(3600), scopes: ["tools.use"]), at: now,
      jitter: 0)
    let isAged = number % Self.agedEvery == 0
    return Session(
      hash: Self.hash(number), user: Self.user(number),
      profile: UserProfile(
        name: "Person Number \(number)", username: "person-\(number)", email: "person-\(number)@example.com",
        claims: #"{"email":"person@example.com"}"#), createdAt: isAged ? now - Self.age : now,
      lastSeenAt: isAged ? now - Self.age : now, authTime: now, idToken: secret(number + 1, 1000),
      refreshToken: secret(number + 2, 1000),
      grantedScopes: ["openid", "profile", "offline_access", "tools.use"],
      tokens: [ResourceKey("https://tools.example.com/mcp|tools.use"): token],
      sid: "4f3a2b1c-0000-4000-8000-\(number)")
  }

  /// As after a refresh: another access token and refresh token.
  func refreshed(_ session: Session, _ number: Int) -> Session {
    var next = session
    next.generation += 1
    next.refreshToken = secret(number + 3, 1000)
    for (resource, _) in next.tokens {
      next.tokens[resource] = TokenSchedule().token(
        TokenGrant(accessToken: secret(number + 4, 1500), expiresIn: .seconds(3600), scopes: ["tools.use"]),
        at: now, jitter: 0)
    }
    return next
  }

  private func secret(_ number: Int, _ length: Int) -> Secret {
    var random = Numbers(seed: UInt64(truncatingIfNeeded: number))
    return Secret(bytes: (0..<length).map { _ in UInt8(0x30 + random.next() % 10) })
  }
}

/// Numbers that are the same in every run (SplitMix64).
struct Numbers: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
