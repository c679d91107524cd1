internal import Basics
internal import Redis
internal import Synchronization

/// How far a walk through everything that is sealed has come.
struct RedisWalk: Sendable {
  /// What is looked through one after the other.
  enum Source: Sendable {
    case sessions(shard: Int)
    case records(RecordKind)
    case notes(shard: Int)
  }

  /// Tells one walk from another.
  var id = 0
  /// Nil: it has not begun.
  var sources: [Source]?
  /// Where the index of the first source goes on; nil: at its beginning.
  var cursor: [UInt8]?
  /// Members of that index that were not looked at yet.
  var pending: [[UInt8]] = []
  var unreadable = 0

  /// Another walk, from the beginning.
  var anew: RedisWalk { RedisWalk(id: id + 1) }

  /// The first source is done.
  mutating func advance() {
    sources?.removeFirst()
    (cursor, pending) = (nil, [])
  }
}

// What is sealed under an older key is sealed under the current one, some values at a time. A walk misses nothing that was there all
// the time (`ZSCAN`); what came later is under the current key.
extension RedisSessionStore {
  public func adopt(_ ring: KeyRing) async throws(StoreError) {
    if let stored = try await send(RedisCommand("HGET", key: keys.meta, [Self.checkField])).bytes {
      try await checkKey(stored, Sealer(ring))
      sealer.replace(with: ring)
    } else {
      // Redis lost what it had: nothing is left that the ring would have to open.
      sealer.replace(with: ring)
      try await prepare(.current)
    }
    state.withLock { $0.walk = $0.walk.anew }
  }

  public func reseal(limit: Int) async throws(StoreError) -> ResealTurn {
    var walk = state.withLock { $0.walk }
    let id = walk.id
    var turn = ResealTurn(isDone: false)
    var left = max(1, limit)
    if walk.sources == nil { walk.sources = try await sources() }
    while left > 0, let source = walk.sources?.first {
      if walk.pending.isEmpty {
        if walk.cursor == Array("0".utf8) {
          walk.advance()
          continue
        }
        try await look(source, &walk, most: left)
        continue
      }
      let members = Array(walk.pending.prefix(left))
      let (resealed, unreadable) = try await reseal(members, of: source)
      turn.resealed += resealed
      walk.unreadable += unreadable
      walk.pending.removeFirst(members.count)
      left -= members.count
      if walk.pending.isEmpty, walk.cursor == Array("0".utf8) { walk.advance() }
    }
    if walk.sources?.isEmpty ?? true {
      turn.isDone = true
      turn.unreadable = walk.unreadable
      walk = walk.anew
    }
    let end = walk
    state.withLock {
      // Another ring was adopted meanwhile: the walk begins anew.
      if $0.walk.id == id { $0.walk = end }
    }
    return turn
  }

  /// What has anything in it.
  private func sources() async throws(StoreError) -> [RedisWalk.Source] {
    let kinds = try await send(RedisCommand("SMEMBERS", key: keys.kinds)).array?.compactMap(\.text) ?? []
    let shards = 0..<RedisKeys.shards
    let all =
      shards.map { RedisWalk.Source.sessions(shard: $0) } + kinds.map { .records(RecordKind($0)) }
      + shards.map { .notes(shard: $0) }
    let sizes = try await send(all.map { RedisCommand("ZCARD", key: index(of: $0)) })
    return zip(all, sizes).filter { ($1.integer ?? 0) > 0 }.map(\.0)
  }

  private func index(of source: RedisWalk.Source) -> [UInt8] {
    switch source {
    case .sessions(let shard): keys.bySeen(shard)
    case .records(let kind): keys.records(kind) + Array("i".utf8)
    case .notes(let shard): keys.bases[shard] + Array("y".utf8)
    }
  }

  private func look(_ source: RedisWalk.Source, _ walk: inout RedisWalk, most: Int) async throws(StoreError) {
    let start = walk.cursor ?? Array("0".utf8)
    let answer = try await send(
      RedisCommand("ZSCAN", key: index(of: source), [start, Array("COUNT".utf8), .init(decimal: most)]))
    let members = answer.array?.last?.array ?? []
    walk.cursor = answer.array?.first?.bytes ?? Array("0".utf8)
    // Each is followed by its score.
    walk.pending = stride(from: 0, to: members.count, by: 2).compactMap { members[$0].bytes }
  }

