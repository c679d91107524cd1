import Basics
import Glibc
import Testing

@testable import Reactor

/// Runs `body` as a task on a loop of its own, and ends the loop after it.
@discardableResult
func onNewLoop<T: Sendable>(_ body: @escaping @Sendable (EventLoop) async throws -> T) async throws -> T {
  let loop = EventLoop(name: "test")
  loop.start()
  let result = await on(loop, body)
  await loop.stop()
  return try result.get()
}

/// Runs `body` as a task on `loop`.
func on<T: Sendable>(
  _ loop: EventLoop, _ body: @escaping @Sendable (EventLoop) async throws -> T
) async -> Result<T, any Error> {
  await withCheckedContinuation { continuation in
    loop.spawn {
      do { continuation.resume(returning: .success(try await body(loop))) } catch {
        continuation.resume(returning: .failure(error))
      }
    }
  }
}

/// Something that happens once, for a task on a loop to wait for.
final class Event<Value> {
  private var value: Value?
  private var continuation: CheckedContinuation<Void, Never>?

  func set(_ value: Value) {
    self.value = value
    continuation?.resume()
    continuation = nil
  }

  func wait() async -> Value {
    while true {
      if let value { return value }
      // The body may run a turn later: look again there.
      await withCheckedContinuation { if value == nil { continuation = $0 } else { $0.resume() } }
    }
  }
}

/// One end of a connection as a task on the loop sees it: every call waits until it is done.
final class End: Pollable {
  let stream: Stream
  private(set) var events: [PollEvents] = []
  private var pending = false
  private var continuation: CheckedContinuation<Void, Never>?

  init(_ stream: Stream) {
    self.stream = stream
    stream.setHandler(self)
  }

  func ready(_ events: PollEvents) {
    self.events.append(events)
    pending = true
    continuation?.resume()
    continuation = nil
  }

  /// Waits for the next event, or for one that has come since the last call.
  func event() async {
    while !pending {
      // The body may run a turn later: look again there.
      await withCheckedContinuation { if pending { $0.resume() } else { continuation = $0 } }
    }
    pending = false
  }

  func handshake() async -> Stream.HandshakeOutcome {
    while true {
      let outcome = stream.handshake()
      if outcome != .wouldBlock { return outcome }
      await event()
    }
  }

  /// Reads once, at most `max` bytes.
  func read(into buffer: inout Buffer, max: Int = 16_384) async -> IOOutcome {
    while true {
      let outcome = stream.read(into: &buffer, max: max)
      if outcome != .wouldBlock { return outcome }
      await event()
    }
  }

  /// Reads until `count` bytes are there or the stream ends. - Returns: the text, and how it ended.
  func text(_ count: Int = .max) async -> (String, IOOutcome?) {
    var buffer = Buffer()
    while buffer.count < count {
      let outcome = await read(into: &buffer, max: min(16_384, count - buffer.count))
      guard case .bytes = outcome else { return (buffer.string(), outcome) }
    }
    return (buffer.string(), nil)
  }

  func write(_ text: String) async -> IOOutcome {
    var buffer = Buffer(text)
    while !buffer.isEmpty {
      let outcome = stream.write(from: &buffer)
      if outcome == .wouldBlock {
        await event()
      } else if case .bytes = outcome {
        continue
      } else {
        return outcome
      }
    }
    return .bytes(text.utf8.count)
  }
}

let nowhere = SocketAddress(bytes: [127, 0, 0, 1], port: 0)

/// Two connected sockets, not blocking.
func socketPair() -> (Int32, Int32) {
  var pair: [Int32] = [-1, -1]
  let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  let result = unsafe socketpair(AF_UNIX, type, 0, &pair)
  precondition(result == 0)
  return (pair[0], pair[1])
}

/// Two plain streams that are each other's peer.
func plainPair(_ loop: EventLoop) -> (End, End) {
  let (a, b) = socketPair()
  return (
    End(Stream(loop: loop, descriptor: a, peer: nowhere, tls: nil)),
    End(Stream(loop: loop, descriptor: b, peer: nowhere, tls: nil))
  )
}

/// A TCP connection that blocks, as other programs have it. - Returns: the descriptor, or a negated errno.
func dial(_ address: SocketAddress, blocking: Bool = true) -> Int32 {
  let type = Int32(SOCK_STREAM.rawValue) | (blocking ? 0 : Int32(SOCK_NONBLOCK.rawValue))
  let descriptor = socket(AF_INET, type, 0)
  let result = unsafe address.withPointer { unsafe connect(descriptor, $0, $1) }
  return result == 0 || !blocking ? descriptor : -errno
}

/// Whether a condition comes true within five seconds. For what follows a `close`: a process that another test is just starting holds
/// a copy of the descriptor for a moment.
func eventually(_ loop: EventLoop, _ condition: () -> Bool) async -> Bool {
  for _ in 0..<5_000 {
    if condition() { return true }
    try? await loop.sleep(for: .milliseconds(1))
  }
  return false
}

/// Sends from a raw socket.
func put(_ text: String, on descriptor: Int32) { _ = unsafe Glibc.send(descriptor, text, text.utf8.count, 0) }
