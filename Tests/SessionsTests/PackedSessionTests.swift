import Basics
import Testing

@testable import Sessions

@Suite struct PackedSessionTests {
  private let now = FakeClock().now

  @Test func `a packed session is what it was`() {
    var session = Session.sample(now: now)
    expectSame(PackedSession(session).session(session.hash), session)
    session.state = .needsSignIn("invalid_grant: \(String(repeating: "x", count: 20_000))")
    session.tokens = [:]
    session.idToken = nil
    session.refreshToken = Secret(String(repeating: "r", count: 100_000))
    // Too long to be counted among the texts that sessions have in common.
    session.grantedScopes = ["openid", String(repeating: "s", count: 300)]
    expectSame(PackedSession(session).session(session.hash), session)
  }

  @Test func `a store in memory shares the record of the authority's memory`() {
    let entry = SessionEntry(session: .sample(now: now), storedGeneration: nil)
    #expect(PackedSession(entry.session).shares(PackedSession(entry.session)))
    var changed = entry.session
    changed.sid = "sid-2"
    changed.generation += 1
    #expect(!PackedSession(changed).shares(PackedSession(entry.session)))
    #expect(PackedSession(changed).session(entry.hash).sid == "sid-2")
  }

  @Test func `a use is noted without unpacking, and seen by whoever unpacks`() {
    let entry = SessionEntry(session: .sample(now: now), storedGeneration: 1)
    entry.noteUse(now + .seconds(5))
    entry.noteUse(now + .seconds(3))
    #expect(entry.times == (now, now + .seconds(5)))
    #expect(entry.session.lastSeenAt == now + .seconds(5))
    #expect(entry.belongs(to: .alice) && !entry.belongs(to: .bob))
    // While something is under way, it is unpacked once; what changes is seen all the same.
    entry.activity.lineLength = 1
    #expect(entry.session.lastSeenAt == now + .seconds(5))
    entry.noteUse(now + .seconds(7))
    var session = entry.session
    session.sid = "sid-2"
    session.generation += 1
    entry.session = session
    #expect(entry.session.lastSeenAt == now + .seconds(7) && entry.session.sid == "sid-2")
    #expect(entry.isBusy)
    entry.activity.lineLength = 0
    #expect(!entry.isBusy && entry.session.sid == "sid-2")
  }

  @Test func `a provider's name costs a session in memory three bytes, and none a byte`() {
    var session = Session.sample(now: now)
    session.provider = "staff"
    let named = session.compactRecord().count
    session.provider = nil
    #expect(named - session.compactRecord().count == 3)
    #expect(session.compactRecord().last == 0)
  }

  @Test func `nothing of a packed session is shown`() {
    let packed = PackedSession(.sample(now: now))
    var text = ""
    dump(packed, to: &text)
    text += String(reflecting: packed)
    // As it would show: as text, or as a list of numbers.
    #expect(!text.contains("canary") && !text.contains("99, 97, 110, 97, 114, 121"))
  }

  @Test func `a session in memory takes its tokens and half a kilobyte`() {
    let count = 64
    var entries = RecencyTable<TicketHash, SessionEntry>()
    var total = 0
    for number in 0..<count {
      let session = typical(number)
      let entry = SessionEntry(session: session, storedGeneration: 1)
      entries.insert(entry, for: session.hash)
      // malloc's own eight bytes a block are counted, too.
      total += unsafe blockBytes(Unmanaged.passUnretained(entry).toOpaque()) + 8
      total += PackedSession(entry.session).recordBytes + 8
    }
    total += entries.allocatedBytes
    let perSession = total / count
    #expect(perSession > Self.tokenBytes && perSession < Self.tokenBytes + 512, "\(perSession)")
  }

  private static let tokenBytes = 1200 + 900 + 1000

  /// As common providers grant it.
  private func typical(_ number: Int) -> Session {
    let token = TokenSchedule().token(
      TokenGrant(
        accessToken: Secret(String(repeating: "a", count: 1200)), expiresIn: .seconds(3600),
        scopes: ["tools.use"]
      ), at: now, jitter: 0)
    return Session(
      hash: Ticket.make().hash,
      user: UserKey(
        issuer: "https://login.example.com/realms/main", subject: "f81d4fae-7dec-11d0-a765-\(number)"),
      profile: UserProfile(
        name: "Person Number \(number)", username: "person-\(number)", email: "person-\(number)@example.com",
        claims: #"{"email":"person@example.com"}"#), createdAt: now, lastSeenAt: now, authTime: now,
      idToken: Secret(String(repeating: "i", count: 1000)),
      refreshToken: Secret(String(repeating: "r", count: 900)),
      grantedScopes: ["openid", "profile", "offline_access", "tools.use"],
      tokens: [ResourceKey("https://tools.example.com/mcp|tools.use"): token],
      sid: "4f3a2b1c-0000-4000-8000-\(number)")
  }
}

/// glibc's; its header has no Swift module.
@_silgen_name("malloc_usable_size") private func blockBytes(_ block: UnsafeMutableRawPointer?) -> Int

extension PackedSession {
  /// Whether both have one and the same record, not equal ones.
  fileprivate func shares(_ other: PackedSession) -> Bool { recordBlock == other.recordBlock }

  fileprivate var recordBytes: Int { unsafe blockBytes(UnsafeMutableRawPointer(bitPattern: recordBlock)) }

  /// Where the block of the record's array begins: 32 bytes before its elements.
  private var recordBlock: UInt {
    let record = session(Ticket.make().hash).origin?.record ?? []
    return unsafe record.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } - 32
  }
}
