import Basics
import Consent

@testable import Gateway
@testable import Sessions

extension Target {
  /// What is kept sealed and read again: sessions, attempts, links, kept calls, request states. Sealing makes it ours, but a store of
  /// a newer or damaged installation is read as well.
  static let records = Target("records") { input in
    readSession(input)
    if let state = RequestState(encoded: input) {
      expectEqual(RequestState(encoded: state.encoded()), state, "a state is read as it was written")
    }
    if let attempt = SignInAttempt(encoded: input) {
      let again = SignInAttempt(encoded: attempt.encoded())
      expectEqual(again?.encoded(), attempt.encoded(), "an attempt is read as it was written")
      expectEqual(again?.purpose, attempt.purpose, "and its purpose")
    }
    if let link = Continuation(encoded: input) {
      expectEqual(Continuation(encoded: link.encoded()), link, "a link is read as it was written")
    }
    if let call = KeptCall(encoded: input) {
      expectEqual(KeptCall(encoded: call.encoded()), call, "a kept call is read as it was written")
    }
    let text = input.text
    if let sealed = RequestState.sealed(text) {
      expectEqual(RequestState.text(sealed: sealed), text, "a sealed text is written in one way")
    }
    expect(
      (try? sealer.open(input, for: SealPlace(table: "t", row: [1], field: "f"))) == nil,
      "what was not sealed is not opened")
  }

  private static let sealer = Sealer(current: .make(), older: [.make()])

  private static func readSession(_ input: [UInt8]) {
    let hash = TicketHash(digest: Bytes32(1, 2, 3, 4))
    let time = Timestamp(seconds: 1_800_000_000)
    guard let session = try? Session(record: input, hash: hash, lastSeenAt: time) else { return }
    let record = session.record()
    expect(record.count <= input.count * 3 + 64, "a session does not grow beyond measure")
    guard let again = try? Session(record: record, hash: hash, lastSeenAt: time) else {
      return expect(false, "a session can be read again")
    }
    expectEqual(again.user, session.user, "its user")
    expectEqual(
      again.tokens.keys.map(\.name).sorted(), session.tokens.keys.map(\.name).sorted(), "its tokens")
    for (resource, token) in session.tokens {
      expectEqual(again.tokens[resource]?.secret, token.secret, "its tokens' secrets")
      expectEqual(again.tokens[resource]?.scopes, token.scopes, "its tokens' scopes")
      expectEqual(again.tokens[resource]?.expiresAt, token.expiresAt, "its tokens' ends")
    }
    expectEqual(again.extraScopes, session.extraScopes, "its scopes")
    expectEqual(again.withheldScopes, session.withheldScopes, "its withheld scopes")
    expectEqual(again.generation, session.generation, "its generation")
    expectEqual(again.provider, session.provider, "its provider")
    expectEqual(again.unknownFields, session.unknownFields, "what it does not know")
    expectEqual(again.createdAt, session.createdAt, "its age")
    expectEqual(again.idToken, session.idToken, "its ID token")
    expectEqual(again.record().count, record.count, "its length")
  }
}
