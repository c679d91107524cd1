internal import Basics
internal import Configuration
internal import Reactor
internal import Redis
internal import Sessions

/// What the configuration says about Redis, for those who use it.
enum RedisParts {
  /// Nil: connections are plain.
  static func tls(_ redis: Configuration.Session.Store.Redis) throws(ReactorError) -> TLSClientContext? {
    guard redis.tls else { return nil }
    var identity: TLSIdentityFiles?
    if let certificate = redis.certificateFile, let key = redis.privateKeyFile {
      identity = TLSIdentityFiles(certificateFile: certificate, privateKeyFile: key)
    }
    return try TLSClientContext(caFile: redis.caFile, identity: identity)
  }

  static func client(
    _ redis: Configuration.Session.Store.Redis, _ passwords: StorePasswords, _ tls: TLSClientContext?
  ) -> RedisSettings {
    let mode: RedisSettings.Mode =
      switch redis.mode {
      case .single: .single
      case .sentinel:
        .sentinel(
          master: redis.master ?? "", username: redis.sentinelUsername, password: passwords.sentinelPassword)
      case .cluster: .cluster
      }
    var settings = RedisSettings(
      mode: mode, nodes: redis.nodes.map { RedisEndpoint(host: $0.host, port: $0.port) })
    settings.tls = tls
    settings.username = redis.username
    settings.password = passwords.password
    settings.database = redis.database
    settings.connectTimeout = redis.connectTimeout
    settings.commandTimeout = redis.commandTimeout
    settings.connections = redis.connections
    return settings
  }

  static func store(_ configuration: Configuration.Session) -> RedisStoreSettings {
    RedisStoreSettings(
      prefix: configuration.store.redis?.keyPrefix ?? "", lifetime: configuration.absoluteTimeout,
      isSpread: configuration.store.redis?.mode == .cluster)
  }
}

extension Gateway {
  /// Waits for Redis a little: it may be starting as well.
  func openRedis(_ redis: Configuration.Session.Store.Redis, _ tls: TLSClientContext?, _ sealer: Sealer)
    async throws(StartError) -> RedisSessionStore
  {
    let passwords: StorePasswords
    do { passwords = try configuration.readStorePasswords() } catch {
      throw StartError(description: "\(error)")
    }
    let client = RedisClient(
      settings: RedisParts.client(redis, passwords, tls), loop: controlLoop, blocking: blocking)
    let end = ContinuousClock.now + redis.connectTimeout * 4
    while true {
      do throws(StoreError) {
        return try await RedisSessionStore.open(
          client: client, settings: RedisParts.store(configuration.session), sealer: sealer)
      } catch {
        if case .unavailable = error, ContinuousClock.now < end {
          try? await controlLoop.sleep(for: .milliseconds(200))
          continue
        }
        await client.close()
        throw StartError(redis, error)
      }
    }
  }
}

extension Gateway.StartError {
  fileprivate init(_ redis: Configuration.Session.Store.Redis, _ error: StoreError) {
    switch error {
    case .sealed(let problem):
      self.init(
        description: """
          session.encryption_key_files: no key opens the sessions in Redis under \(redis.keyPrefix): \(problem); give every proxy \
          the same files, or choose another session.store.redis.key_prefix
          """)
    case .unavailable(let detail):
      let nodes = redis.nodes.map(\.description).joined(separator: ", ")
      self.init(description: "session.store.redis \(nodes): \(detail)", isConfiguration: false)
    default: self.init(description: "session.store.redis: \(error)")
    }
  }
}

extension OnlineCheck {
  func store(_ redis: Configuration.Session.Store.Redis, _ loop: EventLoop, _ blocking: BlockingPool) async
    -> [Finding]
  {
    let subject = "session.store.redis"
    let nodes = redis.nodes.map(\.description).joined(separator: ", ")
    let settings: RedisSettings
    let sealer: Sealer
    do {
      settings = RedisParts.client(
        redis, try configuration.readStorePasswords(), try RedisParts.tls(redis))
      sealer = Sealer(try KeyRing(files: configuration.session.encryptionKeyFiles))
    } catch {
      return [Finding(level: .error, subject: subject, text: "\(error)")]
    }
    let client = RedisClient(settings: settings, loop: loop, blocking: blocking)
    var findings: [Finding] = []
    do throws(StoreError) {
      let found = try await RedisSessionStore.look(
        client: client, settings: RedisParts.store(configuration.session), sealer: sealer)
      findings.append(
        Finding(
          level: .ok, subject: subject,
          text:
            "\(nodes) answers, \(found.isThere ? "the keys open what is there" : "nothing is kept there yet")"
        ))
      if let eviction = found.eviction, eviction != "noeviction" {
        findings.append(
          Finding(
            level: .warning, subject: subject,
            text:
              "maxmemory-policy is \(eviction): when memory is short, people are signed out; set noeviction"))
      }
    } catch {
      findings.append(Finding(level: .error, subject: subject, text: "\(nodes): \(error)"))
    }
    await client.close()
    return findings
  }
}
