internal import Basics
internal import HTTP
internal import Reactor

/// The loop's side of ``HTTPClient``: calls under way and connections kept alive.
final class HTTPClientState: Pollable {
  let loop: EventLoop
  let settings: HTTPClientSettings
  let connector: Connector
  private var calls: [ObjectIdentifier: ClientCall] = [:]
  private var running = 0
  /// First come, first served; those from `served` on, some of which may have given up.
  private var waiting: [ClientCall] = []
  private var served = 0
  /// The one idle longest first.
  private var idle: [IdleStream] = []
  private var timer: LoopTimer?

  private struct IdleStream {
    let origin: String
    let stream: Stream
    let expiry: MonotonicTime
  }

  init(loop: EventLoop, settings: HTTPClientSettings, connector: Connector) {
    self.loop = loop
    self.settings = settings
    self.connector = connector
  }

  func start(
    _ request: FetchRequest, _ ticket: CallTicket,
    _ completion: @escaping (Result<FetchResponse, TransportError>) -> Void
  ) {
    let id = ObjectIdentifier(ticket)
    let call = ClientCall(client: self, request: request) { [self] result, hasRun in
      calls[id] = nil
      if hasRun { running -= 1 }
      // Held until here, so that no other call can get the same identity.
      withExtendedLifetime(ticket) {}
      completion(result)
      startNext()
    }
    calls[id] = call
    if running < settings.maxCalls {
      running += 1
      call.start()
    } else if waiting.count - served < settings.maxWaiting {
      waiting.append(call)
      call.wait()
    } else {
      call.finish(.failure(TransportError(.connect, "too many requests wait for their turn")))
    }
  }

  private func startNext() {
    while running < settings.maxCalls, served < waiting.count {
      let next = waiting[served]
      served += 1
      guard next.isWaiting else { continue }
      running += 1
      next.start()
    }
    if served == waiting.count || served >= 1024 {
      waiting.removeFirst(served)
      served = 0
    }
  }

  func cancel(_ ticket: CallTicket) {
    calls[ObjectIdentifier(ticket)]?.finish(.failure(TransportError(.cancelled)))
  }

  /// The connection to `origin` used last, if it is still as it was left.
  func takeIdle(_ origin: String) -> Stream? {
    while let index = idle.lastIndex(where: { $0.origin == origin }) {
      let stream = idle.remove(at: index).stream
      if stream.isIdleAlive() { return stream }
      stream.close()
    }
    return nil
  }

  func keep(_ stream: Stream, _ origin: String) {
    guard settings.maxIdle > 0 else { return stream.close() }
    if idle.count >= settings.maxIdle { idle.removeFirst().stream.close() }
    stream.setHandler(self)
    idle.append(IdleStream(origin: origin, stream: stream, expiry: loop.now + settings.idleTimeout))
    if idle.count == 1 { armTimer() }
  }

  func closeIdle() {
    for entry in idle { entry.stream.close() }
    idle.removeAll()
  }

  /// One of the idle connections ended, or says something nobody asked for.
  func ready(_ events: PollEvents) {
    guard events != .writable else { return }
    idle.removeAll { entry in
      guard !entry.stream.isIdleAlive() else { return false }
      entry.stream.close()
      return true
    }
  }

  private func armTimer() {
    guard let first = idle.first else { return }
    if timer == nil { timer = LoopTimer(loop: loop) { [weak self] in self?.closeExpired() } }
    timer?.arm(at: first.expiry)
  }

  private func closeExpired() {
    while let first = idle.first, first.expiry <= loop.now {
      first.stream.close()
      idle.removeFirst()
    }
    armTimer()
  }
}
