internal import Basics

/// The names of what is kept in Redis. Everything that one script touches is in one slot of a cluster: sessions are spread over 256
/// shards by the first byte of their hash, and the part in braces, which decides the slot, is the shard's number.
struct RedisKeys: Sendable {
  /// How many shards there are.
  static let shards = 256

  /// Bases of the shards, by their numbers; what is in one is called by its base and what follows there.
  let bases: [[UInt8]]
  /// What the installation has once: the version of the layout and the check of the keys.
  let meta: [UInt8]
  /// The kinds of records that were ever kept.
  let kinds: [UInt8]
  /// Where processes tell each other what they did.
  let channel: [UInt8]
  private let prefix: [UInt8]

  init(prefix: String) {
    self.prefix = Array(prefix.utf8)
    bases = (0..<Self.shards).map { number in
      Array("\(prefix){\(number < 16 ? "0" : "")\(String(number, radix: 16))}".utf8)
    }
    meta = Array("\(prefix){meta}".utf8)
    kinds = Array("\(prefix){meta}kinds".utf8)
    channel = Array("\(prefix)changes".utf8)
  }

  /// Number of the shard of a digest.
  static func shard(_ digest: Bytes32) -> Int { Int(digest.a >> 56) }

  /// Base of the shard of a digest.
  func base(_ digest: Bytes32) -> [UInt8] { bases[Self.shard(digest)] }

  /// Base of what is kept of one kind of records.
  func records(_ kind: RecordKind) -> [UInt8] { prefix + Array("{r.\(kind.name)}".utf8) }

  /// Base of the notes of one owner: the shard of the owner, the first one for the installation's.
  func notes(_ owner: UserKey?) -> [UInt8] { owner.map { base($0.digest) } ?? bases[0] }

  func session(_ hash: TicketHash) -> [UInt8] { entry("s:", hash.digest) }
  func alias(_ ticket: TicketHash) -> [UInt8] { entry("a:", ticket.digest) }
  func sessions(ofUser digest: Bytes32) -> [UInt8] { entry("u:", digest) }
  func sessions(ofSID digest: Bytes32) -> [UInt8] { entry("i:", digest) }

  /// The index of a shard's sessions by their last use.
  func bySeen(_ shard: Int) -> [UInt8] { bases[shard] + Array("n".utf8) }
  /// What ``RedisSessionStore/ping()`` writes.
  func ping(_ shard: Int) -> [UInt8] { bases[shard] + Array("p".utf8) }

  private func entry(_ name: String, _ digest: Bytes32) -> [UInt8] {
    base(digest) + Array(name.utf8) + digest.bytes
  }
}

/// A session's row: version, generation, beginning, last use and fence, eight bytes each but the version, then what is sealed.
struct RedisRow {
  /// Version of the row's form, its first byte.
  private static let version: UInt8 = 1
  private static let headBytes = 33

  var generation: UInt64
  var createdAt: Timestamp
  var seenAt: Timestamp
  var fence: UInt64 = 0
  var envelope: [UInt8]

  init(_ session: Session, envelope: [UInt8]) {
    generation = session.generation
    createdAt = session.createdAt
    seenAt = session.lastSeenAt
    self.envelope = envelope
  }

  init(_ bytes: [UInt8]) throws(SealError) {
    guard bytes.count > Self.headBytes else { throw .malformed }
    var reader = RecordReader(Array(bytes[..<Self.headBytes]))
    guard try reader.byte() == Self.version else { throw .malformed }
    generation = try reader.number()
    createdAt = try reader.time()
    seenAt = try reader.time()
    fence = try reader.number()
    envelope = Array(bytes[Self.headBytes...])
  }

  var bytes: [UInt8] {
    var writer = RecordWriter()
    writer.append(byte: Self.version)
    writer.append(generation)
    writer.append(createdAt)
    writer.append(seenAt)
    writer.append(fence)
    return writer.bytes + envelope
  }
}

extension RecordWriter {
  /// The form that scripts read with `struct.unpack`.
  static func bytes(_ number: UInt64) -> [UInt8] {
    var writer = RecordWriter()
    writer.append(number)
    return writer.bytes
  }

  static func bytes(_ time: Timestamp) -> [UInt8] { bytes(UInt64(bitPattern: time.milliseconds)) }
}

extension [UInt8] {
  /// A number as Redis takes it.
  init(decimal number: some BinaryInteger) { self = Array(String(number).utf8) }

  /// A time as Redis takes it, for scores.
  init(decimal time: Timestamp) { self.init(decimal: time.milliseconds) }
}
