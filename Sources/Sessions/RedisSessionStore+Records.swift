public import Basics
internal import Redis
internal import Synchronization

// Records: kept until they are taken once. All of one kind are in one slot, so that their number has a bound.
extension RedisSessionStore {
  public func put(_ record: SingleUseRecord) async throws(StoreError) {
    _ = try await put(record, unlessAt: nil)
  }

  public func claim(_ record: SingleUseRecord, now: Timestamp) async throws(StoreError) -> Bool {
    try await put(record, unlessAt: now)
  }

  /// - Parameter time: a record that has not expired then stays, and false is given; nil: it makes room.
  private func put(_ record: SingleUseRecord, unlessAt time: Timestamp?) async throws(StoreError) -> Bool {
    // Entered before the first one is kept: none is ever missed by a sweep.
    if !state.withLock({ $0.kinds.contains(record.kind) }) {
      let name = Array(record.kind.name.utf8)
      _ = try await send([
        RedisCommand("SADD", key: keys.kinds, [name]),
        RedisCommand("PEXPIRE", key: keys.kinds, [noteBackstop]),
      ])
      state.withLock { _ = $0.kinds.insert(record.kind) }
    }
    let place = SealPlace.record(record.kind, record.key, record.owner?.digest, record.expiresAt)
    let life = min(max(record.expiresAt - now, .zero), settings.lifetime) + Self.grace
    let answer = try await run(
      RedisRecordScripts.put, keys.records(record.kind),
      [
        record.key.digest.bytes, RecordWriter.bytes(record.expiresAt), .init(decimal: record.expiresAt),
        record.owner?.digest.bytes ?? [], sealer.seal(record.payload, for: place),
        .init(decimal: life.milliseconds), .init(decimal: settings.maxRecordsPerKind),
        .init(decimal: record.perOwner.map { max(1, $0) } ?? 0), time.map { .init(decimal: $0) } ?? [],
      ])
    return answer.integer == 1
  }

  public func take(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp)
    async throws(StoreError) -> RecordTake
  {
    try await look(RedisRecordScripts.take, kind, key, owner, now)
  }

  public func peek(_ kind: RecordKind, _ key: TicketHash, owner: UserKey?, now: Timestamp)
    async throws(StoreError) -> RecordTake
  {
    try await look(RedisRecordScripts.peek, kind, key, owner, now)
  }

  public func discard(_ kind: RecordKind, owner: UserKey) async throws(StoreError) {
    _ = try await run(RedisRecordScripts.discard, keys.records(kind), [owner.digest.bytes])
  }

  func sweepRecords(_ now: Timestamp) async throws(StoreError) {
    let names = try await send(RedisCommand("SMEMBERS", key: keys.kinds)).array?.compactMap(\.text) ?? []
    var kinds = names.map { RecordKind($0) }
    while !kinds.isEmpty {
      let answers = try await runAll(
        kinds.map { kind in
          RedisScriptCall(
            RedisRecordScripts.sweep, keys: [keys.records(kind)],
            arguments: [.init(decimal: now), .init(decimal: Self.mostAtOnce)])
        })
      kinds = zip(kinds, answers).filter { $1.integer == Int64(Self.mostAtOnce) }.map(\.0)
    }
  }

  private func look(
    _ script: RedisScript, _ kind: RecordKind, _ key: TicketHash, _ owner: UserKey?, _ now: Timestamp
  ) async throws(StoreError) -> RecordTake {
    let answer = try await run(
      script, keys.records(kind), [key.digest.bytes, owner?.digest.bytes ?? [], .init(decimal: now)])
    if answer.integer == 1 { return .foreign }
    guard let bytes = answer.bytes else { return .missing }
    guard let record = RedisRecord(bytes) else { throw .sealed(.malformed) }
    do throws(SealError) {
      return .taken(try sealer.open(record.envelope, for: .record(kind, key, record.owner, record.expiresAt)))
    } catch {
      throw .sealed(error)
    }
  }
}

/// A record as it is kept: its end, its number, whether and whose it is, and what is sealed.
struct RedisRecord {
  let expiresAt: Timestamp
  let owner: Bytes32?
  let envelope: [UInt8]

  init?(_ bytes: [UInt8]) {
    guard bytes.count > 17, let end = RedisSessionStore.number(Array(bytes[..<8])) else { return nil }
    expiresAt = Timestamp(milliseconds: Int64(bitPattern: end))
    let isBound = bytes[16] == 1
    owner = isBound ? Bytes32(Array(bytes.dropFirst(17).prefix(32))) : nil
    if isBound, owner == nil { return nil }
    envelope = Array(bytes.dropFirst(isBound ? 49 : 17))
  }
}

