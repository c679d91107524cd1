internal import Basics
internal import HTTP
public import Reactor

/// The listening side of one loop: accepts client connections and holds them.
///
/// Owner: one loop. Every loop of a process has its own server on the same address (SO_REUSEPORT); a connection never
/// moves.
public final class HTTPServer {
  /// The loop everything happens on.
  public let loop: EventLoop
  /// Called once when a drain has ended and the last connection is gone.
  public var onDrained: (() -> Void)?
  /// Whether the server is stopping.
  public var isDraining: Bool { drains }

  let handler: any ExchangeHandler
  let limits: ServerLimits
  let timeouts: ServerTimeouts
  private let tls: TLSServerContext?
  private let allowPeer: (SocketAddress) -> Bool
  private let peerLeft: (SocketAddress) -> Void
  private var listener: Listener?
  private var graceTimer: LoopTimer?

  private var drains = false
  private var connections: [ServerConnection?] = []
  private var freeSlots: [Int] = []
  private var openCount = 0
  /// Bytes of request bodies and of answers that wait for their clients, of all connections together.
  public internal(set) var heldBytes = 0
  /// Reading from an upstream stops while this many bytes wait for its client: less while memory is short.
  var highWaterBytes: Int
  /// Times that all places were taken, so that new connections had to wait.
  public private(set) var pauseCount: UInt64 = 0
  /// Work space of the loop's connections: empty between two uses.
  var scratch = Buffer()
  var readScratch = Buffer()
  var eventScratch = Buffer()
  var dateLine = DateLine()

  /// A server that does not listen yet. `allowPeer` is asked for each accepted connection, before anything is read; for each that it
  /// let in, `peerLeft` hears when its socket is closed.
  public init(
    loop: EventLoop, handler: any ExchangeHandler, tls: TLSServerContext? = nil,
    limits: ServerLimits = ServerLimits(), timeouts: ServerTimeouts = ServerTimeouts(),
    allowPeer: @escaping (SocketAddress) -> Bool = { _ in true },
    peerLeft: @escaping (SocketAddress) -> Void = { _ in }
  ) {
    self.loop = loop
    self.handler = handler
    self.tls = tls
    self.limits = limits
    self.timeouts = timeouts
    self.allowPeer = allowPeer
    self.peerLeft = peerLeft
    highWaterBytes = limits.highWaterBytes
  }

  /// The address it listens on, with the port the kernel chose where 0 was asked for; nil when it does not listen.
  public var address: SocketAddress? { listener?.address }

  /// Connections held, those that only finish an abandoned upstream answer included.
  public var connectionCount: Int { connections.count - freeSlots.count }

  /// Connections that were closed unserved for want of descriptors.
  public var droppedCount: UInt64 { listener?.dropped ?? 0 }

  /// Connections that carry an exchange now.
  public var exchangeCount: Int { connections.reduce(0) { $0 + ($1?.isInExchange == true ? 1 : 0) } }

  /// Begins to listen.
  public func listen(on address: SocketAddress, backlog: Int32 = 1024) throws(ReactorError) {
    listener = try Listener(loop: loop, address: address, backlog: backlog, tls: tls) {
      [unowned self] stream in
      accept(stream)
    }
  }

  /// Takes the connections that wait for it, stops accepting, lets every exchange come to its end, and closes each
  /// connection after it; one without a request after ``ServerTimeouts/lastRequest``. Streams marked
  /// ``Exchange/endsOnDrain`` end at once. After `grace` the other streams are ended properly and what remains is cut
  /// off. ``onDrained`` follows when the last connection is gone.
  public func drain(grace: Duration) {
    guard !isDraining else { return }
    listener?.acceptWaiting()
    drains = true
    listener?.close()
    listener = nil
    for connection in connections { connection?.drain() }
    guard connectionCount > 0 else { return drained() }
    graceTimer = LoopTimer(loop: loop) { [unowned self] in stop() }
    graceTimer?.arm(after: grace)
  }

  /// Cuts off what is under way; streams are ended properly first. A drain with no patience.
  public func stop() {
    drains = true
    listener?.close()
    listener = nil
    for connection in connections { connection?.stop() }
  }

  deinit { listener?.close() }

  /// Shows every exchange that is under way.
  public func forEachExchange(_ body: (Exchange) -> Void) {
    for connection in connections {
      if let connection, connection.isInExchange { body(connection.exchange) }
    }
  }

  /// Ends the streams that `shouldEnd` names, properly: the client sees a complete answer, the upstream connection closes.
  /// Answers that are not streams come to their end.
  public func endStreams(where shouldEnd: (Exchange) -> Bool) {
    for connection in connections {
      guard let connection, connection.isInExchange, shouldEnd(connection.exchange) else { continue }
      connection.endStreams()
    }
  }

  // MARK: Connections

  private func accept(_ stream: Stream) {
    guard !isDraining, allowPeer(stream.peer) else { return stream.close() }
    let connection = ServerConnection(stream: stream, server: self, isTLS: tls != nil)
    if let slot = freeSlots.popLast() {
      connection.slot = slot
      connections[slot] = connection
    } else {
      connection.slot = connections.count
      connections.append(connection)
    }
    openCount += 1
    if openCount >= limits.maxConnections {
      pauseCount &+= 1
      listener?.pause()
    }
    stream.setHandler(connection)
    connection.drive()
  }

  /// A connection's socket is closed.
  func streamClosed(_ connection: ServerConnection) {
    if openCount == limits.maxConnections { listener?.resume() }
    openCount -= 1
    peerLeft(connection.stream.peer)
  }

  /// Nothing of a connection is left.
  func remove(_ connection: ServerConnection) {
    connections[connection.slot] = nil
    freeSlots.append(connection.slot)
    if isDraining, connectionCount == 0 { drained() }
  }

  private func drained() {
    graceTimer?.disarm()
    graceTimer = nil
    let callback = onDrained
    onDrained = nil
    callback?()
  }
}
