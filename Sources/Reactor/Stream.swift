public import Basics
internal import COpenSSL

/// One connection as a pipe of bytes, plain or TLS.
///
/// Owner: one loop. Edge-triggered: after an event, read and write until `wouldBlock`. A plain read that brought less than was asked
/// for has emptied the socket, so the next one answers `wouldBlock` without a system call.
public final class Stream: Pollable {
  public enum HandshakeOutcome: Sendable, Equatable {
    case done
    case wouldBlock
    case failed(String)
  }

  public let peer: SocketAddress
  private let loop: EventLoop
  private var descriptor: Int32
  private var tls: TLSSession?
  private unowned(unsafe) var handler: (any Pollable)?
  private var isRegistered = false
  private var mayHaveBytes = true
  /// The end of the stream was announced. It makes no further edge, so reads go on until they meet it.
  private var endIsNear = false

  init(loop: EventLoop, descriptor: Int32, peer: SocketAddress, serverContext: TLSServerContext?) {
    self.loop = loop
    self.descriptor = descriptor
    self.peer = peer
    tls = serverContext.flatMap { TLSSession(server: $0, descriptor: descriptor) }
  }

  init(loop: EventLoop, connected descriptor: Int32, peer: SocketAddress, tls: TLSSession?) {
    self.loop = loop
    self.descriptor = descriptor
    self.peer = peer
    self.tls = tls
  }

  deinit { close() }

  public var isTLS: Bool { tls != nil }
  public var isOpen: Bool { descriptor >= 0 }

  /// The host name the client asked for (SNI, RFC 6066 §3).
  public var serverName: String? { tls?.serverName }

  /// Who hears of events from now on. Its first event tells what the socket is ready for at the moment.
  ///
  /// The handler must outlive the stream's registration: it closes the stream before it goes.
  public func setHandler(_ handler: any Pollable) {
    unsafe self.handler = handler
    guard descriptor >= 0 else { return }
    if isRegistered {
      loop.rearm(descriptor)
    } else {
      isRegistered = loop.register(descriptor, self)
    }
  }

  public func ready(_ events: PollEvents) {
    mayHaveBytes = true
    if !events.isDisjoint(with: [.peerClosed, .hangUp, .error]) { endIsNear = true }
    // TLS may need to read before it can write and the other way round: either event is a reason to try both.
    unsafe handler?.ready(tls == nil ? events : events.union([.readable, .writable]))
  }

  /// Goes on with the TLS handshake; done at once on plain streams.
  public func handshake() -> HandshakeOutcome { tls?.handshake() ?? .done }

  /// Appends at most `max` bytes to the buffer.
  public func read(into buffer: inout Buffer, max: Int) -> IOOutcome {
    guard descriptor >= 0 else { return .failed(0) }
    if let tls { return tls.read(into: &buffer, max: max) }
    guard mayHaveBytes else { return .wouldBlock }
    let outcome = Syscalls.receive(descriptor, into: &buffer, max: max)
    switch outcome {
    case .bytes(let count): mayHaveBytes = count == max || endIsNear
    case .wouldBlock: mayHaveBytes = false
    case .endOfStream, .failed: break
    }
    return outcome
  }

  /// Writes from the buffer's start and consumes what was taken.
  public func write(from buffer: inout Buffer) -> IOOutcome {
    guard descriptor >= 0 else { return .failed(0) }
    if buffer.isEmpty { return .bytes(0) }
    let outcome = tls?.write(from: buffer) ?? Syscalls.send(descriptor, from: buffer)
    if case .bytes(let count) = outcome { buffer.consume(count) }
    return outcome
  }

  /// Tells the peer that nothing more will come.
  public func shutdownWrite() {
    guard descriptor >= 0 else { return }
    tls?.shutdown()
    Syscalls.shutdownWrite(descriptor)
  }

  /// Whether a connection that was left alone is as it was left: no end, no bytes.
  public func isIdleAlive() -> Bool {
    guard descriptor >= 0 else { return false }
    return tls?.isQuiet() ?? Syscalls.isQuiet(descriptor)
  }

  public func close() {
    guard descriptor >= 0 else { return }
    tls?.shutdown()
    release()
  }

  /// Closes with a reset: the peer must not take what it has for complete.
  public func abort() {
    guard descriptor >= 0 else { return }
    Syscalls.resetOnClose(descriptor)
    release()
  }

  private func release() {
    if isRegistered { loop.deregister(descriptor) }
    isRegistered = false
    tls = nil
    Syscalls.close(descriptor)
    descriptor = -1
    unsafe handler = nil
  }
}
