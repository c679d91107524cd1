import Basics
import Glibc
import Testing

@testable import Sessions

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
    #expect(try both.reseal(again, for: place) == nil)
    let resealed = try #require(try both.reseal(envelope, for: place))
    #expect(both.isCurrent(resealed))
    #expect(try both.open(resealed, for: place) == plain)
  }

  @Test func `the ring is exchanged under whoever seals`() throws {
    let directory = try TemporaryDirectory()
    let (old, new) = (SealingKey.make(), SealingKey.make())
    try old.write(newFile: directory.file("old"))
    try new.write(newFile: directory.file("new"))
    let sealer = Sealer(current: old)
    let before = sealer.seal(plain, for: place)
    sealer.replace(with: try KeyRing(files: [directory.file("new"), directory.file("old")]))
    #expect(try sealer.open(before, for: place) == plain)
    #expect(!sealer.isCurrent(before) && sealer.isCurrent(sealer.seal(plain, for: place)))
    sealer.replace(with: try KeyRing(files: [directory.file("new")]))
    #expect(throws: SealError.unknownKey) { try sealer.open(before, for: place) }
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
    let bytes = RandomBytes.make(32)
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

  /// As somebody might make a key who does not know better.
  private static let weak: [(KeyWeakness, [UInt8])] = {
    func text(_ text: String) -> [UInt8] { Array(text.utf8) }
    func steps(of step: UInt8) -> [UInt8] { (0..<32).map { UInt8($0) &* step &+ 3 } }
    let half = RandomBytes.make(16)
    var list: [(KeyWeakness, [UInt8])] = []
    for byte: UInt8 in [0, 0xAB] { list.append((.uniform, Array(repeating: byte, count: 32))) }
    list.append((.uniform, Array(repeating: [1, 2], count: 16).flatMap { $0 }))
    list.append((.uniform, half + RandomBytes.make(8) + Array(repeating: 0, count: 8)))
    for step: UInt8 in [1, 7, 255] { list.append((.counting, steps(of: step))) }
    list.append((.repeating, half + half))
    list.append((.repeating, text("Zebra, Quick 42!Zebra, Quick 42!")))
    list.append((.text, text("correct horse battery staple 1!?")))
    list.append((.text, text("Tr0ub4dor&3 and Xkcd 936, Munroe")))
    list.append((.text, text("Пароль: Мёд и чай!!")))
    list.append((.text, [0] + text("correct horse battery staple 1!")))
    for word in ["password", "changeme\n", ""] { list.append((.published, KeyWeakness.digest(of: word))) }
    return list
  }()

  @Test(arguments: weak)
  func `a key that anybody can guess is refused, and told why`(weakness: KeyWeakness, bytes: [UInt8]) {
    #expect(bytes.count == 32)
    #expect(throws: SealingKeyError.guessable(weakness)) { try SealingKey(text: Base64URL.encode(bytes)) }
  }

  private static let words: [(String, KeyWeakness)] = [
    ("Zebra2Quick4XZebra2Quick4XZebra2Quick4XZebo", .repeating),
    ("mypasswordisthenameofmyfirstdogandthenitwas", .words),
    ("My-Password-is-the-name-of-my-first-dog-Rug", .words),
    ("THEQUICKBROWNFOXJUMPEDOVERTHELAZYDOGANDSLEE", .words),
    ("3141592653589793238462643383279502884197168", .words),
    ("CDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrs", .counting),
    ("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8", .published),
    ("BNMfxVSd/P4LZJ36PyJ97mKWQFCrK/GCO1cmJXlFfWo=", .published),
  ]

  @Test(arguments: words)
  func `a key made of words, or out of a document, is refused`(text: String, weakness: KeyWeakness) {
    #expect(throws: SealingKeyError.guessable(weakness)) { try SealingKey(text: text) }
  }

  @Test func `every refusal says what to do`() {
    let weaknesses: [KeyWeakness] = [.uniform, .counting, .repeating, .text, .words, .published]
    for error in weaknesses.map(SealingKeyError.guessable) + [.notAKey, .noKey] {
      #expect(error.description.contains("`coatcheck key`"))
    }
  }

  @Test func `a key that was made here is never refused`() throws {
    for _ in 0..<2000 {
      let key = SealingKey.make()
      #expect(try SealingKey(text: key.reveal()) == key)
    }
  }

  @Test func `a ring is read in order, and neither empty nor with a key twice`() throws {
    let directory = try TemporaryDirectory()
    let keys = [SealingKey.make(), .make(), .make()]
    let files = keys.indices.map { directory.file("\($0).key") }
    for (key, file) in zip(keys, files) { try key.write(newFile: file) }
    let ring = try KeyRing(files: files)
    #expect(ring.current == keys[0] && ring.older == Array(keys[1...]) && ring.count == 3)
    try keys[1].write(newFile: directory.file("copy.key"))
    do throws(SealingKeyError) {
      _ = try KeyRing(files: files + [directory.file("copy.key")])
      Issue.record("accepted")
    } catch {
      #expect(error.description.contains("copy.key: the same key as in \(files[1]);"))
    }
    #expect(throws: SealingKeyError.noKey) { try KeyRing(files: []) }
    #expect(throws: SealingKeyError.self) { try KeyRing(files: files + [directory.file("none")]) }
  }

  @Test func `a key does not print`() {
    let key = SealingKey.make()
    var dumped = ""
    dump([key], to: &dumped)
    for text in ["\(key)", String(reflecting: key), dumped] { #expect(!text.contains(key.reveal())) }
  }
}
