internal import Basics

/// The hash slots of a Redis cluster (Redis cluster specification).
enum ClusterSlots {
  static let count = 16_384

  /// CRC16 of the key, or of what stands between its first `{` and the next `}` when that is not empty, modulo 16,384.
  static func slot(of key: [UInt8]) -> Int {
    var tag = key[...]
    if let open = key.firstIndex(of: UInt8(ascii: "{")) {
      let rest = key[(open + 1)...]
      if let close = rest.firstIndex(of: UInt8(ascii: "}")), close > open + 1 { tag = rest[..<close] }
    }
    return Int(crc16(tag) % UInt16(count))
  }

  /// CRC-16/XMODEM: polynomial 0x1021, from 0, most significant bit first.
  static func crc16(_ bytes: ArraySlice<UInt8>) -> UInt16 {
    var crc: UInt16 = 0
    for byte in bytes {
      crc ^= UInt16(byte) << 8
      for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
    }
    return crc
  }
}

/// Which master serves which slot.
struct ClusterMap {
  private(set) var masters: [RedisEndpoint] = []
  /// For each slot the place of its master in `masters`; -1: nobody serves it.
  private var places = [Int16](repeating: -1, count: ClusterSlots.count)

  /// More than any cluster has; a map that names more is refused.
  static let maxMasters = 1_000

  init() {}

  /// Reads the answer to `CLUSTER SLOTS`: `[[first, last, [host, port, …], replicas…], …]`.
  ///
  /// - Returns: nil when it is none, or no slot is served.
  init?(_ answer: RedisValue, by origin: RedisEndpoint) {
    guard let ranges = answer.array, !ranges.isEmpty else { return nil }
    for range in ranges {
      guard let parts = range.array, parts.count >= 3, let first = parts[0].integer,
        let last = parts[1].integer, first >= 0, first <= last, last < ClusterSlots.count,
        let node = parts[2].array, node.count >= 2,
        // A server that does not know its own name means itself by null or an empty host.
        let host = node[0] == .null ? "" : node[0].text,
        let master = RedisEndpoint(host: host, port: node[1].integer, announcedBy: origin)
      else { return nil }
      guard assign(Int(first)...Int(last), to: master) else { return nil }
    }
  }

  func master(of slot: Int) -> RedisEndpoint? {
    guard places.indices.contains(slot), places[slot] >= 0 else { return nil }
    return masters[Int(places[slot])]
  }

  /// - Returns: false when there are too many masters.
  @discardableResult
  mutating func assign(_ slots: ClosedRange<Int>, to master: RedisEndpoint) -> Bool {
    var place = masters.firstIndex(of: master)
    if place == nil {
      guard masters.count < Self.maxMasters else { return false }
      masters.append(master)
      place = masters.count - 1
    }
    guard let place, slots.lowerBound >= 0, slots.upperBound < places.count else { return false }
    for slot in slots { places[slot] = Int16(place) }
    return true
  }
}

/// Where a cluster's node sends a command that it does not serve: `MOVED slot host:port`, `ASK slot host:port`.
struct ClusterRedirect: Equatable {
  let slot: Int
  let endpoint: RedisEndpoint

  init?(_ answer: RedisValue, by origin: RedisEndpoint) {
    guard case .error(let text) = answer else { return nil }
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count >= 3, let slot = Int(words[1]), (0..<ClusterSlots.count).contains(slot),
      let endpoint = RedisEndpoint(announced: words[2], by: origin)
    else { return nil }
    self.slot = slot
    self.endpoint = endpoint
  }
}
