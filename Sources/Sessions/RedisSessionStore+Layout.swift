public import Basics
public import Redis

/// Versions of what is kept in Redis. A store may be used by programs of two releases at a time while they are replaced one by one.
struct RedisLayout: Sendable {
  /// What leads from one version to the next. Several processes may take a step at the same time, so it must not matter how often it is
  /// taken, nor that others read and write meanwhile. A step that was released is never changed again.
  struct Step: Sendable {
    /// The lowest version that a program must know to use the store from then on.
    let oldest: Int
    let take: @Sendable (RedisSessionStore) async throws(StoreError) -> Void
  }

  /// From version 1 on.
  let steps: [Step]

  /// The version that the steps lead to.
  var version: Int { steps.count + 1 }
  var oldest: Int { steps.last?.oldest ?? 1 }

  static let current = RedisLayout(steps: [])
}

extension RedisSessionStore {
  func prepare(_ layout: RedisLayout) async throws(StoreError) {
    // Whoever may not do this would be refused in the middle of every change. It is no notice, and heard by nobody.
    _ = try await send(RedisCommand("PUBLISH", [keys.channel, []]))
    let check = sealer.seal(Self.checkText, for: .keyCheck)
    // Several may start at the same time: one makes it, and all go on with what it made.
    let found = try await run(
      Self.make, keys.meta,
      [.init(decimal: layout.version), .init(decimal: layout.oldest), check, noteBackstop])
    let (version, stored) = try Self.judge(found, layout, prefix: settings.prefix)
    try await checkKey(stored, sealer)
    for version in version..<max(version, layout.version) {
      let step = layout.steps[version - 1]
      try await step.take(self)
      _ = try await run(
        Self.advance, keys.meta,
        [.init(decimal: version), .init(decimal: version + 1), .init(decimal: step.oldest)])
    }
  }

  public func identity() async throws(StoreError) -> Bytes32 {
    try await prepare(.current)
    let found = try await run(Self.name, keys.meta, [sender.bytes]).bytes.flatMap { Bytes32($0) }
    guard let found else { throw .corrupt("the keys under \(settings.prefix) are those of something else") }
    return found
  }

  /// Looks whether a store could be opened, and changes nothing.
  /// - Returns: whether there are sessions of ours already, and how Redis makes room when it has none left: all that is not
  ///   `noeviction` ends sessions.
  /// - Throws: as ``open(client:settings:sealer:)`` does.
  public static func look(client: RedisClient, settings: RedisStoreSettings, sealer: Sealer)
    async throws(StoreError) -> (isThere: Bool, eviction: String?)
  {
    let store = RedisSessionStore(client: client, settings: settings, sealer: sealer)
    let fields = ["version", "oldest", "key-check"].map { Array($0.utf8) }
    let found = try await store.send(RedisCommand("HMGET", key: store.keys.meta, fields))
    let isThere = found.array?.contains { $0 != .null } ?? true
    if isThere {
      let (_, stored) = try judge(found, .current, prefix: settings.prefix)
      do { _ = try sealer.open(stored, for: .keyCheck) } catch { throw .sealed(error) }
    }
    // Not everybody may ask for it.
    let info = try? await store.send(RedisCommand("INFO", [Array("memory".utf8)])).text
    let line = info?.split(whereSeparator: \.isNewline).first { $0.hasPrefix("maxmemory_policy:") }
    return (isThere, line.map { String($0.drop { $0 != ":" }.dropFirst()) })
  }

  /// Version and check of the keys of what is there, if this program may use it.
  private static func judge(_ found: RedisValue, _ layout: RedisLayout, prefix: String) throws(StoreError)
    -> (version: Int, check: [UInt8])
  {
    guard let fields = found.array, fields.count == 3, let version = fields[0].text.flatMap({ Int($0) }),
      let oldest = fields[1].text.flatMap({ Int($0) }), version > 0, let check = fields[2].bytes
    else { throw .corrupt("the keys under \(prefix) are those of something else") }
    guard oldest <= layout.version else { throw .newer(found: version, known: layout.version) }
    return (version, check)
  }

  /// A known value tells whether the keys fit. It is sealed again under the current key, so that a key that is in use cannot be left
  /// out unnoticed.
  func checkKey(_ stored: [UInt8], _ sealer: Sealer) async throws(StoreError) {
    do { _ = try sealer.open(stored, for: .keyCheck) } catch { throw .sealed(error) }
    guard !sealer.isCurrent(stored) else { return }
    let anew = sealer.seal(Self.checkText, for: .keyCheck)
    _ = try await run(Self.exchange, keys.meta, [Self.checkField, stored, anew])
  }

  static let checkField = Array("key-check".utf8)
  private static let checkText = Array("coatcheck".utf8)

  /// version, oldest, sealed check, ttl → the three as they are.
  private static let make = RedisScript(
    """
    local M=KEYS[1]
    if redis.call('EXISTS',M)==0 then
      redis.call('HSET',M,'version',ARGV[1],'oldest',ARGV[2],'key-check',ARGV[3])
    end
    redis.call('PEXPIRE',M,ARGV[4])
    return redis.call('HMGET',M,'version','oldest','key-check')
    """)

  /// A name, any that no other has → the name that the store was given first.
  private static let name = RedisScript(
    """
    redis.call('HSETNX',KEYS[1],'id',ARGV[1])
    return redis.call('HGET',KEYS[1],'id')
    """)

  /// field, value, new value.
  private static let exchange = RedisScript(
    """
    if redis.call('HGET',KEYS[1],ARGV[1])~=ARGV[2] then return 0 end
    redis.call('HSET',KEYS[1],ARGV[1],ARGV[3])
    return 1
    """)

  /// version, next version, its oldest.
  private static let advance = RedisScript(
    """
    if redis.call('HGET',KEYS[1],'version')~=ARGV[1] then return 0 end
    redis.call('HSET',KEYS[1],'version',ARGV[2],'oldest',ARGV[3])
    return 1
    """)
}
