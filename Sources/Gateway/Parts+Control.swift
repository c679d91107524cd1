internal import Basics
internal import Configuration
internal import Consent
internal import Glibc
internal import Logging
internal import OAuth
internal import Reactor
internal import Sessions
internal import Wire

/// Building the control plane: provider, store, session authority.
extension Gateway {
  /// Cores this process may use.
  static var processorCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  func makeControl(
    log: EventLog, homes: LoopDirectory, routes: RouteTable, cookies: CookieJar,
    providers: ProviderDirectory, store: any SessionStore, sealer: Sealer, tls: TLSParts
  ) -> ControlPlane {
    let counters = Locked(ControlMetrics())
    let refresher = ProviderRefreshers(
      providers: providers,
      refreshers: providers.all.map { one in
        ProviderRefresher(
          provider: one.provider, slots: one.slots, clientID: one.provider.settings.clientID,
          label: providers.label(one), log: log,
          count: { outcome in counters.withLock { $0.count(outcome) } },
          readFile: readFile, clock: Timestamp.now)
      })
    let policy = SessionPolicy(
      idleTimeout: configuration.session.idleTimeout, absoluteTimeout: configuration.session.absoluteTimeout,
      outageGrace: configuration.session.store.outageGrace)
    let loop = controlLoop
    // Made of the authority, which tells it: filled below, before the authority listens.
    let told = Locked<ControlPlane?>(nil)
    let events = SessionEvents(
      changed: { change in
        switch change {
        case .updated(let session):
          if let snapshot = providers.snapshot(of: session) { homes.changed(snapshot) }
        case .replaced(let old, let new): homes.replaced(old, by: new.hash)
        case .moved(let old, let new): homes.replaced(old, by: new)
        case .ended(let hash, let reason):
          homes.ended(hash)
          counters.withLock { $0.sessionEnds[reason, default: 0] += 1 }
          log.sessionOver(hash, reason)
        case .stale(let hash): homes.stale(hash)
        case .allStale: homes.allStale()
        case .allEnded: homes.allEnded()
        }
      },
      storeFailed: { error in
        counters.withLock { $0.storeErrors += 1 }
        log.storeFailed("\(error)")
      },
      orphaned: { token, session in
        guard let home = providers.of(session) else { return }
        loop.spawn { _ = try? await home.provider.revoke(token, hint: "refresh_token") }
      },
      storeReachable: { isReachable in
        log.storeReachable(isReachable)
        homes.storeReachable(isReachable)
      },
      told: { notice in
        guard let control = told.withLock({ $0 }) else { return }
        loop.spawn { await control.told(notice) }
      })
    let authority = SessionAuthority(
      executor: controlLoop, store: store, refresher: refresher, policy: policy,
      schedule: TokenSchedule(refreshBefore: configuration.tokens.refreshBeforeExpiry),
      sleep: { try await loop.sleep(for: $0) }, events: events)
    let control = ControlPlane(
      loop: controlLoop,
      policy: ControlPlane.Policy(
        idleTimeout: policy.idleTimeout, absoluteTimeout: policy.absoluteTimeout,
        touchInterval: policy.touchInterval,
        revokesOnLogout: configuration.tokens.revokeOnLogout,
        linkLifetime: configuration.consent.linkLifetime,
        keptCallsPerUser: configuration.consent.keptCalls, publicURL: configuration.publicURL.origin,
        signInsPerMinute: configuration.limits.signInsPerAddress),
      routes: routes, cookies: cookies, log: log, providers: providers, authority: authority,
      store: store, rounds: ConsentRounds(maxRounds: configuration.consent.maxRounds),
      line: ReplicaLine(store: store, sealer: sealer, clock: Timestamp.now),
      desk: ConsentDesk(lifetime: configuration.consent.linkLifetime),
      toolScopes: ToolScopes(configuration.consent.toolScopes, routes: routes.all.map(\.path)),
      counters: counters, homes: homes, logLinesDropped: { [sink] in sink.dropped },
      certificates: { tls.facts }, clock: Timestamp.now)
    told.withLock { $0 = control }
    return control
  }

  /// Reads a small file on a thread that may block.
  var readFile: @Sendable (String) async throws -> [UInt8] {
    let blocking = blocking
    return { path in try await blocking.run { try FileReader.read(path, limit: WorkloadIdentity.maxBytes) } }
  }

  /// Opens the store; makes the sealing key at the first start. The same key seals what clients are given to bring back; without a
  /// store on disk that is good for this run only.
  func openStore(_ tls: TLSParts) async throws(StartError) -> (any SessionStore, Sealer) {
    let configured = configuration.session.store
    if let redis = configured.redis {
      let sealer = try makeSealer(ownKeyFile: "", databaseExists: true)
      return (try await openRedis(redis, tls.store, sealer), sealer)
    }
    guard let path = configured.file(environment: environment),
      let keyFile = configured.keyFile(environment: environment)
    else { return (MemorySessionStore(), Sealer(current: SealingKey.make())) }
    let sealer = try makeSealer(ownKeyFile: keyFile, databaseExists: unsafe access(path, F_OK) == 0)
    do {
      let store = try await SQLiteSessionStore.open(path: path, sealer: sealer)
      if let version = store.oldVersion {
        logger.notice(
          "the session database was brought up to date: older programs cannot use it any more",
          metadata: [
            "file": .string(path), "from": .string(String(version)),
            "to": .string(String(SQLiteSessionStore.version)),
          ])
      }
      return (store, sealer)
    } catch {
      throw StartError(description: "session.store.path \(path): \(error)")
    }
  }

  private func makeSealer(ownKeyFile: String, databaseExists: Bool) throws(StartError) -> Sealer {
    var files = configuration.session.encryptionKeyFiles
    if files.isEmpty {
      files = [ownKeyFile]
      if unsafe access(ownKeyFile, F_OK) != 0 {
        if databaseExists {
          throw StartError(
            description:
              "the sealing key \(ownKeyFile) is missing: put it back, or remove the session database to sign everybody out"
          )
        }
        do { try SealingKey.make().write(newFile: ownKeyFile) } catch {
          throw StartError(description: "session.encryption_key_files: \(error)")
        }
        logger.notice(
          "made a new sealing key: keep it, sessions cannot be read without it",
          metadata: ["file": .string(ownKeyFile)])
      }
    }
    do { return Sealer(try KeyRing(files: files)) } catch {
      throw StartError(description: "session.encryption_key_files: \(error)")
    }
  }
}
