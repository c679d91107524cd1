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

  @Test func `has the name of the provider, and none where none was given`() throws {
    var session = Session.sample(now: Self.now)
    for name in [nil, "staff", String(repeating: "n", count: 300)] {
      session.provider = name
      let again = try Session(record: session.record(), hash: session.hash, lastSeenAt: session.lastSeenAt)
      expectSame(again, session)
      #expect(again.provider == name && again.unknownFields.isEmpty)
    }
  }

  @Test func `of the first version, which knows no withheld scopes, is still read`() throws {
    var session = Session.sample(now: Self.now)
    session.withheldScopes = []
    session.provider = nil
    // The last parts are that list and that of the fields; an empty one is a count of four bytes.
    var old = Array(session.record().dropLast(8))
    old[0] = 1
    expectSame(try Session(record: old, hash: session.hash, lastSeenAt: session.lastSeenAt), session)
  }

  @Test func `of the second version, which knows no further fields, is still read`() throws {
    var session = Session.sample(now: Self.now)
    session.provider = nil
    var old = Array(session.record().dropLast(4))
    old[0] = 2
    expectSame(try Session(record: old, hash: session.hash, lastSeenAt: session.lastSeenAt), session)
  }

  @Test func `keeps the fields of a newer program through a change`() throws {
    let session = Session.sample(now: Self.now)
    // Two fields that this program does not know, around the one that it does.
    let newer = Self.record(
      session,
      fields: [(7, [0, 255, 1]), (1, [0, 0, 0, 5] + Array("staff".utf8)), (900_000, Array("later".utf8))])
    var read = try Session(record: newer, hash: session.hash, lastSeenAt: session.lastSeenAt)
    #expect(read.provider == "staff")
    // As it goes through the memory of a process.
    read = PackedSession(read).session(read.hash)
    read.sid = "sid-2"
    read.generation += 1
    let entry = SessionEntry(session: read, storedGeneration: 1)
    var again = try Session(record: entry.session.record(), hash: read.hash, lastSeenAt: read.lastSeenAt)
    #expect(again.sid == "sid-2" && again.provider == "staff")
    #expect(again.unknownFields.map(\.tag) == [7, 900_000])
    #expect(again.unknownFields.map(\.bytes) == [[0, 255, 1], Array("later".utf8)])
    again.provider = nil
    expectSame(again, read.with { $0.provider = nil })
    #expect(
      again.record() == Self.record(again, fields: [(7, [0, 255, 1]), (900_000, Array("later".utf8))]))
  }

  @Test(
    arguments: [
      [(7, [1]), (7, [1])],
      (1...65).map { (UInt32($0 + 10), [0]) },
      [(7, [UInt8](repeating: 0, count: 10_000)), (8, [UInt8](repeating: 0, count: 6_385))],
      [(1, [0, 0, 0, 1, 0x61]), (1, [0, 0, 0, 1, 0x62])],
      // The name's length is wrong.
      [(1, [0, 0, 0, 2, 0x61])],
      [(1, [0, 0, 0, 0, 0x61])],
    ] as [[(UInt32, [UInt8])]])
  func `with a field twice, one that is not sound or too much in fields is malformed`(
    fields: [(UInt32, [UInt8])]
  ) {
    let session = Session.sample(now: Self.now)
    #expect(throws: SealError.malformed) {
      try Session(
        record: Self.record(session, fields: fields), hash: session.hash, lastSeenAt: session.lastSeenAt)
    }
  }

  @Test func `of the current version is cut off nowhere unnoticed`() {
    var session = Session.sample(now: Self.now)
    session.provider = "staff"
    let record = session.record()
    for length in record.indices {
      #expect(throws: SealError.malformed) {
        try Session(
          record: Array(record[..<length]), hash: session.hash, lastSeenAt: session.lastSeenAt)
      }
    }
  }

  @Test(arguments: [0, 4, 255] as [UInt8])
  func `of another version is not guessed at`(version: UInt8) {
    let session = Session.sample(now: Self.now)
    var record = session.record()
    record[0] = version
    #expect(throws: SealError.malformed) {
      try Session(record: record, hash: session.hash, lastSeenAt: session.lastSeenAt)
    }
  }

  /// The session's record with these fields instead of its own.
  private static func record(_ session: Session, fields: [(UInt32, [UInt8])]) -> [UInt8] {
    let bare = session.with {
      $0.provider = nil
      $0.unknownFields = []
    }
    var writer = RecordWriter()
    writer.append(count: fields.count)
    for (tag, bytes) in fields {
      writer.append(count: Int(tag))
      writer.append(bytes)
    }
    return Array(bare.record().dropLast(4)) + writer.bytes
  }
}

extension Session {
  fileprivate func with(_ change: (inout Session) -> Void) -> Session {
    var copy = self
    change(&copy)
    return copy
  }
}
