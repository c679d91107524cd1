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
  public private(set) var isDraining = false

  let handler: any ExchangeHandler
  let limits: ServerLimits
  let timeouts: ServerTimeouts
  private let tls: TLSServerContext?
  private let allowPeer: (SocketAddress) -> Bool
  private var listener: Listener?
  private var graceTimer: LoopTimer?

  private var connections: [ServerConnection?] = []
  private var freeSlots: [Int] = []
  private var openCount = 0
  /// Work space of the loop's connections: empty between two uses.
  var scratch = Buffer()
  var eventScratch = Buffer()
  var dateLine = DateLine()

  /// A server that does not listen yet. `allowPeer` is asked for each accepted connection, before anything is read.
  public init(
    loop: EventLoop, handler: any ExchangeHandler, tls: TLSServerContext? = nil,
    limits: ServerLimits = ServerLimits(), timeouts: ServerTimeouts = ServerTimeouts(),
    allowPeer: @escaping (SocketAddress) -> Bool = { _ in true }
  ) {
    self.loop = loop
    self.handler = handler
    self.tls = tls
    self.limits = limits
    self.timeouts = timeouts
    self.allowPeer = allowPeer
  }
}
