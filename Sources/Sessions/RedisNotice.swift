internal import Basics

/// A ``StoreNotice`` on its way: who sends it, what it is, and its hashes, number or message.
enum RedisNotice {
  private static let saved: UInt8 = 1
  private static let ended: UInt8 = 2
  private static let replaced: UInt8 = 3
  private static let leaseEnded: UInt8 = 4
  private static let endedAll: UInt8 = 5
  private static let message: UInt8 = 6

  /// Nothing for notices about the connection, which are never sent.
  static func bytes(_ notice: StoreNotice, from sender: Bytes32) -> [UInt8] {
    let head = sender.bytes
    switch notice {
    case .saved(let hash, let generation):
      return head + [saved] + hash.digest.bytes + RecordWriter.bytes(generation)
    case .ended(let hash): return head + [ended] + hash.digest.bytes
    case .replaced(let old, let new): return head + [replaced] + old.digest.bytes + new.digest.bytes
    case .leaseEnded(let hash): return head + [leaseEnded] + hash.digest.bytes
    case .endedAll: return head + [endedAll]
    case .message(let bytes): return head + [message] + bytes
    case .interrupted, .resumed: return []
    }
  }

  /// Nil for what `listener` sent itself, and for what is no notice: another release may have more kinds.
  static func read(_ bytes: [UInt8], by listener: Bytes32) -> StoreNotice? {
    guard bytes.count > 32, let sender = Bytes32(Array(bytes[..<32])), sender != listener else { return nil }
    let body = Array(bytes[33...])
    switch bytes[32] {
    case saved:
      var reader = RecordReader(Array(body.dropFirst(32)))
      guard body.count == 40, let hash = hash(body[..<32]), let generation = try? reader.number() else {
        return nil
      }
      return .saved(hash, generation: generation)
    case ended: return hash(body[...]).map { .ended($0) }
    case replaced:
      guard let old = hash(body.prefix(32)), let new = hash(body.dropFirst(32)) else { return nil }
      return .replaced(old, by: new)
    case leaseEnded: return hash(body[...]).map { .leaseEnded($0) }
    case endedAll: return .endedAll
    case message: return .message(body)
    default: return nil
    }
  }

  private static func hash(_ bytes: ArraySlice<UInt8>) -> TicketHash? {
    Bytes32(Array(bytes)).map(TicketHash.init(digest:))
  }
}
