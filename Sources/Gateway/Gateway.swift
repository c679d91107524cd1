internal import Basics
public import Configuration
internal import Consent
internal import HTTP
public import Logging
internal import OAuth
internal import Reactor
internal import Sessions
internal import Wire

/// The whole proxy: builds its parts from a configuration, starts them, and stops them without losing what is under way.
///
/// Owner: the program's main task. Life: `init`, `start`, then `stop` once.
public final class Gateway: Sendable {
  /// What must be there before the first request: reported in one line, and the program ends.
  public struct StartError: Error, CustomStringConvertible {
    /// Whether the configuration has to be changed; otherwise something outside is in the way.
    public let isConfiguration: Bool
    public let description: String

    init(description: String, isConfiguration: Bool = true) {
      self.description = description
      self.isConfiguration = isConfiguration
    }
  }

  private struct Running {
    var loops: [EventLoop] = []
    var data: [LoopBound<DataLoop>] = []
    var admin: LoopBound<AdminEndpoint>?
    var maintenance: Task<Void, Never>?
    var watch: Task<Void, Never>?
  }

  let configuration: Configuration
  let logger: Logger
  let sink: LogSink
  let blocking = BlockingPool()
  let controlLoop = EventLoop(name: "control")
  private let running = Locked(Running())
  let environment: [String: String]
  /// Where the configuration came from: it names the sealing keys, which may change.
  let configurationFile: String?

  /// - Parameters:
  ///   - environment: for `STATE_DIRECTORY` and secrets that are given by name.
  ///   - configurationFile: read again for the names of the sealing keys; nil: they stay the same.
  public init(
    configuration: Configuration, environment: [String: String], logger: Logger, sink: LogSink,
    configurationFile: String? = nil
  ) {
    self.configuration = configuration
    self.configurationFile = configurationFile
    self.environment = environment
    self.logger = logger
    self.sink = sink
  }

  /// Opens the store, binds the addresses and begins to serve.
  ///
  /// - Throws: `StartError` with what happened, where, and what to do.
  public func start() async throws(StartError) {
    raiseDescriptorLimit()
    controlLoop.start()
    let parts = try await assemble()
    await parts.control.authority.start()
    let count = configuration.workers ?? max(1, Self.processorCount)
    for index in 0..<count {
      let loop = EventLoop(name: "data-\(index)")
      loop.start()
      running.withLock { $0.loops.append(loop) }
      let bound = try await onLoop(loop) { () throws(StartError) in try self.makeDataLoop(loop, parts) }
      running.withLock { $0.data.append(bound) }
    }
    if let admin = configuration.admin { try await startAdmin(admin, parts) }
    let authority = parts.control.authority
    let desk = parts.control.desk
    let maintenance = Task { [controlLoop, blocking] in
      var watch = HeapWatch()
      while !Task.isCancelled {
        try? await controlLoop.sleep(for: .seconds(15))
        if Task.isCancelled { return }
        await authority.maintain()
        await parts.control.storeMCPSessions()
        desk.sweep(now: Timestamp.now())
        let open = await parts.homes.metrics(routeCount: parts.shared.routes.all.count).openConnections
        if watch.shouldRelease(open: open) { try? await blocking.run { ProcessMemory.releaseFree() } }
      }
    }
    let watch = watchFiles(parts)
    running.withLock { ($0.maintenance, $0.watch) = (maintenance, watch) }
    logger.notice(
      "ready",
      metadata: [
        "listen": .string(configuration.listen.description),
        "public_url": .string(configuration.publicURL.origin),
        "routes": .string(configuration.routes.map(\.path).joined(separator: " ")),
        "loops": .string(String(count)),
      ])
    // Asked early, so that the first person does not wait for it; a failure is told in the log and tried again when needed.
    controlLoop.spawn { [blocking] in
      await parts.control.warmUp()
      // Beside the loops, which serve already.
      try? await blocking.run { ProcessMemory.releaseStart() }
    }
    await parts.keyRingWatch?.start()
    stopParts.withLock { $0 = parts }
  }

  /// A client connection may need one to an upstream, and the rest of the process a few.
  private func raiseDescriptorLimit() {
    let limit = DescriptorLimit.raise()
    let configured = configuration.limits
    let upstream = configuration.routes.reduce(0) {
      $0 + ($1.maxConnections ?? configured.upstreamConnections)
    }
    let needed = configured.connections + min(configured.connections, upstream) + 64
    guard limit < needed else { return }
    logger.warning(
      "too few descriptors for limits.connections: raise the process's limit, or lower the key",
      metadata: ["descriptors": .string(String(limit)), "needed": .string(String(needed))])
  }

  /// Stops accepting, lets what is under way finish within `timeouts.drain`, and closes the store.
  public func stop() async {
    logger.notice("stopping")
    let (data, loops, admin, tasks) = running.withLock {
      ($0.data, $0.loops, $0.admin, [$0.maintenance, $0.watch].compactMap { $0 })
    }
    for task in tasks { task.cancel() }
    await stopParts.withLock { $0 }?.control.stopping()
    await withTaskGroup(of: Void.self) { group in
      for bound in data {
        group.addTask { await Gateway.drain(bound, grace: self.configuration.timeouts.drain) }
      }
    }
    if let admin { await onLoopQuietly(admin.loop) { admin.value.stop() } }
    for task in tasks { await task.value }
    if let parts = stopParts.withLock({ $0 }) {
      await parts.keyRingWatch?.stop()
      await parts.control.authority.shutdown()
      await parts.control.store.close()
    }
    for loop in loops { await loop.stop() }
    await controlLoop.stop()
    logger.notice("stopped")
  }

