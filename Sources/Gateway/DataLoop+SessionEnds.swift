internal import Basics
internal import MCP
internal import Reactor
internal import Sessions
internal import Wire

/// An event stream under way, and when its session may be over by its timeouts.
struct WatchedStream {
  let exchange: Exchange
  var checkAt: Timestamp
}

/// How long a session has, as the control loop knows it.
enum SessionTime: Sendable {
  case until(Timestamp)
  case over
  /// The store could not be asked.
  case unknown
}

// What happens here when a session ends, whoever ended it.
extension DataLoop {
  /// A session ended: its tickets are worth nothing here from now on, and its open streams end.
  func sessionEnded(_ hash: TicketHash) {
    sessions.end(hash, now: Timestamp.now())
    endWork { $0.owner == hash }
  }

  /// Every session ended.
  func everySessionEnded() {
    sessions.endAll(now: Timestamp.now())
    endWork { $0.owner != nil }
  }

  private func endWork(where isOver: (Call) -> Bool) {
    endHolds(with: .loginRequired, where: isOver)
    // Held calls that had begun to go on have a stream, and their clients wait for an answer in it.
    for (id, entry) in waiting where entry.exchange.isLocalStream {
      guard let call = entry.exchange.context as? Call, isOver(call), call.requestID == id else { continue }
      resume(id, .deny(.loginRequired))
    }
    var streams: [(Exchange, Call)] = []
    server?.forEachExchange { x in
      guard let call = x.context as? Call, isOver(call) else { return }
      call.isOwnerGone = true
      streams.append((x, call))
    }
    // Apart: what is written may end exchanges.
    for (x, call) in streams where call.isOwnerGone { tellOfEnd(x, call) }
    server?.endStreams { x in (x.context as? Call)?.isOwnerGone == true }
  }

  /// The stream of a request is no answer to it yet: its client gets one, so that it need not guess. A session's own stream just ends,
  /// and its client, which opens another, is told then.
  private func tellOfEnd(_ x: Exchange, _ call: Call) {
    guard call.evidence.verb == .post, call.phase == .forwarded, call.route?.isMCP == true,
      let kept = call.kept,
      kept.id != JSONRPC.nullID
    else { return }
    x.inject(EventLines.message(denialBody(.loginRequired, id: kept.id, call: call, x)))
    call.outcome = "session_ended"
  }

  // MARK: Timeouts

  /// A stream may outlive its session by nothing but the next look.
  func watchStream(_ x: Exchange, _ call: Call, _ session: SessionCache.Entry) {
    let policy = shared.control.policy
    let end = min(
      session.snapshot.createdAt + policy.absoluteTimeout, session.lastSeen + policy.idleTimeout)
    watchedStreams[call.requestID] = WatchedStream(exchange: x, checkAt: end)
    nextStreamCheck = min(nextStreamCheck, end)
  }

  /// Asks for sessions with streams whose time seems to be over: others may have used them since. Costs nothing before the first may be.
  func checkStreams(now: Timestamp) {
    guard now >= nextStreamCheck else { return }
    var next = Timestamp(milliseconds: .max)
    var due: Set<TicketHash> = []
    for (id, stream) in watchedStreams {
      guard now >= stream.checkAt else {
        next = min(next, stream.checkAt)
        continue
      }
      guard let call = stream.exchange.context as? Call, call.requestID == id, let owner = call.owner else {
        watchedStreams[id] = nil
        continue
      }
      due.insert(owner)
      // The answer sets it; without one it is asked again.
      watchedStreams[id]?.checkAt = now + .seconds(2)
      next = min(next, now + .seconds(2))
    }
    nextStreamCheck = next
    let home = LoopBound(self, on: loop)
    for owner in due {
      tellControl { control in
        let time = await control.time(of: owner)
        home.loop.execute { home.value.timeArrived(time, of: owner) }
      }
    }
  }

  private func timeArrived(_ time: SessionTime, of owner: TicketHash) {
    switch time {
    case .over: sessionEnded(owner)
    case .until(let end): recheck(owner) { _ in end }
    case .unknown:
      // Its absolute end needs no store.
      let now = Timestamp.now()
      let policy = shared.control.policy
      recheck(owner) { call in
        let created = call.session?.snapshot.createdAt ?? now
        return created + policy.absoluteTimeout <= now ? nil : now + .seconds(1)
      }
    }
  }

  /// Sets when the streams of a session are looked at again; nil: it is over.
  private func recheck(_ owner: TicketHash, at time: (Call) -> Timestamp?) {
    var isOver = false
    for (id, stream) in watchedStreams {
      guard let call = stream.exchange.context as? Call, call.requestID == id, call.owner == owner else {
        continue
      }
      guard let next = time(call) else {
        isOver = true
        continue
      }
      watchedStreams[id]?.checkAt = next
      nextStreamCheck = min(nextStreamCheck, next)
    }
    if isOver { sessionEnded(owner) }
  }
}