/// What has to happen in one step with the records of one kind. Behind `KEYS[1]`: `r:` a record, `i` all by their end, `o:` an owner's by their
/// end, `q` the number of the last one. Members of the indexes begin with a record's number: of the same end, the first to come goes first.
enum RedisRecordScripts {
  private static let common = """
    local B=KEYS[1]
    local function owner(v)
      if string.byte(v,17)==1 then return string.sub(v,18,49) end
      return ''
    end
    local function drop(m)
      local r=B..'r:'..string.sub(m,9)
      redis.call('ZREM',B..'i',m)
      local v=redis.call('GETRANGE',r,0,48)
      if string.sub(v,9,16)~=string.sub(m,1,8) then return end
      if owner(v)~='' then redis.call('ZREM',B..'o:'..owner(v),m) end
      redis.call('DEL',r)
    end
    local function drop_all(found)
      for _,m in ipairs(found) do drop(m) end
      return #found
    end
    """

  /// key, end, the same as a number, owner or nothing, sealed, ttl, most of the kind, most of the owner or 0, time at which it must not be
  /// there or nothing → 1; 0: it is there.
  static let put = RedisScript(
    common + """

      local r=B..'r:'..ARGV[1]
      local v=redis.call('GETRANGE',r,0,48)
      if ARGV[9]~='' and #v>16 and struct.unpack('>i8',v)>tonumber(ARGV[9]) then return 0 end
      if #v>16 then drop(string.sub(v,9,16)..ARGV[1]) end
      local most=tonumber(ARGV[7])
      if redis.call('ZCARD',B..'i')>=most then
        drop_all(redis.call('ZRANGE',B..'i',0,math.min(1000,math.max(1,math.floor(most/16)))-1))
      end
      local o=B..'o:'..ARGV[4]
      local bound=''
      if ARGV[4]~='' then
        bound='\\1'..ARGV[4]
        local over=redis.call('ZCARD',o)+1-tonumber(ARGV[8])
        if ARGV[8]~='0' and over>0 then
          for _,m in ipairs(redis.call('ZRANGE',o,0,over-1)) do
            redis.call('ZREM',o,m)
            drop(m)
          end
        end
      else
        bound='\\0'
      end
      local number=struct.pack('>I8',redis.call('INCR',B..'q'))
      redis.call('SET',r,ARGV[2]..number..bound..ARGV[5],'PX',ARGV[6])
      redis.call('ZADD',B..'i',ARGV[3],number..ARGV[1])
      for _,k in ipairs({B..'i',B..'q'}) do
        if redis.call('PTTL',k)<tonumber(ARGV[6]) then redis.call('PEXPIRE',k,ARGV[6]) end
      end
      if ARGV[4]~='' then
        redis.call('ZADD',o,ARGV[3],number..ARGV[1])
        if redis.call('PTTL',o)<tonumber(ARGV[6]) then redis.call('PEXPIRE',o,ARGV[6]) end
      end
      return 1
      """)

  /// key, owner or nothing, now → the record; 0: there is none, 1: it is somebody else's.
  private static let find = """

    local v=redis.call('GET',B..'r:'..ARGV[1])
    if not v or #v<17 then return 0 end
    local is_over=struct.unpack('>i8',v)<=tonumber(ARGV[3])
    if not is_over and owner(v)~='' and owner(v)~=ARGV[2] then return 1 end
    """

  static let peek = RedisScript(
    common + find + """

      if is_over then return 0 end
      return v
      """)

  static let take = RedisScript(
    common + find + """

      drop(string.sub(v,9,16)..ARGV[1])
      if is_over then return 0 end
      return v
      """)

  /// key, record, record sealed anew: only if it is still the same.
  static let reseal = RedisScript(
    """
    local r=KEYS[1]..'r:'..ARGV[1]
    if redis.call('GET',r)~=ARGV[2] then return 0 end
    redis.call('SET',r,ARGV[3],'KEEPTTL')
    return 1
    """)

  /// owner.
  static let discard = RedisScript(
    common + """

      local o=B..'o:'..ARGV[1]
      local count=drop_all(redis.call('ZRANGE',o,0,-1))
      redis.call('DEL',o)
      return count
      """)

  /// now, most → how many.
  static let sweep = RedisScript(
    common + """

      return drop_all(redis.call('ZRANGEBYSCORE',B..'i','-inf',ARGV[1],'LIMIT',0,ARGV[2]))
      """)
}
