import Basics
import Consent
import JSON
import TestSupport
import Testing

private let user = Bytes32(1, 2, 3, 4)
private let call = Bytes32(5, 6, 7, .max)
private let now = Timestamp(seconds: 1_800_000_000)

private let states: [RequestState] = [
  RequestState(user: user, route: 3, call: call, expiresAt: now),
  RequestState(
    user: user, route: .max, call: call, expiresAt: Timestamp(milliseconds: -1), upstreamState: ""),
  RequestState(
    user: user, route: -1, call: call, expiresAt: now, upstreamState: "opaque \"x\"\n",
    upstreamResponses: ["k": ["action": "accept", "content": ["n": 1]], "l": [.null, -25]]),
  RequestState(user: user, route: 0, call: call, expiresAt: now, upstreamResponses: [:]),
]

@Suite struct `The state of a round of consent` {
  @Test(arguments: states)
  func `is read as it was written`(state: RequestState) {
    #expect(RequestState(encoded: state.encoded()) == state)
    #expect(state.fits)
  }

  @Test(arguments: states)
  func `with any byte changed never traps, and is never read as the same`(state: RequestState) {
    let bytes = state.encoded()
    for place in bytes.indices {
      for value in [0x00, 0x01, 0x20, 0x7F, 0x80, 0xFF, bytes[place] ^ 1, bytes[place] ^ 0x80] as [UInt8]
      where value != bytes[place] {
        var harmed = bytes
        harmed[place] = value
        #expect(RequestState(encoded: harmed) != state)
      }
    }
  }

  @Test(arguments: states)
  func `cut short or followed by anything is not read`(state: RequestState) {
    let bytes = state.encoded()
    for end in 0..<bytes.count { #expect(RequestState(encoded: Array(bytes[..<end])) == nil) }
    #expect(RequestState(encoded: bytes + [0]) == nil)
    var random = Damage(seed: 3)
    for _ in 0..<2000 { _ = RequestState(encoded: random.damaged(bytes)) }
  }

  @Test func `of another version or with unknown flags is not read`() {
    for (place, value) in [(0, 0), (0, 2), (1, 4), (1, 0x80)] as [(Int, UInt8)] {
      var bytes = states[0].encoded()
      bytes[place] = value
      #expect(RequestState(encoded: bytes) == nil)
    }
  }

  @Test func `has a bound`() {
    var state = states[0]
    let room = RequestState.maxBytes - state.encoded().count - 8
    state.upstreamState = String(repeating: "x", count: room)
    #expect(state.fits && RequestState(encoded: state.encoded()) == state)
    #expect(RequestState.sealed(RequestState.text(sealed: state.encoded())) == state.encoded())
    state.upstreamState?.append("x")
    #expect(!state.fits && RequestState(encoded: state.encoded()) == nil)
    #expect(RequestState.sealed("cc1." + String(repeating: "A", count: 132_000)) == nil)
  }

  @Test(
    arguments: [
      (user, 3, call, now - .milliseconds(1), nil), (user, 3, call, now, .expired),
      (user, 3, call, now + .seconds(1), .expired),
      (Bytes32(1, 2, 3, 5), 3, call, now - .seconds(1), .foreignUser),
      (user, 4, call, now - .seconds(1), .otherCall), (user, 3, user, now - .seconds(1), .otherCall),
      // Whose it is comes first: nobody learns anything about another's state.
      (call, 4, user, now, .foreignUser), (user, 4, call, now, .otherCall),
    ] as [(Bytes32, Int, Bytes32, Timestamp, RequestState.Problem?)])
  func `is of use to one user for one call and a while`(
    user: Bytes32, route: Int, call: Bytes32, now: Timestamp, expected: RequestState.Problem?
  ) {
    #expect(states[0].problem(user: user, route: route, call: call, now: now) == expected)
  }

  @Test func `is told from an upstream's own`() {
    for count in 0...4 {
      let bytes = (0..<count).map { UInt8(0xFB + $0) }
      let text = RequestState.text(sealed: bytes)
      #expect(RequestState.isOurs(text) && RequestState.sealed(text) == bytes)
    }
    for other in ["", "cc1", "CC1.x", "cc2.x", " cc1.x", "opaque", "cc1\u{301}.x"] {
      #expect(!RequestState.isOurs(other) && RequestState.sealed(other) == nil)
    }
    for broken in ["cc1.A", "cc1.AB", "cc1.A+/A", "cc1.AA AA", "cc1.\u{301}AAA"] {
      #expect(RequestState.sealed(broken) == nil)
    }
  }

  @Test func `leaves the upstream the responses to its own requests`() {
    let ours: JSONValue = ["action": "accept"]
    #expect(RequestState.withoutOurs([RequestState.inputKey: ours]) == nil)
    #expect(RequestState.withoutOurs([:]) == nil)
    #expect(RequestState.withoutOurs(["a": 1, RequestState.inputKey: ours, "b": 2]) == ["a": 1, "b": 2])
    #expect(RequestState.withoutOurs(["a": 1]) == ["a": 1])
    // Several links of ours are numbered; a name that only begins like ours is the upstream's.
    #expect(
      RequestState.withoutOurs([RequestState.inputKey + ".2": ours, RequestState.inputKey + "x": 1])
        == [RequestState.inputKey + "x": 1])
  }

  @Test func `is declined when any of ours was`() {
    let (yes, no): (JSONValue, JSONValue) = (["action": "accept"], ["action": "decline"])
    let key = RequestState.inputKey
    #expect(RequestState.isDeclined([key: no]) && RequestState.isDeclined([key: yes, key + ".2": no]))
    #expect(!RequestState.isDeclined([key: yes]) && !RequestState.isDeclined(["a": no]))
  }
}
