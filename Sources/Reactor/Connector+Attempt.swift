internal import Basics

extension Connector {
  /// One wish for a connection.
  ///
  /// Owner: the loop. States: resolving → connecting (once an address) → handshaking (TLS only) → over. Every state but the last has
  /// its deadline.
  public final class Attempt: Pollable {
    /// Whom to reach, and how.
    struct Target {
      var host: String
      var port: UInt16
      var tls: TLSClientContext?
    }

    private enum State { case resolving, connecting, handshaking, over }

    private let loop: EventLoop
    private let target: Target
    private let deadline: MonotonicTime
    private let worked: (SocketAddress?) -> Void
    private var completion: ((Result<Stream, ConnectError>) -> Void)?
    private var addresses: [SocketAddress] = []
    private var next = 0
    private var state = State.resolving
    private var descriptor: Int32 = -1
    private var stream: Stream?
    private var timer: LoopTimer?
    private var lastError = ConnectError(.connect, "no address")
    /// Keeps the attempt alive while it waits for the kernel.
    private var selfWhileWaiting: Attempt?

    /// - Parameter worked: told the address that answered, or nil when none did.
    init(
      loop: EventLoop, target: Target, deadline: MonotonicTime,
      worked: @escaping (SocketAddress?) -> Void,
      completion: @escaping (Result<Stream, ConnectError>) -> Void
    ) {
      self.loop = loop
      self.target = target
      self.deadline = deadline
      self.worked = worked
      self.completion = completion
      timer = LoopTimer(loop: loop) { [unowned self] in timedOut() }
    }

    /// Gives up. The completion is not called.
    public func cancel() {
      completion = nil
      end()
    }

    var isOver: Bool { state == .over }

    func awaitAddresses() {
      guard state == .resolving else { return }
      selfWhileWaiting = self
      timer?.arm(at: deadline)
    }

    func begin(_ addresses: [SocketAddress]) {
      guard state == .resolving else { return }
      self.addresses = addresses.map {
        SocketAddress(bytes: $0.bytes, port: target.port, scope: $0.scope)
      }
      selfWhileWaiting = self
      tryNext()
    }

    func fail(_ error: ConnectError) {
      guard let completion else { return }
      self.completion = nil
      end()
      completion(.failure(error))
    }

    private func tryNext() {
      while next < addresses.count {
        let address = addresses[next]
        next += 1
        let socket = Syscalls.makeSocket(family: address.family)
        guard socket >= 0 else {
          lastError = error(address, -socket)
          continue
        }
        Syscalls.noDelay(socket)
        let code = Syscalls.connect(socket, to: address)
        guard code == 0, loop.register(socket, self) else {
          Syscalls.close(socket)
          lastError =
            code == 0 ? ConnectError(.exhausted, "\(address): cannot be watched") : error(address, code)
          continue
        }
        descriptor = socket
        state = .connecting
        timer?.arm(after: (deadline - loop.now) / (addresses.count - next + 1))
        return
      }
      // What we lack says nothing about the address.
      if lastError.kind != .exhausted { worked(nil) }
      fail(lastError)
    }

    private func error(_ address: SocketAddress, _ code: Int32) -> ConnectError {
      ConnectError(
        Syscalls.isExhaustion(code) ? .exhausted : .connect, "\(address): \(Syscalls.text(code))")
    }

    public func ready(_ events: PollEvents) {
      switch state {
      case .connecting: if !events.isDisjoint(with: [.writable, .error, .hangUp]) { connected() }
      case .handshaking: shakeHands()
      case .resolving, .over: break
      }
    }

    private func connected() {
      let address = addresses[next - 1]
      let code = Syscalls.pendingError(descriptor)
      guard code == 0 else {
        dropSocket()
        lastError = error(address, code)
        return tryNext()
      }
      loop.deregister(descriptor)
      let socket = descriptor
      descriptor = -1
      worked(address)
      guard let tls = target.tls else {
        return succeed(Stream(loop: loop, descriptor: socket, peer: address, tls: nil))
      }
      guard
        let session = TLSSession(client: tls, descriptor: socket, host: target.host, port: target.port)
      else {
        Syscalls.close(socket)
        return fail(ConnectError(.tls, "\(target.host) is no name that can be verified"))
      }
      let stream = Stream(loop: loop, descriptor: socket, peer: address, tls: session)
      self.stream = stream
      state = .handshaking
      timer?.arm(at: deadline)
      stream.setHandler(self)
      shakeHands()
    }

    private func shakeHands() {
      guard let stream else { return }
      switch stream.handshake() {
      case .done:
        self.stream = nil
        stream.dropHandler()
        succeed(stream)
      case .wouldBlock: break
      case .failed(let reason): fail(ConnectError(.tls, "\(target.host): \(reason)"))
      }
    }

    private func succeed(_ stream: Stream) {
      guard let completion else { return stream.close() }
      self.completion = nil
      end()
      completion(.success(stream))
    }

    private func timedOut() {
      switch state {
      case .over: break
      case .resolving:
        fail(ConnectError(.timeout, "\(target.host): its address was not found in time"))
      case .connecting:
        lastError = ConnectError(.timeout, "\(addresses[next - 1]) does not answer")
        dropSocket()
        if loop.now < deadline { return tryNext() }
        worked(nil)
        fail(lastError)
      case .handshaking:
        fail(ConnectError(.timeout, "\(target.host): the TLS handshake was not done in time"))
      }
    }

    private func dropSocket() {
      guard descriptor >= 0 else { return }
      loop.deregister(descriptor)
      Syscalls.close(descriptor)
      descriptor = -1
    }

    private func end() {
      state = .over
      timer?.disarm()
      dropSocket()
      stream?.close()
      stream = nil
      selfWhileWaiting = nil
    }
  }
}
