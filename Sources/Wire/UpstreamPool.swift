internal import Basics
public import Reactor

/// The connections of one loop to one upstream: kept alive, the one used last is used next, with a bounded waiting
/// line. One connection carries one exchange at a time.
///
/// Owner: one loop. Invariants: `idle.count + busy + connecting == total <= maxConnections`; while somebody waits, no
/// connection is idle and `connecting >= min(waiting, maxConnections - total)`.
public final class UpstreamPool {
  /// The loop everything happens on.
  public let loop: EventLoop
  /// Where to and every bound.
  public let settings: UpstreamSettings
  private let connector: Connector

  /// Work space for reading: empty between two uses.
  var readScratch = Buffer()

  /// The one idle longest first.
  private var idle: [UpstreamConnection] = []
  private var waiting: [Waiter] = []
  /// Connections being opened.
  private var attempts: [Int: Connector.Attempt] = [:]
  private var nextAttempt = 0
  /// All connections, those being opened included.
  private var total = 0
  private var isServing = false
  private var isClosed = false
  private var idleTimer: LoopTimer?
  private var waitTimer: LoopTimer?

  private struct Waiter {
    let exchange: Exchange
    let deadline: MonotonicTime
  }

  /// A pool without connections; the first is opened for the first exchange.
  public init(loop: EventLoop, settings: UpstreamSettings, connector: Connector) {
    self.loop = loop
    self.settings = settings
    self.connector = connector
    idleTimer = LoopTimer(loop: loop) { [unowned self] in closeExpired() }
    waitTimer = LoopTimer(loop: loop) { [unowned self] in failExpired() }
  }

  deinit {
    for connection in idle { connection.close() }
  }

  /// Connections kept alive for the next exchange.
  public var idleCount: Int { idle.count }
  /// Connections that carry an exchange.
  public var busyCount: Int { total - idle.count - attempts.count }
  /// Connections being opened.
  public var connectingCount: Int { attempts.count }
  /// Exchanges in the waiting line.
  public var waitingCount: Int { waiting.count }

  /// Closes the idle connections, gives up on those being opened and fails everybody who waits. Exchanges that are
  /// under way go on; their connections are closed after them.
  public func close() {
    isClosed = true
    idleTimer?.disarm()
    waitTimer?.disarm()
    for attempt in attempts.values { attempt.cancel() }
    total -= attempts.count
    attempts.removeAll()
    while let connection = idle.popLast() { discard(connection) }
    while let waiter = waiting.popLast() {
      waiter.exchange.fail(UpstreamFailure(.stopping, "the pool is closed"))
    }
  }

  // MARK: For exchanges

  /// Gives `exchange` a connection, now or later, or a failure. `fresh`: not one that has been idle.
  func acquire(_ exchange: Exchange, fresh: Bool) {
    guard !isClosed else { return exchange.fail(UpstreamFailure(.stopping, "the pool is closed")) }
    if !fresh, waiting.isEmpty, let connection = takeIdle() { return give(connection, to: exchange) }
    guard waiting.count - attempts.count < settings.maxWaiting || total < settings.maxConnections else {
      return exchange.fail(UpstreamFailure(.overloaded, "\(waiting.count) requests wait for a connection"))
    }
    let waiter = Waiter(exchange: exchange, deadline: loop.now + settings.waitTimeout)
    if waiting.isEmpty { waitTimer?.arm(at: waiter.deadline) }
    waiting.append(waiter)
    openForWaiters()
  }

  /// `exchange` no longer waits.
  func cancel(_ exchange: Exchange) {
    waiting.removeAll { $0.exchange === exchange }
  }

  /// A connection whose exchange is complete on both sides.
  func release(_ connection: UpstreamConnection) {
    connection.answered += 1
    connection.disarm()
    // Read readiness that was not used up may hide the end of the stream or stray bytes.
    guard !isClosed, !connection.peerHasEnded, !connection.isReadable || connection.stream.isIdleAlive()
    else {
      return close(connection)
    }
    connection.isReadable = false
    connection.state = .idle
    connection.idleSince = loop.now
    if connection.out.allocatedBytes > Exchange.keptBytes { connection.out.releaseStorage() }
    idle.append(connection)
    if idle.count == 1 { idleTimer?.arm(after: settings.idleTimeout) }
    if !waiting.isEmpty { serve() }
  }

  /// A connection that must not be used again.
  func close(_ connection: UpstreamConnection) {
    guard connection.state != .closed else { return }
    discard(connection)
    openForWaiters()
  }

  /// An idle connection became readable: it has ended, or says something nobody asked for.
  func idleConnectionStirred(_ connection: UpstreamConnection) {
    guard let index = idle.lastIndex(where: { $0 === connection }) else { return }
    idle.remove(at: index)
    discard(connection)
  }

  // MARK: Inside

  private func discard(_ connection: UpstreamConnection) {
    total -= 1
    connection.close()
  }

  /// The idle connection used last, if it is still as it was left: open, and without a byte to read.
  private func takeIdle() -> UpstreamConnection? {
    while let connection = idle.popLast() {
      if !connection.isReadable, connection.stream.isIdleAlive() { return connection }
      discard(connection)
    }
    return nil
  }

  private func give(_ connection: UpstreamConnection, to exchange: Exchange) {
    connection.begin(exchange)
    exchange.attach(connection)
  }

  /// Gives idle connections to those who wait. Not re-entrant: an exchange may come back while it is served.
  private func serve() {
    guard !isServing else { return }
    isServing = true
    while !waiting.isEmpty, let connection = takeIdle() {
      give(connection, to: waiting.removeFirst().exchange)
    }
    isServing = false
    openForWaiters()
  }

  private func openForWaiters() {
    while !isClosed, attempts.count < waiting.count, total < settings.maxConnections { open() }
  }

  private func open() {
    let id = nextAttempt
    nextAttempt += 1
    total += 1
    attempts[id] = connector.connect(
      host: settings.host, port: settings.port, tls: settings.tls, timeout: settings.connectTimeout
    ) { [self] result in opened(id, result) }
  }

  private func opened(_ id: Int, _ result: Result<Stream, ConnectError>) {
    guard attempts.removeValue(forKey: id) != nil else {
      if case .success(let stream) = result { stream.close() }
      return
    }
    switch result {
    case .success(let stream):
      let connection = UpstreamConnection(stream: stream, pool: self)
      stream.setHandler(connection)
      // Not looked at before its first use: a TLS server's session tickets may already be there.
      guard waiting.isEmpty else { return give(connection, to: waiting.removeFirst().exchange) }
      connection.state = .idle
      connection.idleSince = loop.now
      idle.append(connection)
      if idle.count == 1 { idleTimer?.arm(after: settings.idleTimeout) }
    case .failure(let error):
      total -= 1
      if !waiting.isEmpty {
        waiting.removeFirst().exchange.fail(UpstreamFailure(error.upstreamKind, error.detail))
      }
      openForWaiters()
    }
  }

  private func closeExpired() {
    let now = loop.now
    while let oldest = idle.first {
      let expiry = oldest.idleSince + settings.idleTimeout
      guard expiry <= now else {
        idleTimer?.arm(at: expiry)
        return
      }
      idle.removeFirst()
      discard(oldest)
    }
  }

  private func failExpired() {
    while let first = waiting.first {
      guard first.deadline <= loop.now else {
        waitTimer?.arm(at: first.deadline)
        return
      }
      waiting.removeFirst()
      first.exchange.fail(UpstreamFailure(.overloaded, "no connection within \(settings.waitTimeout)"))
    }
  }
}
