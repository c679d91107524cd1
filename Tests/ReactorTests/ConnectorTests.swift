import Basics
import Dispatch
import Glibc
import Testing

@testable import Reactor

private func address(_ last: UInt8, _ port: UInt16 = 0) -> SocketAddress {
  SocketAddress(bytes: [127, 0, 0, last], port: port)
}

extension Connector {
  /// Connects as a task does it.
  fileprivate func reach(
    _ host: String, _ port: UInt16, tls: TLSClientContext? = nil, timeout: Duration = .seconds(20)
  ) async -> Result<Stream, ConnectError> {
    let event = Event<Result<Stream, ConnectError>>()
    connect(host: host, port: port, tls: tls, timeout: timeout) { event.set($0) }
    return await event.wait()
  }
}

extension Result {
  fileprivate var failure: Failure? {
    if case .failure(let error) = self { error } else { nil }
  }
}

/// A resolver that answers the same for every name and counts how often it was asked.
private func connector(
  _ loop: EventLoop, _ addresses: [SocketAddress], _ asked: Locked<Int> = Locked(0),
  pool: BlockingPool = BlockingPool()
) -> Connector {
  Connector(loop: loop, blocking: pool) { _ in
    asked.withLock { $0 += 1 }
    return .success(addresses)
  }
}

/// A port whose listener answers nobody any more: its queue is full, so the kernel drops what arrives.
private struct FullListener: ~Copyable {
  let address: SocketAddress
  private let listener: Int32
  private let clients: [Int32]

  init(_ wanted: SocketAddress) throws {
    let socket = Syscalls.makeSocket(family: AF_INET)
    try #require(Syscalls.listen(socket, on: wanted, backlog: 0) == 0)
    let bound = try #require(Syscalls.localAddress(socket))
    listener = socket
    address = bound
    var waiting: [Int32] = []
    repeat { waiting.append(dial(bound, blocking: false)) } while isConnected(waiting[waiting.count - 1])
    clients = waiting
  }

  deinit { for descriptor in clients + [listener] { close(descriptor) } }
}

/// Whether a connection that was begun is there within a moment.
private func isConnected(_ descriptor: Int32) -> Bool {
  var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
  return unsafe poll(&wanted, 1, 50) == 1
}

