public import Basics
public import Redis
internal import Synchronization

/// How a ``RedisSessionStore`` uses its servers.
public struct RedisStoreSettings: Sendable {
  /// What every key and channel begins with, without braces.
  public var prefix: String
  /// How long a session lives at the longest. Everything that is kept about one goes by itself some time after that, should
  /// nobody sweep.
  public var lifetime: Duration
  /// Records of one kind that are kept.
  public var maxRecordsPerKind: Int
  /// Whether the keys are spread over several servers: ``RedisSessionStore/ping()`` then writes on each.
  public var isSpread: Bool
  /// The time that leases run by; nil: the servers' own.
  public var clock: WallClock?

  /// Settings.
  public init(
    prefix: String = "coatcheck:", lifetime: Duration = .seconds(7 * 86_400), maxRecordsPerKind: Int = 50_000,
    isSpread: Bool = false, clock: WallClock? = nil
  ) {
    self.prefix = prefix
    self.lifetime = lifetime
    self.maxRecordsPerKind = max(1, maxRecordsPerKind)
    self.isSpread = isSpread
    self.clock = clock
  }
}

/// Sessions, records and notes in Redis or Valkey, sealed, for any number of processes at a time.
///
/// Readable there: hashes, times, generations, fences, sizes. Everything else is sealed and bound to its row, as in
/// ``SQLiteSessionStore``. Every change of one session is one script, so it happens as a whole or not at all; a new session and the end
/// of the one before it are two, in this order, since they may be on two servers. Nothing is sent twice by itself: what fails as
/// ``StoreError/unavailable(_:)`` may have happened, and may be asked for again.
public final class RedisSessionStore: SessionStore {
  struct State {
    var isClosed = false
    /// Kinds of records that this process has entered in the list of kinds.
    var kinds: Set<RecordKind> = []
    var listener: (@Sendable (StoreNotice) -> Void)?
    var isSubscribed = false
    /// Whether notices may be lost at the moment.
    var isDeaf = false
    var walk = RedisWalk()
  }

  let client: RedisClient
  let settings: RedisStoreSettings
  let sealer: Sealer
  let keys: RedisKeys
  /// Whose notices are not ours to hear.
  let sender = LeaseHolder.make().id
  let state = Mutex(State())

  public var isShared: Bool { true }

  /// Makes the store in Redis where there is none, brings one of an older layout up to date, and checks that the keys open it.
  /// - Throws: ``StoreError/sealed(_:)`` when no key of the sealer opens it, ``StoreError/corrupt(_:)`` when its layout is not known
  ///   here, ``StoreError/unavailable(_:)``.
  public static func open(client: RedisClient, settings: RedisStoreSettings, sealer: Sealer)
    async throws(StoreError) -> RedisSessionStore
  {
    try await open(client: client, settings: settings, sealer: sealer, layout: .current)
  }

  static func open(client: RedisClient, settings: RedisStoreSettings, sealer: Sealer, layout: RedisLayout)
    async throws(StoreError) -> RedisSessionStore
  {
    let store = RedisSessionStore(client: client, settings: settings, sealer: sealer)
    try await store.prepare(layout)
    return store
  }

  init(client: RedisClient, settings: RedisStoreSettings, sealer: Sealer) {
    self.client = client
    self.settings = settings
    self.sealer = sealer
    keys = RedisKeys(prefix: settings.prefix)
  }

  public func load(_ hash: TicketHash) async throws(StoreError) -> Session? {
    guard let bytes = try await send(RedisCommand("GET", key: keys.session(hash))).bytes else { return nil }
    do throws(SealError) {
      let row = try RedisRow(bytes)
      let record = try sealer.open(row.envelope, for: .session(hash))
      if !sealer.isCurrent(row.envelope) { await reseal(record, row, hash) }
      return try Self.session(row, hash, record)
    } catch {
      throw .sealed(error)
    }
  }

  static func session(_ row: RedisRow, _ hash: TicketHash, _ record: [UInt8]) throws(SealError) -> Session {
    var session = try Session(record: record, hash: hash, lastSeenAt: row.seenAt)
    // What is replaced by its number would be another version.
    guard row.generation == session.generation else { throw .notAuthentic }
    // A sweep may have taken the row's time back; the sealed record stays as it was.
    session.began(noLaterThan: row.createdAt)
    return session
  }

  /// The key has changed since: seals again while it is at hand, so that the old key can be retired. What fails is done at the next load.
  private func reseal(_ record: [UInt8], _ row: RedisRow, _ hash: TicketHash) async {
    let envelope = sealer.seal(record, for: .session(hash))
    // Its head has a nonce, which no other envelope has.
    let head = Array(row.envelope.prefix(Sealer.overhead))
    _ = try? await run(RedisScripts.reseal, keys.base(hash.digest), [hash.digest.bytes, head, envelope])
  }

