internal import Basics
internal import CLinux
internal import Glibc

/// A listening TCP socket of one loop. Several loops listen on the same address (`SO_REUSEPORT`) and the kernel spreads connections.
///
/// Owner: its loop.
public final class Listener: Pollable {
  /// Connections taken in one turn, so that the open ones get theirs.
  private static let acceptsPerTurn = 64

  public let address: SocketAddress
  private let loop: EventLoop
  private let tls: TLSServerContext?
  private let accepted: (Stream) -> Void
  private var descriptor: Int32
  /// Given up for a moment when descriptors run out, so that a waiting connection can be taken and closed instead of staying ready
  /// for ever.
  private var spare: Int32
  private var isPaused = false

  /// Binds and listens.
  ///
  /// - Parameters:
  ///   - address: port 0 lets the kernel choose; see `address`.
  ///   - accepted: called on the loop with each new connection.
  public init(
    loop: EventLoop, address: SocketAddress, backlog: Int32 = 1024, tls: TLSServerContext? = nil,
    accepted: @escaping (Stream) -> Void
  ) throws(ReactorError) {
    let descriptor = Syscalls.makeSocket(family: address.family)
    guard descriptor >= 0 else { throw ReactorError("cannot make a socket: \(Syscalls.text(-descriptor))") }
    _ = Syscalls.set(descriptor, level: SOL_SOCKET, option: SO_REUSEADDR)
    _ = Syscalls.set(descriptor, level: SOL_SOCKET, option: SO_REUSEPORT)
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
    guard loop.registerLevel(descriptor, self) else { throw ReactorError("cannot watch \(address)") }
  }

  deinit { close() }

  /// Leaves new connections in the kernel's queue.
  public func pause() {
    guard !isPaused, descriptor >= 0 else { return }
    isPaused = true
    loop.deregister(descriptor)
  }

  public func resume() {
    guard isPaused, descriptor >= 0 else { return }
    isPaused = false
    _ = loop.registerLevel(descriptor, self)
  }

  /// Stops listening. Connections in the kernel's queue are reset.
  public func close() {
    guard descriptor >= 0 else { return }
    loop.deregister(descriptor)
    Syscalls.close(descriptor)
    if spare >= 0 { Syscalls.close(spare) }
    descriptor = -1
    spare = -1
  }

  public func ready(_ events: PollEvents) {
    for _ in 0..<Listener.acceptsPerTurn {
      guard descriptor >= 0, !isPaused else { return }
      switch Syscalls.accept(descriptor) {
      case .connection(let socket, let peer):
        Syscalls.noDelay(socket)
        accepted(Stream(loop: loop, descriptor: socket, peer: peer, serverContext: tls))
      case .none: return
      case .outOfDescriptors:
        guard spare >= 0 else { return }
        Syscalls.close(spare)
        if case .connection(let socket, _) = Syscalls.accept(descriptor) { Syscalls.close(socket) }
        spare = Syscalls.openSpare()
        return
      }
    }
  }
}
