public import Basics

/// One connection as a pipe of bytes, plain or TLS.
///
/// Owner: one loop, which keeps it from `setHandler` to `close`. Edge-triggered: after an event, read and write until `wouldBlock`. A
/// plain read that brought less than was asked for has emptied the socket, so the next one answers `wouldBlock` without a system call;
/// not so once the end of the stream was announced, because no edge follows that.
public final class Stream: Pollable {
  public enum HandshakeOutcome: Sendable, Equatable {
    case done
    /// Go on at the next event.
    case wouldBlock
    /// Why, for the log. The connection is of no use any more.
    case failed(String)
  }

  public let peer: SocketAddress
  private let loop: EventLoop
  private var descriptor: Int32
  private var tls: TLSSession?
  /// Held until the stream is closed: a weak reference would cost each event, and each use of the handler, its way through a side table.
  private var handler: (any Pollable)?
  private var isRegistered = false
  /// A plain read could bring something.
  private var mayHaveBytes = true
  private var isEnding = false

  /// - Parameter tls: nil for a plain connection.
  init(loop: EventLoop, descriptor: Int32, peer: SocketAddress, tls: TLSSession?) {
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

  /// `TLSv1.3` or `TLSv1.2` once the handshake is done; nil on plain streams.
  public var tlsVersion: String? { tls?.version }

  /// Whether the TLS handshake took up an earlier session.
  public var isResumed: Bool { tls?.wasResumed ?? false }

  /// Who hears of events from now on. Its first event tells what the socket is ready for at the moment.
  ///
  /// The stream keeps it until it is closed, or another one is set.
  public func setHandler(_ handler: any Pollable) {
    self.handler = handler
    guard descriptor >= 0 else { return }
    if isRegistered { return loop.rearm(descriptor) }
    isRegistered = loop.register(descriptor, self)
    guard !isRegistered else { return }
    // The kernel has no memory to watch it: the handler finds the connection broken.
    isEnding = true
    let me = LoopBound(self, on: loop)
    loop.execute {
      me.value.release()
      me.value.handler?.ready([.readable, .writable, .error])
    }
  }

  /// Nobody hears of events until `setHandler`.
  func dropHandler() { handler = nil }

  public func ready(_ events: PollEvents) {
    mayHaveBytes = true
    if !events.isDisjoint(with: .ending) { isEnding = true }
    tls?.stirred(events)
    guard let handler else { return }
    handler.ready(tls?.translated(events) ?? events)
  }

  /// Goes on with the TLS handshake; done at once on plain streams.
  public func handshake() -> HandshakeOutcome { tls?.handshake() ?? .done }

  /// Why a read or a write failed with `code`, for the log: over TLS also what the peer said of it, such as that it wants another
  /// certificate.
  public func reason(_ code: Int32) -> String {
    tls?.failure ?? (code == 0 ? "connection closed" : Syscalls.text(code))
  }

  /// Appends at most `max` bytes to the buffer. `max` is positive.
  public func read(into buffer: inout Buffer, max: Int) -> IOOutcome {
    precondition(max > 0, "a read of no bytes")
    guard descriptor >= 0 else { return .failed(0) }
    if let tls { return tls.read(into: &buffer, max: max) }
    guard mayHaveBytes else { return .wouldBlock }
    let outcome = Syscalls.receive(descriptor, into: &buffer, max: max)
    switch outcome {
    case .bytes(let count): mayHaveBytes = count == max || isEnding
    case .wouldBlock: mayHaveBytes = false
    case .endOfStream, .failed: break
    }
    return outcome
  }

  /// Writes from the buffer's start and consumes what was taken, which may be less than all: then write again until `wouldBlock`.
  public func write(from buffer: inout Buffer) -> IOOutcome {
    guard descriptor >= 0 else { return .failed(0) }
    if buffer.isEmpty { return .bytes(0) }
    let outcome = tls?.write(from: buffer) ?? Syscalls.send(descriptor, from: buffer, 0..<buffer.count)
    if case .bytes(let count) = outcome { buffer.consume(count) }
    return outcome
  }

  /// Writes bytes of a buffer and leaves them there. For plain streams: TLS wants to be offered again what it did not take.
  public func write(_ buffer: borrowing Buffer, _ range: Range<Int>) -> IOOutcome {
    precondition(tls == nil, "a TLS stream writes from a buffer's start")
    guard descriptor >= 0 else { return .failed(0) }
    if range.isEmpty { return .bytes(0) }
    return Syscalls.send(descriptor, from: buffer, range)
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

  /// Closes; over TLS with a `close_notify` as far as the socket takes it.
  public func close() {
    guard descriptor >= 0 else { return }
    tls?.shutdown()
    handler = nil
    release()
  }

  /// Closes with a reset: the peer must not take what it has for complete.
  public func abort() {
    guard descriptor >= 0 else { return }
    Syscalls.resetOnClose(descriptor)
    handler = nil
    release()
  }

  private func release() {
    guard descriptor >= 0 else { return }
    if isRegistered { loop.deregister(descriptor) }
    isRegistered = false
    Syscalls.close(descriptor)
    descriptor = -1
    tls = nil
  }
}