@Suite(.timeLimit(.minutes(1))) struct ConnectorTests {
  @Test func `addresses that refuse are passed over, and what worked is tried first from then on`()
    async throws
  {
    try await onNewLoop { loop in
      let listener = try Listener(loop: loop, address: address(1)) { _ in }
      let port = listener.address.port
      let asked = Locked(0)
      let connector = connector(loop, [address(2), address(3), address(1)], asked)
      for _ in 0..<3 {
        let stream = try await connector.reach("upstream.test", port).get()
        #expect(stream.peer == address(1, port))
        stream.close()
      }
      #expect(asked.withLock { $0 } == 1)
      listener.close()
    }
  }

  @Test func `an address that does not answer gets its share of the time, then the next is tried`()
    async throws
  {
    try await onNewLoop { loop in
      let listener = try Listener(loop: loop, address: address(1)) { _ in }
      let port = listener.address.port
      let full = try FullListener(address(4, port))
      #expect(full.address.port == port)
      let connector = connector(loop, [address(4), address(1)])
      // A new turn: times count from its start, and the full listener took some of the last one.
      try await loop.sleep(for: .milliseconds(1))
      let start = loop.now
      let stream = try await connector.reach("upstream.test", port, timeout: .milliseconds(1600)).get()
      let taken = loop.now - start
      #expect(stream.peer == address(1, port))
      #expect(taken >= .milliseconds(800))
      stream.close()
      listener.close()
    }
  }

  @Test func `when nobody answers the attempt ends in time`() async throws {
    try await onNewLoop { loop in
      let full = try FullListener(address(5))
      let result = await connector(loop, []).reach("127.0.0.5", full.address.port, timeout: .milliseconds(50))
      let error = try #require(result.failure)
      #expect(error == ConnectError(.timeout, "127.0.0.5:\(full.address.port) does not answer"))
    }
  }

  @Test func `when all refuse the last reason is told and the name is asked for anew`() async throws {
    try await onNewLoop { loop in
      let listener = try Listener(loop: loop, address: address(1)) { _ in }
      let port = listener.address.port
      let asked = Locked(0)
      let connector = connector(loop, [address(6), address(7)], asked)
      for round in 1...2 {
        let result = await connector.reach("upstream.test", port)
        let error = try #require(result.failure)
        #expect(error == ConnectError(.connect, "127.0.0.7:\(port): Connection refused"))
        #expect(asked.withLock { $0 } == round)
      }
      listener.close()
    }
  }

  @Test func `many who want one name ask for it once`() async throws {
    try await onNewLoop { loop in
      let listener = try Listener(loop: loop, address: address(1)) { _ in }
      let port = listener.address.port
      let asked = Locked(0)
      let connector = connector(loop, [address(1)], asked)
      let events = (0..<20).map { _ in
        let event = Event<Result<Stream, ConnectError>>()
        connector.connect(host: "upstream.test", port: port, tls: nil, timeout: .seconds(20)) {
          event.set($0)
        }
        return event
      }
      for event in events { try await event.wait().get().close() }
      #expect(asked.withLock { $0 } == 1)
      listener.close()
    }
  }

  @Test func `a literal address is not resolved`() async throws {
    try await onNewLoop { loop in
      let listener = try Listener(loop: loop, address: address(1)) { _ in }
      let asked = Locked(0)
      try await connector(loop, [], asked).reach("127.0.0.1", listener.address.port).get().close()
      #expect(asked.withLock { $0 } == 0)
      listener.close()
    }
  }

  @Test func `the system's resolver knows localhost and not what is invalid`() async throws {
    try await onNewLoop { loop in
      let listener = try Listener(loop: loop, address: address(1)) { _ in }
      let connector = Connector(loop: loop, blocking: BlockingPool())
      let stream = try await connector.reach("localhost", listener.address.port).get()
      #expect(stream.peer.isLoopback)
      stream.close()
      let result = await connector.reach("no such name", 1)
      let error = try #require(result.failure)
      #expect(error.kind == .resolve)
      #expect(error.detail.hasPrefix("no such name: "))
      listener.close()
    }
  }

  @Test func `a resolver that takes too long is not waited for`() async throws {
    try await onNewLoop { loop in
      let gate = DispatchSemaphore(value: 0)
      let connector = Connector(loop: loop, blocking: BlockingPool()) { _ in
        gate.wait()
        return .success([])
      }
      let result = await connector.reach("upstream.test", 1, timeout: .milliseconds(5))
      let error = try #require(result.failure)
      #expect(error == ConnectError(.timeout, "upstream.test: its address was not found in time"))
      gate.signal()
    }
  }

  @Test func `a full pool is a failure, not a wait`() async throws {
    let gate = DispatchSemaphore(value: 0)
    let pool = BlockingPool(width: 1, capacity: 0)
    try pool.submit { gate.wait() }
    try await onNewLoop { loop in
      let result = await connector(loop, [address(1)], pool: pool).reach("upstream.test", 1)
      let error = try #require(result.failure)
      #expect(error.kind == .exhausted)
    }
    gate.signal()
  }

  @Test(arguments: ["127.0.0.1", "255.255.255.255", "upstream.test"])
  func `the completion never comes before the attempt is returned`(_ host: String) async throws {
    try await onNewLoop { loop in
      let connector = connector(loop, [SocketAddress(bytes: [255, 255, 255, 255], port: 0)])
      for _ in 0..<2 {
        let event = Event<Result<Stream, ConnectError>>()
        var isReturned = false
        var wasReturned = false
        connector.connect(host: host, port: 1, tls: nil, timeout: .seconds(20)) {
          wasReturned = isReturned
          event.set($0)
        }
        isReturned = true
        let result = await event.wait()
        #expect(result.failure != nil)
        #expect(wasReturned)
      }
    }
  }

  @Test func `a cancelled attempt completes nothing and leaves nothing open`() async throws {
    try await onNewLoop { loop in
      let full = try FullListener(address(8))
      let connector = connector(loop, [address(8)])
      var calls = 0
      for host in ["upstream.test", "127.0.0.8"] {
        let attempt = connector.connect(
          host: host, port: full.address.port, tls: nil, timeout: .milliseconds(200)
        ) {
          _ in calls += 1
        }
        try await loop.sleep(for: .milliseconds(1))
        attempt.cancel()
        #expect(attempt.isOver)
      }
      let early = connector.connect(host: "upstream.test", port: 1, tls: nil, timeout: .milliseconds(200)) {
        _ in
        calls += 1
      }
      early.cancel()
      try await loop.sleep(for: .milliseconds(250))
      #expect(calls == 0)
    }
  }

  @Test func `over TLS the stream is handed over after a handshake that proved the name`() async throws {
    try await onNewLoop { loop in
      let server = try TLSServerContext(identities: [Certificates.identity("upstream")])
      let listener = try Listener(loop: loop, address: address(1), tls: server) { stream in
        let end = LoopBound(End(stream), on: loop)
        loop.spawn {
          let end = end.value
          guard await end.handshake() == .done else { return end.stream.close() }
          _ = await end.write("welcome")
          end.stream.close()
        }
      }
      let port = listener.address.port
      let trust = try TLSClientContext(caFile: Certificates.file("ca.pem"))
      let connector = connector(loop, [address(1)])
      let stream = try await connector.reach("upstream.test", port, tls: trust).get()
      #expect(stream.isTLS)
      let end = End(stream)
      #expect(await end.text() == ("welcome", .endOfStream))
      stream.close()

      let refused = await connector.reach("other.test", port, tls: trust)
      let error = try #require(refused.failure)
      #expect(error == ConnectError(.tls, "other.test: certificate refused: hostname mismatch"))
      listener.close()
    }
  }

  @Test func `a peer that does not shake hands is given up in time`() async throws {
    try await onNewLoop { loop in
      var silent: [Stream] = []
      let listener = try Listener(loop: loop, address: address(1)) { silent.append($0) }
      let trust = try TLSClientContext(caFile: Certificates.file("ca.pem"))
      let result = await connector(loop, []).reach(
        "127.0.0.1", listener.address.port, tls: trust, timeout: .milliseconds(200))
      let error = try #require(result.failure)
      #expect(error == ConnectError(.timeout, "127.0.0.1: the TLS handshake was not done in time"))
      #expect(silent.count == 1)
      listener.close()
    }
  }

  @Test func `a peer that speaks no TLS is a TLS failure`() async throws {
    try await onNewLoop { loop in
      var ends: [End] = []
      let listener = try Listener(loop: loop, address: address(1)) { stream in
        var text = Buffer("HTTP/1.1 400 Bad Request\r\n\r\n")
        _ = stream.write(from: &text)
        ends.append(End(stream))
      }
      let trust = try TLSClientContext(caFile: Certificates.file("ca.pem"))
      let result = await connector(loop, []).reach("127.0.0.1", listener.address.port, tls: trust)
      let error = try #require(result.failure)
      #expect(error.kind == .tls)
      listener.close()
    }
  }
}
