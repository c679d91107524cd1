internal import Basics
internal import Glibc

/// Makes connections: resolves names off the loop, tries every address, finishes the TLS handshake.
///
/// Owner: one loop. Bounds: one deadline for the whole attempt; an address gets a fair share of what is left of it; answers of the
/// resolver are kept for `cacheLifetime`.
public final class Connector {
  private let loop: EventLoop
  private let blocking: BlockingPool
  private var cache: [String: (addresses: [SocketAddress], until: MonotonicTime)] = [:]
  private static let cacheLifetime = Duration.seconds(30)
  private static let maxCached = 256

  public init(loop: EventLoop, blocking: BlockingPool) {
    self.loop = loop
    self.blocking = blocking
  }

  /// Begins to connect. `completion` is called once, on the loop, unless the attempt is cancelled before.
  @discardableResult
  public func connect(
    host: String, port: UInt16, tls: TLSClientContext?, timeout: Duration,
    completion: @escaping (Result<Stream, ConnectError>) -> Void
  ) -> Attempt {
    let attempt = Attempt(
      loop: loop, host: host, tls: tls, deadline: loop.now + timeout, completion: completion)
    if let literal = SocketAddress(host: host, port: port) {
      attempt.begin([literal])
    } else if let cached = cache[host], cached.until > loop.now {
      attempt.begin(cached.addresses.map { SocketAddress(bytes: $0.bytes, port: port, scope: $0.scope) })
    } else {
      resolve(host, port, attempt)
    }
    return attempt
  }

  private func resolve(_ host: String, _ port: UInt16, _ attempt: Attempt) {
    let back = LoopBound((self, attempt), on: loop)
    attempt.armDeadline()
    do {
      try blocking.submit {
        let found = Resolver.addresses(of: host)
        back.loop.execute {
          let (me, attempt) = back.value
          me.resolved(host, port, found, attempt)
        }
      }
    } catch {
      attempt.fail(ConnectError(.resolve, "too many names are being resolved"))
    }
  }

  private func resolved(
    _ host: String, _ port: UInt16, _ found: Result<[SocketAddress], ConnectError>, _ attempt: Attempt
  ) {
    switch found {
    case .success(let addresses):
      if cache.count >= Connector.maxCached { cache.removeAll() }
      cache[host] = (addresses, loop.now + Connector.cacheLifetime)
      attempt.begin(addresses.map { SocketAddress(bytes: $0.bytes, port: port, scope: $0.scope) })
    case .failure(let error): attempt.fail(error)
    }
  }

  /// One wish for a connection. Owner: the loop.
  public final class Attempt: Pollable {
    private enum State { case resolving, connecting, handshaking, over }

    private let loop: EventLoop
    private let host: String
    private let tls: TLSClientContext?
    private let deadline: MonotonicTime
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

    init(
      loop: EventLoop, host: String, tls: TLSClientContext?, deadline: MonotonicTime,
      completion: @escaping (Result<Stream, ConnectError>) -> Void
    ) {
      self.loop = loop
      self.host = host
      self.tls = tls
      self.deadline = deadline
      self.completion = completion
      timer = LoopTimer(loop: loop) { [unowned self] in timedOut() }
    }

    /// Gives up. The completion is not called.
    public func cancel() {
      completion = nil
      end()
    }

    func armDeadline() { timer?.arm(at: deadline) }

    func begin(_ addresses: [SocketAddress]) {
      guard state == .resolving, completion != nil else { return }
      self.addresses = addresses
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
          lastError = ConnectError(.connect, "\(address): \(Syscalls.text(-socket))")
          continue
        }
        Syscalls.noDelay(socket)
        let code = Syscalls.connect(socket, to: address)
        guard code == 0 else {
          Syscalls.close(socket)
          lastError = ConnectError(.connect, "\(address): \(Syscalls.text(code))")
          continue
        }
        descriptor = socket
        state = .connecting
        let left = deadline - loop.now
        timer?.arm(after: left / (addresses.count - next + 1))
        _ = loop.register(socket, self)
        return
      }
      fail(lastError)
    }

    public func ready(_ events: PollEvents) {
      switch state {
      case .connecting: if !events.isDisjoint(with: [.writable, .error, .hangUp]) { connected() }
      case .handshaking: shakeHands()
      case .resolving, .over: break
      }
    }

    private func connected() {
      let code = Syscalls.pendingError(descriptor)
      loop.deregister(descriptor)
      let socket = descriptor
      descriptor = -1
      guard code == 0 else {
        Syscalls.close(socket)
        lastError = ConnectError(.connect, "\(addresses[next - 1]): \(Syscalls.text(code))")
        return tryNext()
      }
      let session = tls.flatMap { TLSSession(client: $0, descriptor: socket, host: host) }
      if tls != nil, session == nil {
        Syscalls.close(socket)
        return fail(ConnectError(.tls, "\(host) is no name to verify"))
      }
      let stream = Stream(loop: loop, connected: socket, peer: addresses[next - 1], tls: session)
      guard tls != nil else { return succeed(stream) }
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
        succeed(stream)
      case .wouldBlock: break
      case .failed(let reason): fail(ConnectError(.tls, "\(host): \(reason)"))
      }
    }

    private func succeed(_ stream: Stream) {
      guard let completion else { return stream.close() }
      self.completion = nil
      end()
      completion(.success(stream))
    }

    private func timedOut() {
      if state == .connecting, next < addresses.count, loop.now < deadline {
        lastError = ConnectError(.timeout, "\(addresses[next - 1]) does not answer")
        dropSocket()
        return tryNext()
      }
      fail(ConnectError(.timeout, "\(host) does not answer"))
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

/// The system's resolver. Blocks.
@safe enum Resolver {
  static func addresses(of host: String) -> Result<[SocketAddress], ConnectError> {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = AF_UNSPEC
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>? = nil
    let code = unsafe getaddrinfo(host, nil, &hints, &list)
    defer { if let list = unsafe list { unsafe freeaddrinfo(list) } }
    guard code == 0 else {
      return .failure(ConnectError(.resolve, "\(host): \(unsafe String(cString: gai_strerror(code)))"))
    }
    var found: [SocketAddress] = []
    var entry = unsafe list
    while let item = unsafe entry {
      if let pointer = unsafe item.pointee.ai_addr {
        var storage = sockaddr_storage()
        let length = unsafe min(Int(item.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
        unsafe withUnsafeMutableBytes(of: &storage) { to in
          unsafe to.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: length))
        }
        if let address = SocketAddress(storage: storage), !found.contains(address) { found.append(address) }
      }
      unsafe entry = item.pointee.ai_next
    }
    guard !found.isEmpty else { return .failure(ConnectError(.resolve, "\(host) has no address")) }
    return .success(found)
  }
}
