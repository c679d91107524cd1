import Basics
import Testing

@testable import Sessions

@Suite struct `The sealed form of a session` {
  private static let now = Timestamp(seconds: 1_767_225_600)

  @Test func `is read as it was written`() throws {
    let session = Session.sample(now: Self.now)
    expectSame(
      try Session(record: session.record(), hash: session.hash, lastSeenAt: session.lastSeenAt), session)
  }

  @Test func `of the first version, which knows no withheld scopes, is still read`() throws {
    var session = Session.sample(now: Self.now)
    session.withheldScopes = []
    // The list is the last part; an empty one is a count of four bytes.
    var old = Array(session.record().dropLast(4))
    old[0] = 1
    expectSame(try Session(record: old, hash: session.hash, lastSeenAt: session.lastSeenAt), session)
  }

  @Test(arguments: [0, 3, 255] as [UInt8])
  func `of another version is not guessed at`(version: UInt8) {
    let session = Session.sample(now: Self.now)
    var record = session.record()
    record[0] = version
    #expect(throws: SealError.malformed) {
      try Session(record: record, hash: session.hash, lastSeenAt: session.lastSeenAt)
    }
  }
}
