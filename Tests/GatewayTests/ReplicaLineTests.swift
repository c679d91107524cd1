import Basics
import Consent
import JSON
import Reactor
import Sessions
import Testing

@testable import Gateway

@Suite struct ReplicaMessageTests {
  static let subject = ReplicaMessage.Subject(
    user: Bytes32(1, 2, 3, 4), session: hash(5), route: "/mcp", method: Array("tools/call".utf8),
    name: [0xFF, 0x00, 0x22])

  static let all: [ReplicaMessage] = [
    .asked(
      hash(1), ReplicaMessage.Question(subject: subject, askedAt: noon, mcpSession: Bytes32(9, 9, 9, 9))),
    .asked(hash(1), ReplicaMessage.Question(subject: subject, askedAt: noon, mcpSession: nil)),
    .withdrawn(subject),
    .settled(
      ReplicaMessage.Settlement(
        ask: hash(1), user: Bytes32(1, 0, 0, 0), session: hash(2), route: "/mcp", state: .granted,
        mcpSession: Bytes32(3, 0, 0, 0))),
    .settled(
      ReplicaMessage.Settlement(
        ask: nil, user: Bytes32(1, 0, 0, 0), session: hash(2), route: "/\u{1F4E7}", state: .declined,
        mcpSession: nil)),
    .dropped(hash(7)),
    .roundCompleted(
      ReplicaMessage.Round(
        user: Bytes32(1, 0, 0, 0), route: "/mcp", tool: "send", scopes: ["a", "b"], at: noon)),
    .roundCompleted(
      ReplicaMessage.Round(user: Bytes32(1, 0, 0, 0), route: "/mcp", tool: nil, scopes: [], at: noon)),
    .roundsForgotten(user: Bytes32(4, 0, 0, 0)), .userForgotten(Bytes32(5, 0, 0, 0)),
    .scopesLearned(
      ReplicaMessage.Scopes(subject: ToolScopesTests.subject("a\nb"), scopes: ["x"], at: noon)),
    .scopesForgotten(route: "/x", tool: nil), .scopesForgotten(route: nil, tool: nil),
  ]

  @Test(arguments: all) func `every message comes back`(message: ReplicaMessage) {
    #expect(ReplicaMessage.isKnown(kind: message.kind))
    #expect(ReplicaMessage(kind: message.kind, members: .object(message.members)) == message)
  }

  @Test(arguments: all) func `a message without one of its members is none, or another`(
    message: ReplicaMessage
  ) {
    for key in message.members.keys {
      var members = message.members
      members[key] = nil
      #expect(ReplicaMessage(kind: message.kind, members: .object(members)) != message, "\(key)")
      members[key] = .object([:])
      #expect(ReplicaMessage(kind: message.kind, members: .object(members)) != message, "\(key)")
    }
  }

  @Test func `nobody can be told that a question is settled as open`() throws {
    guard case .settled(var settlement) = Self.all[3] else { return #expect(Bool(false)) }
    settlement.state = .pending
    #expect(
      ReplicaMessage(kind: "settled", members: .object(ReplicaMessage.settled(settlement).members)) == nil)
  }

  @Test func `a route is known by its path, whatever its place in the configuration`() throws {
    let here = RouteTable([try makeRoute(index: 0, "/other"), try makeRoute(index: 1, "/mcp")])
    #expect(Self.subject.local(here)?.route == 1)
    #expect(Self.subject.local(RouteTable([try makeRoute(index: 0, "/mcp/sub")])) == nil)
    let local = try #require(Self.subject.local(here))
    #expect(ReplicaMessage.Subject(local, route: try makeRoute(index: 1, "/mcp")) == Self.subject)
  }
}

@Suite struct ReplicaLineTests {
  /// Two processes at one store, and a clock for both.
  struct Pair {
    let store = MemorySessionStore()
    let time = Locked(noon)
    let key = SealingKey.make()
    let a: ReplicaLine
    let b: ReplicaLine

    init() {
      let time = time
      a = ReplicaLine(store: store.view(), sealer: Sealer(current: key)) { time.withLock { $0 } }
      b = ReplicaLine(store: store.view(), sealer: Sealer(current: key)) { time.withLock { $0 } }
    }
  }

  static let message = ReplicaMessage.dropped(hash(1))

  @Test func `what one tells, the other hears, once`() async {
    let pair = Pair()
    let heard = Locked<[[UInt8]]>([])
    let listener = pair.store.view()
    await listener.listen { notice in
      if case .message(let bytes) = notice { heard.withLock { $0.append(bytes) } }
    }
    #expect(await pair.a.tell(Self.message))
    let bytes = heard.withLock { $0 }
    #expect(bytes.count == 1)
    #expect(bytes.first.map { pair.b.open($0) } == .message(Self.message))
    #expect(bytes.first.map { pair.b.open($0) } == .refused, "played again")
  }

  @Test func `where the store is not shared nothing is told`() async {
    let line = ReplicaLine(
      store: MemorySessionStore(), sealer: Sealer(current: SealingKey.make()), clock: Timestamp.now)
    #expect(!line.isOn)
    #expect(await !line.tell(Self.message))
  }