  private let stopParts = Locked<Parts?>(nil)

  // MARK: Certificates and keys

  /// Reads certificates, their keys, authorities and the sealing keys again; connections go on with those they began with, and
  /// sessions stay. Before `start` is through nothing happens: it reads them itself.
  public func reload() async {
    guard let parts = stopParts.withLock({ $0 }) else { return }
    await parts.certificateWatch.reload()
    await parts.keyRingWatch?.reload()
  }

  private func watchFiles(_ parts: Parts) -> Task<Void, Never>? {
    let interval = configuration.certificateInterval
    guard interval > .zero else { return nil }
    return Task { [controlLoop] in
      while !Task.isCancelled {
        try? await controlLoop.sleep(for: interval)
        if Task.isCancelled { return }
        await parts.certificateWatch.look()
        await parts.keyRingWatch?.look()
      }
    }
  }

  // MARK: Data loops

  private func makeDataLoop(_ loop: EventLoop, _ parts: Parts) throws(StartError) -> LoopBound<DataLoop> {
    let connector = Connector(loop: loop, blocking: blocking)
    let share = max(1, configuration.workers ?? Self.processorCount)
    let pools = parts.shared.routes.all.map { route in
      UpstreamPool(loop: loop, settings: parts.upstreamSettings(route, share: share), connector: connector)
    }
    let isLogged = logger.logLevel <= .info
    let accessLog = AccessLog(sink: sink, format: parts.logFormat, isOn: isLogged)
    let data = DataLoop(loop: loop, shared: parts.shared, pools: pools, accessLog: accessLog)
    let bound = LoopBound(data, on: loop)
    parts.homes.add(bound)
    let server = makeServer(data, parts)
    data.server = server
    let address = SocketAddress(bytes: configuration.listen.bytes, port: configuration.listen.port)
    do { try server.listen(on: address) } catch {
      throw StartError(description: "listen: \(error)", isConfiguration: false)
    }
    data.start()
    return bound
  }

  private func makeServer(_ data: DataLoop, _ parts: Parts) -> HTTPServer {
    let trusted = parts.shared.trustedProxies
    let isTLS = parts.tls.front != nil
    let clients = parts.clients
    return HTTPServer(
      loop: data.loop, handler: data, tls: parts.tls.front, limits: parts.serverLimits,
      timeouts: parts.serverTimeouts,
      allowPeer: { [unowned data] peer in
        switch PeerKind(peer, isTLS: isTLS, trusted: trusted) {
        case .trustedProxy, .local: return true
        // Without TLS only this machine and the proxies in front are listened to.
        case .client where !isTLS: return false
        case .client:
          if clients.admits(ClientNetwork(peer)) { return true }
          data.metrics.refusals.count(.connectionsPerAddress)
          return false
        }
      },
      peerLeft: { peer in
        if case .client = PeerKind(peer, isTLS: isTLS, trusted: trusted) { clients.left(ClientNetwork(peer)) }
      })
  }

  private static func drain(_ bound: LoopBound<DataLoop>, grace: Duration) async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      bound.loop.execute {
        let data = bound.value
        guard let server = data.server else { return continuation.resume() }
        server.onDrained = {
          data.stop()
          continuation.resume()
        }
        // Nobody may consent in time, and nothing is under way for them.
        data.endHolds(with: .stopping)
        server.drain(grace: grace)
      }
    }
  }

  private func startAdmin(_ admin: Configuration.Admin, _ parts: Parts) async throws(StartError) {
    let token: Secret?
    do throws(ConfigurationError) { token = try configuration.readAdminToken() } catch {
      throw StartError(description: error.description)
    }
    let endpoint = try await onLoop(controlLoop) { () throws(StartError) in
      let endpoint = AdminEndpoint(loop: self.controlLoop, control: parts.control, token: token)
      let server = HTTPServer(loop: self.controlLoop, handler: endpoint, limits: AdminEndpoint.limits)
      endpoint.server = server
      let address = SocketAddress(bytes: admin.listen.bytes, port: admin.listen.port)
      do { try server.listen(on: address) } catch {
        throw StartError(description: "admin.listen: \(error)", isConfiguration: false)
      }
      return LoopBound(endpoint, on: self.controlLoop)
    }
    running.withLock { $0.admin = endpoint }
  }

  // MARK: Crossing over

  private func onLoop<T: Sendable>(
    _ loop: EventLoop, _ work: @escaping @Sendable () throws(StartError) -> T
  ) async throws(StartError) -> T {
    let result: Result<T, StartError> = await withCheckedContinuation { continuation in
      loop.execute {
        do throws(StartError) { continuation.resume(returning: .success(try work())) } catch {
          continuation.resume(returning: .failure(error))
        }
      }
    }
    return try result.get()
  }

  private func onLoopQuietly(_ loop: EventLoop, _ work: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
      loop.execute {
        work()
        continuation.resume()
      }
    }
  }
}
