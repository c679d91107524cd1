public import Basics
internal import Redis

// Notes: readable are their kind, the digests of owner and key, and their time.
extension RedisSessionStore {
  public func put(_ note: Note, keeping limit: Int) async throws(StoreError) {
    try note.checkSize()
    let key = note.kind.digest(of: note.key, owner: note.owner)
    let place = SealPlace.note(note.kind, note.owner?.digest, key, note.updatedAt)
    _ = try await run(
      RedisNoteScripts.put, keys.notes(note.owner),
      [
        Self.book(note.kind, note.owner), key.bytes, RecordWriter.bytes(note.updatedAt),
        .init(decimal: note.updatedAt),
        sealer.seal(note.content(), for: place), .init(decimal: max(0, limit)), noteBackstop,
      ])
  }

  public func notes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) -> [Note] {
    let answer = try await run(RedisNoteScripts.list, keys.notes(owner), [Self.book(kind, owner)])
    let values = answer.array?.compactMap(\.bytes) ?? []
    var notes: [Note] = []
    var resealed: [RedisScriptCall] = []
    for index in stride(from: 0, to: values.count - 1, by: 2) {
      let (field, value) = (values[index], values[index + 1])
      guard value.count > 16, let key = Bytes32(field), let time = Self.number(Array(value[..<8])) else {
        continue
      }
      let updatedAt = Timestamp(milliseconds: Int64(bitPattern: time))
      let envelope = Array(value[16...])
      let place = SealPlace.note(kind, owner?.digest, key, updatedAt)
      guard let content = try? sealer.open(envelope, for: place),
        let note = try? Note(content: content, kind: kind, owner: owner, updatedAt: updatedAt)
      else { continue }
      notes.append(note)
      if !sealer.isCurrent(envelope) {
        let anew = Array(value[..<16]) + sealer.seal(content, for: place)
        resealed.append(
          RedisScriptCall(
            RedisNoteScripts.reseal, keys: [keys.notes(owner)],
            arguments: [Self.book(kind, owner), field, value, anew]))
      }
    }
    // As for sessions: sealed again while they are at hand. What fails is done the next time.
    _ = try? await runAll(resealed)
    return notes
  }

  public func removeNote(_ kind: NoteKind, owner: UserKey?, key: String) async throws(StoreError) {
    _ = try await run(
      RedisNoteScripts.remove, keys.notes(owner),
      [Self.book(kind, owner), kind.digest(of: key, owner: owner).bytes])
  }

  public func removeNotes(_ kind: NoteKind, owner: UserKey?) async throws(StoreError) {
    _ = try await run(RedisNoteScripts.clear, keys.notes(owner), [Self.book(kind, owner)])
  }

  public func sweepNotes(updatedBefore: Timestamp) async throws(StoreError) {
    var shards = Array(0..<RedisKeys.shards)
    while !shards.isEmpty {
      let answers = try await runAll(
        shards.map { shard in
          RedisScriptCall(
            RedisNoteScripts.sweep, keys: [keys.bases[shard]],
            arguments: [.init(decimal: updatedBefore), .init(decimal: Self.mostAtOnce)])
        })
      shards = zip(shards, answers).filter { ($1.integer ?? 0) >= Int64(Self.mostAtOnce) }.map(\.0)
    }
  }

  /// What the notes of one kind and owner are called within their shard.
  private static func book(_ kind: NoteKind, _ owner: UserKey?) -> [UInt8] {
    Array("\(kind.name):".utf8) + (owner?.digest.bytes ?? [])
  }
}

/// What has to happen in one step with notes. Behind `KEYS[1]`: `m:` the notes of a kind and owner by the digests of their keys, `w:` the same
/// by time, `y` all such books by the time of their oldest note, `z` the number of the last note. Of the same time, the higher number
/// was put later.
enum RedisNoteScripts {
  private static let common = """
    local B=KEYS[1]
    local function remove(book,key)
      local v=redis.call('HGET',B..'m:'..book,key)
      if not v then return end
      redis.call('HDEL',B..'m:'..book,key)
      redis.call('ZREM',B..'w:'..book,string.sub(v,9,16)..key)
    end
    local function settle(book)
      local oldest=redis.call('ZRANGE',B..'w:'..book,0,0,'WITHSCORES')
      if #oldest==0 then return redis.call('ZREM',B..'y',book) end
      redis.call('ZADD',B..'y',oldest[2],book)
    end
    """

  /// book, key, time, the same as a number, sealed, most, ttl.
  static let put = RedisScript(
    common + """

      local b=ARGV[1]
      remove(b,ARGV[2])
      local number=struct.pack('>I8',redis.call('INCR',B..'z'))
      redis.call('HSET',B..'m:'..b,ARGV[2],ARGV[3]..number..ARGV[5])
      redis.call('ZADD',B..'w:'..b,ARGV[4],number..ARGV[2])
      local over=redis.call('ZCARD',B..'w:'..b)-tonumber(ARGV[6])
      if over>0 then
        for _,m in ipairs(redis.call('ZRANGE',B..'w:'..b,0,over-1)) do remove(b,string.sub(m,9)) end
      end
      settle(b)
      for _,k in ipairs({'m:'..b,'w:'..b,'y','z'}) do redis.call('PEXPIRE',B..k,ARGV[7]) end
      return 1
      """)

  /// book → key and note of each, the latest first.
  static let list = RedisScript(
    common + """

      local out={}
      for _,m in ipairs(redis.call('ZREVRANGE',B..'w:'..ARGV[1],0,-1)) do
        local key=string.sub(m,9)
        local v=redis.call('HGET',B..'m:'..ARGV[1],key)
        if v then table.insert(out,key) table.insert(out,v) end
      end
      return out
      """)

  /// book, key, note, note sealed anew: only if it is still the same.
  static let reseal = RedisScript(
    """
    local m=KEYS[1]..'m:'..ARGV[1]
    if redis.call('HGET',m,ARGV[2])~=ARGV[3] then return 0 end
    redis.call('HSET',m,ARGV[2],ARGV[4])
    return 1
    """)

  /// book, key.
  static let remove = RedisScript(
    common + """

      remove(ARGV[1],ARGV[2])
      settle(ARGV[1])
      return 1
      """)

  /// book.
  static let clear = RedisScript(
    """
    redis.call('DEL',KEYS[1]..'m:'..ARGV[1],KEYS[1]..'w:'..ARGV[1])
    return redis.call('ZREM',KEYS[1]..'y',ARGV[1])
    """)

  /// time, most → how many.
  static let sweep = RedisScript(
    common + """

      local count,most=0,tonumber(ARGV[2])
      for _,b in ipairs(redis.call('ZRANGEBYSCORE',B..'y','-inf',ARGV[1],'LIMIT',0,most)) do
        local old=redis.call('ZRANGEBYSCORE',B..'w:'..b,'-inf',ARGV[1],'LIMIT',0,math.max(0,most-count))
        for _,m in ipairs(old) do remove(b,string.sub(m,9)) end
        count=count+math.max(1,#old)
        settle(b)
      end
      return count
      """)
}
