import Basics
import Glibc
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct ListenerTests {
  @Test func `connections are taken with their peer's address`() async throws {
    try await onNewLoop { loop in
      let accepted = Event<End>()
      // An address of its own: nobody else may take the port when it is free again.
      let own = SocketAddress(bytes: [127, 0, 0, 9], port: 0)
      let listener = try Listener(loop: loop, address: own) { accepted.set(End($0)) }
      #expect(listener.address.port != 0)
      let client = dial(listener.address)
      let end = await accepted.wait()
      #expect(end.stream.peer == Syscalls.localAddress(client))
      #expect(!end.stream.isTLS)
      close(client)
      listener.close()
      #expect(await eventually(loop) { dial(listener.address) == -ECONNREFUSED })
    }
  }

  @Test func `small writes of accepted connections go out at once`() {
    let listening = Syscalls.makeSocket(family: AF_INET)
    Syscalls.noDelay(listening)
    #expect(Syscalls.listen(listening, on: nowhere, backlog: 1) == 0)
    let client = Syscalls.localAddress(listening).map { dial($0) } ?? -1
    guard case .connection(let socket, _) = Syscalls.accept(listening) else {
      Issue.record("nothing was accepted")
      return
    }
    var (value, size) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
    #expect(unsafe getsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &value, &size) == 0)
    #expect(value == 1)
    for descriptor in [socket, client, listening] { close(descriptor) }
  }

  @Test func `several loops listen on one address`() async throws {
    try await onNewLoop { first in
      let listener = try Listener(loop: first, address: nowhere) { $0.close() }
      let address = listener.address
      let port = try await onNewLoop { second in
        let other = try Listener(loop: second, address: address) { $0.close() }
        defer { other.close() }
        return other.address.port
      }
      #expect(port == address.port)
      listener.close()
    }
  }

  @Test func `an address that is not ours is refused with its reason`() async throws {
    try await onNewLoop { loop in
      let foreign = SocketAddress(bytes: [192, 0, 2, 1], port: 1)
      let error = #expect(throws: ReactorError.self) { try Listener(loop: loop, address: foreign) { _ in } }
      #expect(error?.description == "cannot listen on 192.0.2.1:1: Cannot assign requested address")
    }
  }

  @Test func `while it pauses connections wait in the kernel`() async throws {
    try await onNewLoop { loop in
      var taken: [Stream] = []
      let one = Event<Void>()
      let listener = try Listener(loop: loop, address: nowhere) {
        taken.append($0)
        one.set(())
      }
      listener.pause()
      listener.pause()
      let client = dial(listener.address)
      #expect(client >= 0)
      for _ in 0..<5 { await Task.yield() }
      #expect(taken.isEmpty)
      listener.resume()
      listener.resume()
      await one.wait()
      #expect(taken.count == 1)
      close(client)
      listener.close()
    }
  }

  @Test func `a listener that pauses itself in the middle takes no more`() async throws {
    try await onNewLoop { loop in
      var taken = 0
      let first = Event<Void>()
      var listener: Listener?
      let made = try Listener(loop: loop, address: nowhere) { stream in
        taken += 1
        listener?.pause()
        stream.close()
        first.set(())
      }
      listener = made
      made.pause()
      let clients = (0..<5).map { _ in dial(made.address) }
      made.resume()
      await first.wait()
      #expect(taken == 1)
      made.close()
      for client in clients { close(client) }
      listener = nil
    }
  }

  @Test func `without descriptors clients are turned away at once, and served again later`() async {
    await #expect(processExitsWith: .success) {
      let isAsExpected = try await onNewLoop { loop in
        var served: [Stream] = []
        let one = Event<Void>()
        let listener = try Listener(loop: loop, address: nowhere) {
          served.append($0)
          one.set(())
        }
        listener.pause()
        let clients = (0..<3).map { _ in dial(listener.address) }
        let late = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let hogs = exhaustDescriptors(leaving: 0)
        listener.resume()
        // Each is closed without a byte, not left to wait.
        for client in clients { guard await isEnded(client, loop) else { return false } }
        guard listener.dropped == 3, served.isEmpty else { return false }
        for hog in hogs { close(hog) }
        _ = unsafe listener.address.withPointer { unsafe connect(late, $0, $1) }
        await one.wait()
        return served.count == 1
      }
      exit(isAsExpected ? 0 : 1)
    }
  }

  @Test func `without even a spare descriptor the listener waits, does not spin, and recovers`() async {
    await #expect(processExitsWith: .success) {
      let isAsExpected = try await onNewLoop { loop in
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        // What starts up beside this test has its descriptors by now.
        try await loop.sleep(for: .milliseconds(50))
        var hogs = exhaustDescriptors(leaving: 1)
        let one = Event<Void>()
        var served: [Stream] = []
        let listener = try Listener(loop: loop, address: nowhere) {
          served.append($0)
          one.set(())
        }
        hogs += exhaustDescriptors(leaving: 0)
        _ = unsafe listener.address.withPointer { unsafe connect(client, $0, $1) }
        let turns = loop.turns
        try await loop.sleep(for: .milliseconds(350))
        guard loop.turns - turns < 50, served.isEmpty, listener.dropped == 0 else { return false }
        for hog in hogs { close(hog) }
        await one.wait()
        return served.count == 1
      }
      exit(isAsExpected ? 0 : 1)
    }
  }
}