  public func insert(_ session: Session, removing old: TicketHash?, aliasUntil: Timestamp?)
    async throws(StoreError)
  {
    try await enter(session)
    let row = RedisRow(session, envelope: sealer.seal(session.record(), for: .session(session.hash)))
    let answer = try await run(
      RedisScripts.insert, keys.base(session.hash.digest),
      [
        session.hash.digest.bytes, row.bytes, .init(decimal: row.seenAt), .init(decimal: row.createdAt),
        backstop,
      ])
    if let current = answer.bytes.flatMap(Self.number) {
      // Nobody else makes this hash: it was put there by a try whose answer was lost, and its second step may be missing.
      if current == session.generation, let old {
        try await retire(old, for: session.hash, aliasUntil: aliasUntil)
      }
      throw .conflict(current: current)
    }
    // Who looked through the index between the two has taken out what was not there yet.
    try await enter(session)
    if let old { try await retire(old, for: session.hash, aliasUntil: aliasUntil) }
  }

  /// Enters a session in the indexes of its user and of the provider's session.
  private func enter(_ session: Session) async throws(StoreError) {
    var commands: [RedisCommand] = []
    var indexes = [keys.sessions(ofUser: session.user.digest)]
    if let sid = session.sidDigest { indexes.append(keys.sessions(ofSID: sid)) }
    let outlived = session.createdAt - settings.lifetime - Self.grace
    for index in indexes {
      commands += [
        RedisCommand("ZADD", key: index, [.init(decimal: session.createdAt), session.hash.digest.bytes]),
        RedisCommand("ZREMRANGEBYSCORE", key: index, [Array("-inf".utf8), .init(decimal: outlived)]),
        RedisCommand("PEXPIRE", key: index, [backstop]),
      ]
    }
    _ = try await send(commands)
  }

  public func save(_ session: Session, replacing generation: UInt64, under lease: SessionLease?)
    async throws(StoreError)
  {
    let hash = session.hash
    let answer = try await run(
      RedisScripts.save, keys.base(hash.digest),
      [
        hash.digest.bytes, RecordWriter.bytes(generation), RecordWriter.bytes(session.generation),
        .init(decimal: session.lastSeenAt), sealer.seal(session.record(), for: .session(hash)),
        lease.map { RecordWriter.bytes($0.fence) } ?? [], backstop,
      ] + notice(.saved(hash, generation: session.generation)))
    if let current = answer.bytes { throw .conflict(current: Self.number(current)) }
    switch answer.integer {
    case 1: return
    case 2: throw .fenced
    default: throw .conflict(current: nil)
    }
  }

  public func delete(_ hash: TicketHash) async throws(StoreError) {
    _ = try await delete([hash], tellsAnyhow: true)
  }

  /// Removes sessions, and says which were there.
  /// - Parameter tellsAnyhow: also of one that is not there: another process may put it back that has it in memory.
  func delete(_ hashes: [TicketHash], tellsAnyhow: Bool = false) async throws(StoreError) -> [TicketHash] {
    let calls = hashes.map { hash in
      RedisScriptCall(
        RedisScripts.delete, keys: [keys.base(hash.digest)],
        arguments: [hash.digest.bytes] + notice(.ended(hash)) + [tellsAnyhow ? [1] : []])
    }
    return zip(hashes, try await runAll(calls)).filter { $1.integer == 1 }.map(\.0)
  }

  public func touch(_ uses: [TicketHash: Timestamp]) async throws(StoreError) {
    let calls = Dictionary(grouping: uses) { RedisKeys.shard($0.key.digest) }.map { shard, uses in
      RedisScriptCall(
        RedisScripts.touch, keys: [keys.bases[shard]],
        arguments: uses.flatMap { [$0.key.digest.bytes, .init(decimal: $0.value)] })
    }
    _ = try await runAll(calls)
  }

  public func count() async throws(StoreError) -> Int {
    let sizes = try await send(
      (0..<RedisKeys.shards).map { RedisCommand("ZCARD", key: keys.bySeen($0)) })
    return sizes.reduce(0) { $0 + Int($1.integer ?? 0) }
  }

  public func ping() async throws(StoreError) {
    // A write: a replica, and a server without room, still read well.
    let shards = settings.isSpread ? Array(0..<RedisKeys.shards) : [0]
    let minute = [Array("1".utf8), Array("PX".utf8), Array("60000".utf8)]
    _ = try await send(
      [RedisCommand("PEXPIRE", key: keys.meta, [noteBackstop])]
        + shards.map { RedisCommand("SET", key: keys.ping($0), minute) })
  }

  public func close() async {
    state.withLock {
      $0.isClosed = true
      $0.listener = nil
    }
    await client.close()
  }
}
