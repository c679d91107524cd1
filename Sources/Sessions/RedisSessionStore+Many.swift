public import Basics
internal import Redis

// What concerns many sessions. No question walks through all keys: each shard has its indexes.
extension RedisSessionStore {
  public func hashes(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await hashes(in: keys.sessions(ofUser: user.digest))
  }

  public func hashes(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await hashes(in: keys.sessions(ofSID: UserKey.sidDigest(issuer: issuer, sid: sid)))
  }

  public func deleteAll(of user: UserKey) async throws(StoreError) -> [TicketHash] {
    try await deleteAll(in: keys.sessions(ofUser: user.digest))
  }

  public func deleteAll(issuer: String, sid: String) async throws(StoreError) -> [TicketHash] {
    try await deleteAll(in: keys.sessions(ofSID: UserKey.sidDigest(issuer: issuer, sid: sid)))
  }

  /// The sessions of an index that exist. The others are taken out of it.
  private func hashes(in index: [UInt8]) async throws(StoreError) -> [TicketHash] {
    let listed = try await listed(in: index)
    let found = try await send(listed.map { RedisCommand("EXISTS", key: keys.session($0)) })
    let gone = zip(listed, found).filter { $1.integer == 0 }.map(\.0)
    try await remove(gone, from: index)
    return zip(listed, found).filter { $1.integer == 1 }.map(\.0)
  }

  private func deleteAll(in index: [UInt8]) async throws(StoreError) -> [TicketHash] {
    let listed = try await listed(in: index)
    let gone = try await delete(listed)
    try await remove(listed, from: index)
    return gone
  }

  private func listed(in index: [UInt8]) async throws(StoreError) -> [TicketHash] {
    let range = [Array("0".utf8), Array("-1".utf8)]
    return try await send(RedisCommand("ZRANGE", key: index, range)).array?.compactMap(Self.hash) ?? []
  }

  private func remove(_ hashes: [TicketHash], from index: [UInt8]) async throws(StoreError) {
    guard !hashes.isEmpty else { return }
    _ = try await send(RedisCommand("ZREM", key: index, hashes.map(\.digest.bytes)))
  }

  public func generations(of hashes: [TicketHash]) async throws(StoreError) -> [TicketHash: UInt64] {
    let range = [Array("1".utf8), Array("8".utf8)]
    let answers = try await send(hashes.map { RedisCommand("GETRANGE", key: keys.session($0), range) })
    var known: [TicketHash: UInt64] = [:]
    for (hash, answer) in zip(hashes, answers) { known[hash] = answer.bytes.flatMap(Self.number) }
    return known
  }

  public func deleteEverySession() async throws(StoreError) -> Int {
    var count = 0
    var shards = Array(0..<RedisKeys.shards)
    while !shards.isEmpty {
      let answers = try await runAll(
        shards.map { shard in
          RedisScriptCall(
            RedisScripts.clear, keys: [keys.bases[shard]], arguments: [.init(decimal: Self.mostAtOnce)])
        })
      var left: [Int] = []
      for (shard, answer) in zip(shards, answers) {
        let numbers = answer.array?.compactMap(\.integer) ?? []
        count += Int(numbers.first ?? 0)
        if numbers.last == Int64(Self.mostAtOnce) { left.append(shard) }
      }
      shards = left
    }
    try await tell(.endedAll)
    return count
  }

  public func sweep(createdBefore: Timestamp, seenBefore: Timestamp, now: Timestamp) async throws(StoreError)
  {
    var shards = Array(0..<RedisKeys.shards)
    while !shards.isEmpty {
      let answers = try await runAll(
        shards.map { shard in
          RedisScriptCall(
            RedisScripts.sweep, keys: [keys.bases[shard]],
            arguments: [
              .init(decimal: createdBefore), .init(decimal: seenBefore), .init(decimal: now),
              .init(decimal: now + Session.clockTolerance), .init(decimal: Self.mostAtOnce),
            ])
        })
      shards = zip(shards, answers).filter { $1.integer == 1 }.map(\.0)
    }
    try await sweepRecords(now)
  }

  /// A script holds everybody else up: what one does has a bound.
  static let mostAtOnce = 200

  public func page(after cursor: String?, limit: Int) async throws(StoreError) -> SessionPage {
    var page = SessionPage(sessions: [], next: nil)
    guard var place = cursor.map({ RedisCursor($0) }) ?? RedisCursor(shard: 0) else { return page }
    let limit = max(1, limit)
    let sizes = try await send(
      (place.shard..<RedisKeys.shards).map { RedisCommand("ZCARD", key: keys.bySeen($0)) })
    var wanted = zip(place.shard..., sizes).filter { ($1.integer ?? 0) > 0 }.map {
      ($0, Int($1.integer ?? 0))
    }[...]
    var taken = 0
    while !wanted.isEmpty {
      // Shards that should have enough together. One more than is wanted tells whether there is a next page.
      var expected = 0
      let shards = wanted.prefix { _, size in
        defer { expected += size }
        return expected <= limit - taken
      }
      wanted = wanted.dropFirst(shards.count)
      let answers = try await runAll(
        shards.map { shard, _ in
          let start = shard == place.shard ? place : RedisCursor(shard: shard)
          return RedisScriptCall(
            RedisScripts.page, keys: [keys.bases[shard]],
            arguments: [start.highest, start.last?.digest.bytes ?? [], .init(decimal: limit - taken + 1)])
        })
      for ((shard, _), answer) in zip(shards, answers) {
        let values = answer.array ?? []
        for index in stride(from: 0, to: values.count - 2, by: 3) {
          guard let hash = Self.hash(values[index]), let created = values[index + 1].text else { continue }
          guard taken < limit else {
            page.next = place.description
            return page
          }
          taken += 1
          place = RedisCursor(shard: shard, created: created, last: hash)
          if let session = session(values[index + 2], hash) {
            page.sessions.append(session)
          } else {
            page.unreadable += 1
          }
        }
      }
    }
    return page
  }

  private func session(_ value: RedisValue, _ hash: TicketHash) -> Session? {
    guard let bytes = value.bytes, let row = try? RedisRow(bytes),
      let record = try? sealer.open(row.envelope, for: .session(hash))
    else { return nil }
    return try? Self.session(row, hash, record)
  }
}

/// Behind which session a page begins.
struct RedisCursor: CustomStringConvertible {
  let shard: Int
  /// Beginning of the last session that was given, in milliseconds; nil: none of this shard was.
  var created: String?
  var last: TicketHash?

  init(shard: Int) { self.shard = shard }

  init(shard: Int, created: String, last: TicketHash) {
    (self.shard, self.created, self.last) = (shard, created, last)
  }

  init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let shard = Int(parts[0]), (0..<RedisKeys.shards).contains(shard),
      let created = Int64(parts[1]), let last = TicketHash(cursor: String(parts[2]))
    else { return nil }
    self.init(shard: shard, created: String(created), last: last)
  }

  var highest: [UInt8] { Array((created ?? "+inf").utf8) }

  var description: String { "\(shard).\(created ?? "").\(last?.cursor ?? "")" }
}