  @Test func `a store that fails loses the message and nothing else`() async {
    let store = MemorySessionStore()
    let line = ReplicaLine(
      store: store.view(), sealer: Sealer(current: SealingKey.make()), clock: Timestamp.now)
    await store.close()
    #expect(await !line.tell(Self.message))
  }

  @Test func `nobody without the key is heard, nor what was sealed for another place`() {
    let pair = Pair()
    let stranger = ReplicaLine(
      store: pair.store.view(), sealer: Sealer(current: SealingKey.make()), clock: { noon })
    #expect(pair.a.open(stranger.sealed(Self.message)) == .refused)
    let plain = Array(#"{"kind":"dropped"}"#.utf8)
    #expect(pair.a.open(plain) == .refused)
    #expect(pair.a.open([]) == .refused)
    let elsewhere = SealPlace(table: "request-state", row: [], field: "state")
    #expect(pair.a.open(Sealer(current: pair.key).seal(plain, for: elsewhere)) == .refused)
  }

  @Test func `a key that was followed by another is still understood`() {
    let pair = Pair()
    let newer = ReplicaLine(
      store: pair.store.view(), sealer: Sealer(current: SealingKey.make(), older: [pair.key]), clock: { noon }
    )
    #expect(newer.open(pair.a.sealed(Self.message)) == .message(Self.message))
  }

  @Test func `a changed byte anywhere makes it nobody's`() {
    let pair = Pair()
    let bytes = pair.a.sealed(Self.message)
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1
      #expect(pair.b.open(changed) == .refused, "byte \(index)")
    }
    for count in bytes.indices { #expect(pair.b.open(Array(bytes.prefix(count))) == .refused) }
    #expect(pair.b.open(bytes) == .message(Self.message))
  }

  @Test func `what is old, or from a time to come, is not heard`() {
    let pair = Pair()
    let old = pair.a.sealed(Self.message)
    pair.time.withLock { $0 = noon + .seconds(300) }
    #expect(pair.b.open(old) == .refused)
    let early = pair.a.sealed(Self.message)
    pair.time.withLock { $0 = noon }
    #expect(pair.b.open(early) == .refused)
  }

  @Test func `one's own message is not heard`() {
    let pair = Pair()
    #expect(pair.a.open(pair.a.sealed(Self.message)) == .refused)
  }

  @Test func `a kind that this program does not know is no damage`() {
    let pair = Pair()
    let place = SealPlace(table: "message", row: [], field: "replica")
    func sealed(_ kind: String, _ number: Int) -> [UInt8] {
      let from = Base64URL.encode(Bytes32(7, 7, 7, 7).bytes)
      let text =
        #"{"kind":"\#(kind)","from":"\#(from)","number":\#(number),"sent_at":\#(noon.milliseconds),"more":[1]}"#
      return Sealer(current: pair.key).seal(Array(text.utf8), for: place)
    }
    #expect(pair.a.open(sealed("of-tomorrow", 1)) == .unknownKind)
    #expect(pair.a.open(sealed("dropped", 2)) == .refused)
  }

  @Test func `what is longer than a message may be is neither sent nor read`() async {
    let pair = Pair()
    let long = ReplicaMessage.scopesForgotten(
      route: String(repeating: "x", count: ReplicaLine.maxBytes), tool: nil)
    #expect(await !pair.a.tell(long))
    #expect(pair.b.open(pair.a.sealed(long)) == .refused)
  }

  @Test func `many senders cost bounded memory, and the newest are remembered`() {
    let pair = Pair()
    for index in 0..<600 {
      let other = ReplicaLine(
        store: pair.store.view(), sealer: Sealer(current: pair.key), clock: { noon })
      let bytes = other.sealed(Self.message)
      pair.time.withLock { $0 = noon + .milliseconds(Int64(index)) }
      #expect(pair.a.open(bytes) == .message(Self.message))
      #expect(pair.a.open(bytes) == .refused)
    }
  }
}

@Suite struct ReplayWindowTests {
  @Test func `each number counts once, in any order of the last 64`() {
    var window = ReplayWindow()
    let shown: [(number: UInt64, counts: Bool)] = [
      (5, true), (3, true), (4, true), (70, true), (68, true), (7, true),
      (5, false), (3, false), (4, false), (70, false), (68, false), (7, false),
      // Too old to tell.
      (6, false),
      (69, true), (10_000, true), (70, false),
      (.max, true), (.max, false), (.max - 63, true), (.max - 64, false),
    ]
    for (number, counts) in shown {
      let isNew = window.take(number)
      #expect(isNew == counts, "\(number)")
    }
  }

  @Test func `a shuffled row passes whole, and never twice`() {
    for seed in 0..<50 as Range<UInt64> {
      var window = ReplayWindow()
      var taken: [UInt64] = []
      var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
      // Neighbours change places: no number is more than 32 behind the highest.
      for block in 0..<20 as Range<UInt64> {
        var numbers = Array(block * 32..<(block + 1) * 32)
        for index in numbers.indices.reversed() {
          state = state &* 6_364_136_223_846_793_005 &+ 1
          numbers.swapAt(index, Int(state >> 33) % (index + 1))
        }
        taken += numbers.filter { window.take($0) }
        let again = numbers.filter { window.take($0) }
        #expect(again.isEmpty)
      }
      #expect(taken.sorted() == Array(0..<640 as Range<UInt64>))
    }
  }
}