  private func reseal(_ members: [[UInt8]], of source: RedisWalk.Source) async throws(StoreError)
    -> (resealed: Int, unreadable: Int)
  {
    var values: [Sealed] = []
    switch source {
    case .sessions(let shard):
      let names = members.map { keys.bases[shard] + Array("s:".utf8) + $0 }
      for (member, answer) in zip(members, try await get(names)) where answer != .null {
        let row = try? RedisRow(answer.bytes ?? [])
        let hash = Bytes32(member).map(TicketHash.init(digest:))
        values.append(
          Sealed(
            script: RedisScripts.reseal, base: keys.bases[shard], place: hash.map { .session($0) },
            envelope: row?.envelope ?? []
          ) { old, new in [member, Array(old.prefix(Sealer.overhead)), new] })
      }
    case .records(let kind):
      let names = members.map { keys.records(kind) + Array("r:".utf8) + $0.dropFirst(8) }
      for (member, answer) in zip(members, try await get(names)) where answer != .null {
        let bytes = answer.bytes ?? []
        let record = RedisRecord(bytes)
        let key = Bytes32(Array(member.dropFirst(8))).map(TicketHash.init(digest:))
        let place = record.flatMap { record in
          key.map { SealPlace.record(kind, $0, record.owner, record.expiresAt) }
        }
        values.append(
          Sealed(
            script: RedisRecordScripts.reseal, base: keys.records(kind), place: place,
            envelope: record?.envelope ?? []
          ) { old, new in [Array(member.dropFirst(8)), bytes, Array(bytes.dropLast(old.count)) + new] })
      }
    case .notes(let shard):
      for book in members {
        let answer = try await run(RedisNoteScripts.list, keys.bases[shard], [book])
        let fields = answer.array?.compactMap(\.bytes) ?? []
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
          let (key, value) = (fields[index], fields[index + 1])
          values.append(
            Sealed(
              script: RedisNoteScripts.reseal, base: keys.bases[shard], place: Self.place(book, key, value),
              envelope: Array(value.dropFirst(16))
            ) { old, new in [book, key, value, Array(value.dropLast(old.count)) + new] })
        }
      }
    }
    return try await reseal(values)
  }

  /// A sealed value, and how another one is put in its place unless it changed meanwhile.
  private struct Sealed {
    let script: RedisScript
    let base: [UInt8]
    /// Nil: it is not what it must be.
    let place: SealPlace?
    let envelope: [UInt8]
    let arguments: (_ old: [UInt8], _ new: [UInt8]) -> [[UInt8]]
  }

  private func reseal(_ values: [Sealed]) async throws(StoreError) -> (resealed: Int, unreadable: Int) {
    var calls: [RedisScriptCall] = []
    var unreadable = 0
    for value in values {
      do throws(SealError) {
        guard let place = value.place else { throw .malformed }
        guard let new = try sealer.reseal(value.envelope, for: place) else { continue }
        calls.append(
          RedisScriptCall(value.script, keys: [value.base], arguments: value.arguments(value.envelope, new)))
      } catch {
        unreadable += 1
      }
    }
    return (try await runAll(calls).count { $0.integer == 1 }, unreadable)
  }

  private func get(_ names: [[UInt8]]) async throws(StoreError) -> [RedisValue] {
    try await send(names.map { RedisCommand("GET", key: $0) })
  }

  /// Where a note's value belongs, by the name of its book.
  private static func place(_ book: [UInt8], _ key: [UInt8], _ value: [UInt8]) -> SealPlace? {
    guard let colon = book.firstIndex(of: UInt8(ascii: ":")), let key = Bytes32(key), value.count > 16,
      let time = number(Array(value[..<8]))
    else { return nil }
    let owner = Array(book[(colon + 1)...])
    let digest = Bytes32(owner)
    if !owner.isEmpty, digest == nil { return nil }
    return .note(
      NoteKind(String(decoding: book[..<colon], as: UTF8.self)), digest, key,
      Timestamp(milliseconds: Int64(bitPattern: time)))
  }
}
