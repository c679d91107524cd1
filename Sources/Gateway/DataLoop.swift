internal import Basics
internal import HTTP
internal import Reactor
internal import Sessions
internal import Wire

/// Everything one data loop owns: listener, routes' upstream pools, session cache, counters, access log. It is the handler of
/// its connections' exchanges; the pipeline itself is in `Pipeline.swift`.
///
/// Owner: its loop. The control loop reaches it only by messages.
final class DataLoop {
  let loop: EventLoop
  let shared: SharedState
  /// One pool a route, by `Route.index`.
  let pools: [UpstreamPool]
  var sessions = SessionCache()
  var metrics: LoopMetrics
  var accessLog: AccessLog
  var server: HTTPServer?
  /// Exchanges that wait for the control loop, by request id.
  var waiting: [UInt64: (exchange: Exchange, since: MonotonicTime)] = [:]
  private static let controlPatience = Duration.seconds(60)

  /// Calls that wait for their person's consent, by request id.
  var held: [UInt64: HeldCall] = [:]
  /// MCP sessions' own streams, by request id.
  var sessionStreams: [UInt64: Exchange] = [:]
  /// Event streams of sessions, by request id, and when the first of their sessions may be over.
  var watchedStreams: [UInt64: WatchedStream] = [:]
  var nextStreamCheck = Timestamp(milliseconds: .max)

  private var nextRequestID: UInt64
  private var flushTimer: LoopTimer?

  init(loop: EventLoop, shared: SharedState, pools: [UpstreamPool], accessLog: consuming AccessLog) {
    self.loop = loop
    self.shared = shared
    self.pools = pools
    self.accessLog = accessLog
    metrics = LoopMetrics(routeCount: shared.routes.all.count)
    // Ids need not be secret, only distinct: a random start for each loop of each run.
    nextRequestID = UInt64.random(in: 0...UInt64.max)
  }

  /// Starts what runs on timers.
  func start() {
    flushTimer = LoopTimer(loop: loop) { [unowned self] in
      self.accessLog.flush()
      self.giveUpWaiting()
      self.endHolds()
      self.checkStreams(now: Timestamp.now())
      self.flushTimer?.arm(after: .milliseconds(250))
    }
    flushTimer?.arm(after: .milliseconds(250))
  }

  func stop() {
    flushTimer?.disarm()
    flushTimer = nil
    accessLog.flush()
  }

  /// Every wait has an end: what the control loop has not answered for long is answered without it.
  private func giveUpWaiting() {
    let late = waiting.filter { loop.now - $0.value.since > DataLoop.controlPatience }
    for id in late.keys { resume(id, .deny(.storeUnavailable)) }
  }

  func makeRequestID() -> UInt64 {
    nextRequestID = nextRequestID &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    // Always sixteen digits.
    return nextRequestID | 1 << 60
  }

  /// The state of an exchange; made at a connection's first request.
  func call(of exchange: Exchange) -> Call {
    if let call = exchange.context as? Call { return call }
    let call = Call()
    exchange.context = call
    return call
  }

  // MARK: Messages from the control loop

  /// A session changed: new tokens, other user state.
  func sessionChanged(_ snapshot: SessionSnapshot) { sessions.update(snapshot) }

  /// A session has a new id. What runs goes on under it, and ends with it; the old ticket is asked for anew.
  func sessionReplaced(_ old: TicketHash, by new: TicketHash) {
    sessions.end(old, now: Timestamp.now())
    server?.forEachExchange { exchange in
      if let call = exchange.context as? Call, call.owner == old { call.owner = new }
    }
  }

  /// Another process changed a session: it is asked for anew when it is needed.
  func sessionStale(_ hash: TicketHash) { sessions.remove(hash) }

  /// Any session may have changed.
  func allSessionsStale() { sessions.removeAll() }

  /// Whether the sessions that are known here may be used.
  func storeReachable(_ isReachable: Bool) { sessions.isUsable = isReachable }

  /// A copy of the counters for a scrape.
  func metricsSnapshot() -> LoopMetrics {
    var copy = metrics
    if let server {
      copy.openConnections = UInt64(server.connectionCount)
      copy.heldBytes = UInt64(max(0, server.heldBytes))
      copy.acceptPauses = server.pauseCount
      copy.refusals.count(.descriptors, server.droppedCount)
    }
    copy.cachedSessions = UInt64(sessions.count)
    return copy
  }
}
