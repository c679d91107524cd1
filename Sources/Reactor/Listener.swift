internal import Basics

/// A listening TCP socket of one loop. Several loops listen on the same address (`SO_REUSEPORT`) and the kernel spreads connections.
///
/// Owner: its loop, which keeps it until `close`.
public final class Listener: Pollable {
  /// Connections taken in one turn, so that the open ones get theirs.
  private static let acceptsPerTurn = 64
  /// Connections taken at the end: more than the kernel holds by default, and a bound against clients that connect without end.
  private static let mostWaiting = 4096
  /// How long nothing is accepted after descriptors ran out: long enough not to spin, short enough not to be felt.
  private static let recovery = Duration.milliseconds(100)

  /// Where it listens, with the port the kernel chose.
  public let address: SocketAddress
  /// Connections closed unserved because the process or the machine had no descriptor left. For metrics.
  public private(set) var dropped: UInt64 = 0
  private let loop: EventLoop
  private let tls: TLSServerContext?
  private let accepted: (Stream) -> Void
  private var descriptor: Int32
  /// Given up for a moment when descriptors run out, so that a waiting connection can be taken and closed: its client learns at once
  /// instead of hanging in the kernel's queue.
  private var spare: Int32
  private var isPaused = false
  private var isWatching = false
  private var recoveryTimer: LoopTimer?

  /// Binds and listens. On the loop.
  ///
  /// - Parameters:
  ///   - address: port 0 lets the kernel choose; see `address`.
  ///   - backlog: connections the kernel may hold that were not accepted yet (it caps this at `net.core.somaxconn`).
  ///   - tls: every connection then begins with a handshake.
  ///   - accepted: called on the loop with each new connection.
  /// - Throws: the address is in use, not ours, or reserved.
  public init(
    loop: EventLoop, address: SocketAddress, backlog: Int32 = 1024, tls: TLSServerContext? = nil,
    accepted: @escaping (Stream) -> Void
  ) throws(ReactorError) {
    loop.preconditionCurrent()
    let descriptor = Syscalls.makeSocket(family: address.family)
    guard descriptor >= 0 else { throw ReactorError("cannot make a socket: \(Syscalls.text(-descriptor))") }
    Syscalls.shareAddress(descriptor)
    // The connections inherit it, which saves a system call each.
    Syscalls.noDelay(descriptor)
    let code = Syscalls.listen(descriptor, on: address, backlog: backlog)
    guard code == 0 else {
      Syscalls.close(descriptor)
      throw ReactorError("cannot listen on \(address): \(Syscalls.text(code))")
    }
    self.loop = loop
    self.tls = tls
    self.accepted = accepted
    self.descriptor = descriptor
    self.address = Syscalls.localAddress(descriptor) ?? address
    spare = Syscalls.openSpare()
    recoveryTimer = LoopTimer(loop: loop) { [unowned self] in watch() }
    watch()
    guard isWatching else {
      close()
      throw ReactorError("cannot watch \(address)")
    }
  }

  deinit { close() }

  /// Leaves new connections in the kernel's queue.
  public func pause() {
    isPaused = true
    unwatch()
  }

  /// Takes new connections again.
  public func resume() {
    isPaused = false
    watch()
  }

  /// Takes what is in the kernel's queue now, so that ``close()`` resets nobody who is connected already; nothing while paused.
  public func acceptWaiting() {
    var taken = 0
    while isWatching, taken < Listener.mostWaiting,
      case .connection(let socket, let peer) = Syscalls.accept(descriptor)
    {
      serve(socket, peer)
      taken += 1
    }
  }

  /// Stops listening. Connections in the kernel's queue are reset.
  public func close() {
    guard descriptor >= 0 else { return }
    unwatch()
    Syscalls.close(descriptor)
    descriptor = -1
    if spare >= 0 { Syscalls.close(spare) }
    spare = -1
  }

  public func ready(_ events: PollEvents) {
    var hasDropped = false
    turn: for _ in 0..<Listener.acceptsPerTurn {
      guard isWatching else { return }
      switch Syscalls.accept(descriptor) {
      case .connection(let socket, let peer): serve(socket, peer)
      case .none: break turn
      case .outOfDescriptors:
        hasDropped = true
        if !dropOne() { break turn }
      }
    }
    // Clients that try again at once must not keep the loop busy with turning them away.
    if hasDropped { recover() }
  }

  private func serve(_ socket: Int32, _ peer: SocketAddress) {
    guard let tls else {
      return accepted(Stream(loop: loop, descriptor: socket, peer: peer, tls: nil))
    }
    // Without memory for TLS there is no connection: never a plain one in its place.
    guard let session = TLSSession(server: tls, descriptor: socket) else {
      dropped &+= 1
      return Syscalls.close(socket)
    }
    accepted(Stream(loop: loop, descriptor: socket, peer: peer, tls: session))
  }

  /// - Returns: whether the spare descriptor is there for the next one.
  private func dropOne() -> Bool {
    guard spare >= 0 else { return false }
    Syscalls.close(spare)
    if case .connection(let socket, _) = Syscalls.accept(descriptor) {
      Syscalls.close(socket)
      dropped &+= 1
    }
    spare = Syscalls.openSpare()
    return spare >= 0
  }

  private func recover() {
    unwatch()
    recoveryTimer?.arm(after: Listener.recovery)
  }

  private func watch() {
    guard !isPaused, !isWatching, descriptor >= 0 else { return }
    if spare < 0 { spare = Syscalls.openSpare() }
    isWatching = loop.register(descriptor, self, .input)
    if !isWatching { recoveryTimer?.arm(after: Listener.recovery) }
  }

  private func unwatch() {
    recoveryTimer?.disarm()
    guard isWatching else { return }
    isWatching = false
    loop.deregister(descriptor)
  }
}
