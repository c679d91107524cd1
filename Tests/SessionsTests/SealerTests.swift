import Basics
import Glibc
import Sessions
import Testing

@Suite struct `Sealing` {
  private let place = SealPlace(table: "sessions", row: [1, 2, 3], field: "session")
  private let plain = Array("a very secret token".utf8)

  @Test func `what was sealed opens at its place, and never looks the same twice`() throws {
    let sealer = Sealer(current: .make())
    let one = sealer.seal(plain, for: place)
    #expect(one != sealer.seal(plain, for: place))
    #expect(one.count == plain.count + Sealer.overhead)
    #expect(!one.contains(bytes: plain))
    #expect(try sealer.open(one, for: place) == plain)
    #expect(try sealer.open(sealer.seal([], for: place), for: place) == [])
  }

  @Test(arguments: [
    SealPlace(table: "sessions", row: [1, 2, 4], field: "session"),
    SealPlace(table: "records", row: [1, 2, 3], field: "session"),
    SealPlace(table: "sessions", row: [1, 2, 3], field: "other"),
    SealPlace(table: "sessions\u{1}", row: [2, 3], field: "session"),
  ])
  func `it does not open at another place`(other: SealPlace) {
    let sealer = Sealer(current: .make())
    #expect(throws: SealError.notAuthentic) { try sealer.open(sealer.seal(plain, for: place), for: other) }
  }

  @Test func `every changed byte is noticed`() {
    let sealer = Sealer(current: .make())
    let envelope = sealer.seal(plain, for: place)
    for i in envelope.indices {
      var changed = envelope
      changed[i] ^= 1
      #expect(throws: SealError.self) { try sealer.open(changed, for: place) }
    }
  }

  @Test func `every missing or additional byte is noticed`() {
    let sealer = Sealer(current: .make())
    let envelope = sealer.seal(plain, for: place)
    for count in 0..<envelope.count {
      #expect(throws: SealError.self) { try sealer.open(Array(envelope[..<count]), for: place) }
    }
    #expect(throws: SealError.notAuthentic) { try sealer.open(envelope + [0], for: place) }
  }

  @Test func `another key does not open it`() {
    let envelope = Sealer(current: .make()).seal(plain, for: place)
    #expect(throws: SealError.unknownKey) { try Sealer(current: .make()).open(envelope, for: place) }
  }

  @Test func `after a change of keys the old one opens and the new one seals`() throws {
    let (old, new) = (SealingKey.make(), SealingKey.make())
    let envelope = Sealer(current: old).seal(plain, for: place)
    let both = Sealer(current: new, older: [old])
    #expect(try both.open(envelope, for: place) == plain)
    #expect(!both.isCurrent(envelope))
    let again = both.seal(plain, for: place)
    #expect(both.isCurrent(again))
    #expect(try Sealer(current: new).open(again, for: place) == plain)
  }
}

@Suite struct `Key files` {
  @Test func `a written key reads back, from a file of mode 0600 that is never overwritten`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("key")
    let key = SealingKey.make()
    try key.write(newFile: path)
    #expect(mode(of: path) == 0o600)
    #expect(try SealingKey(file: path).reveal() == key.reveal())
    #expect(throws: SealingKeyError.self) { try SealingKey.make().write(newFile: path) }
    #expect(try SealingKey(file: path).reveal() == key.reveal())
  }

  @Test(arguments: [0o600, 0o400, 0o640, 0o440] as [UInt32])
  func `owner and group may read it`(mode: UInt32) throws {
    let directory = try TemporaryDirectory()
    try SealingKey.make().write(newFile: directory.file("key"))
    unsafe chmod(directory.file("key"), mode)
    #expect(throws: Never.self) { try SealingKey(file: directory.file("key")) }
  }

  @Test(arguments: [0o644, 0o604, 0o660, 0o602] as [UInt32])
  func `a file that others can read or change is refused`(mode: UInt32) throws {
    let directory = try TemporaryDirectory()
    try SealingKey.make().write(newFile: directory.file("key"))
    unsafe chmod(directory.file("key"), mode)
    #expect(throws: SealingKeyError.self) { try SealingKey(file: directory.file("key")) }
  }

  @Test func `a missing file and a directory are refused with their path`() throws {
    let directory = try TemporaryDirectory()
    for path in [directory.file("none"), directory.path] {
      do throws(SealingKeyError) {
        _ = try SealingKey(file: path)
        Issue.record("accepted")
      } catch {
        #expect(error.description.contains(path))
      }
    }
  }

  @Test func `base64 of either alphabet is accepted with blanks around it`() throws {
    let bytes = (0..<32).map { UInt8($0 * 7 % 251) &+ 3 }
    for text in [Base64.encode(bytes), Base64URL.encode(bytes), "\n  " + Base64URL.encode(bytes) + " \r\n"] {
      #expect(try SealingKey(text: text).reveal() == Base64URL.encode(bytes))
    }
  }

  @Test(arguments: [
    "", "changeme", Base64URL.encode(Array(repeating: 7, count: 31)), "!" + String(repeating: "A", count: 42),
  ])
  func `what is not 32 bytes is refused`(text: String) {
    #expect(throws: SealingKeyError.notAKey) { try SealingKey(text: text) }
  }

  @Test(
    arguments: [
      Array(repeating: 0, count: 32), Array(repeating: 0xAB, count: 32), Array(0..<32),
      Array(repeating: [1, 2], count: 16).flatMap { $0 },
    ] as [[UInt8]])
  func `a key that anybody can guess is refused`(bytes: [UInt8]) {
    #expect(throws: SealingKeyError.guessable) { try SealingKey(text: Base64URL.encode(bytes)) }
  }

  @Test func `a key does not print`() {
    let key = SealingKey.make()
    var dumped = ""
    dump([key], to: &dumped)
    for text in ["\(key)", String(reflecting: key), dumped] { #expect(!text.contains(key.reveal())) }
  }
}