/// Outgoing connections share the descriptors.
@Suite(.timeLimit(.minutes(1))) struct ExhaustionTests {
  @Test func `without descriptors an attempt says whose fault it is, and the next one works`() async {
    await #expect(processExitsWith: .success) {
      let isAsExpected = try await onNewLoop { loop in
        let listener = try Listener(loop: loop, address: nowhere) { _ in }
        let connector = Connector(loop: loop, blocking: BlockingPool())
        // What starts up beside this test has its descriptors by now.
        try await loop.sleep(for: .milliseconds(50))
        let hogs = exhaustDescriptors(leaving: 0)
        let first = Event<Result<Stream, ConnectError>>()
        connector.connect(host: "127.0.0.1", port: listener.address.port, tls: nil, timeout: .seconds(20)) {
          first.set($0)
        }
        guard case .failure(let error) = await first.wait(), error.kind == .exhausted else { return false }
        for hog in hogs { close(hog) }
        let second = Event<Result<Stream, ConnectError>>()
        connector.connect(host: "127.0.0.1", port: listener.address.port, tls: nil, timeout: .seconds(20)) {
          second.set($0)
        }
        guard case .success = await second.wait() else { return false }
        return true
      }
      exit(isAsExpected ? 0 : 1)
    }
  }

  @Test func `the number of descriptors is raised to the most that may be`() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit()
      let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
      unsafe getrlimit(resource, &limit)
      limit.rlim_cur = 128
      limit.rlim_max = min(limit.rlim_max, 512)
      unsafe setrlimit(resource, &limit)
      let raised = DescriptorLimit.raise()
      unsafe getrlimit(resource, &limit)
      exit(raised == Int(limit.rlim_max) && limit.rlim_cur == limit.rlim_max ? 0 : 1)
    }
  }

  @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL])
  func `what runs out here is no fault of the other side`(code: Int32) {
    #expect(Syscalls.isExhaustion(code) && !Syscalls.isExhaustion(ECONNREFUSED))
  }
}

/// Uses up all descriptors of the process, after lowering their number, but for `leaving`.
func exhaustDescriptors(leaving: Int) -> [Int32] {
  var limit = rlimit(rlim_cur: 256, rlim_max: 256)
  unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  var hogs: [Int32] = []
  while true {
    let descriptor = unsafe open("/dev/null", O_RDONLY)
    if descriptor < 0 { break }
    hogs.append(descriptor)
  }
  for _ in 0..<leaving { if let last = hogs.popLast() { close(last) } }
  return hogs
}

/// Waits until the peer has ended a connection.
func isEnded(_ descriptor: Int32, _ loop: EventLoop) async -> Bool {
  await eventually(loop) {
    var byte: UInt8 = 0
    let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT))
    return count == 0 || count < 0 && errno != EAGAIN
  }
}
