internal import Basics
internal import Reactor

/// One connection as a pipe of answers: bytes to the server, values from it.
///
/// Owner: the loop; alive until `close`, or until `ended` was called. What is sent in one turn of the loop leaves in one write.
final class RedisLink: Pollable {
  let endpoint: RedisEndpoint
  /// Every value that comes, in order. Set before `start`; whoever takes the link over sets it anew.
  var received: (RedisValue) -> Void = { _ in }
  /// Called once when the connection is lost or of no use; not after `close`.
  var ended: (RedisError) -> Void = { _ in }
  /// Bytes given to `send` so far.
  private(set) var queuedBytes: UInt64 = 0
  /// Bytes the kernel has taken so far.
  private(set) var writtenBytes: UInt64 = 0
  private(set) var isOpen = true

  private let loop: EventLoop
  private let stream: Stream
  private var parser = RESPParser()
  private var input = Buffer()
  private var output = Buffer()
  private var willFlush = false

  init(stream: Stream, endpoint: RedisEndpoint, loop: EventLoop) {
    self.stream = stream
    self.endpoint = endpoint
    self.loop = loop
  }

  /// Hears of what comes from now on.
  func start() { stream.setHandler(self) }

  func send(_ bytes: [UInt8]) {
    output.append(bytes)
    queued(bytes.count)
  }

  func send(_ bytes: borrowing Buffer) {
    output.append(from: bytes)
    queued(bytes.count)
  }

  private func queued(_ count: Int) {
    queuedBytes &+= UInt64(count)
    guard isOpen, !willFlush else { return }
    willFlush = true
    let me = LoopBound(self, on: loop)
    loop.execute {
      me.value.willFlush = false
      me.value.flush()
    }
  }

  func ready(_ events: PollEvents) {
    flush()
    read()
  }

  private func flush() {
    while isOpen, !output.isEmpty {
      switch stream.write(from: &output) {
      case .bytes(let count): writtenBytes &+= UInt64(count)
      case .wouldBlock: return
      case .endOfStream: return end(.unavailable("\(endpoint) closed the connection"))
      case .failed(let code): return end(.unavailable("\(endpoint): \(stream.reason(code))"))
      }
    }
    output.releaseStorage()
  }

  /// Reads until nothing is there; a server that never pauses gets the rest read in the next turn.
  private func read() {
    for _ in 0..<Self.readsPerTurn {
      guard isOpen else { return }
      switch stream.read(into: &input, max: Self.readBytes) {
      case .bytes: takeValues()
      case .wouldBlock:
        if input.isEmpty { input.releaseStorage() }
        return
      case .endOfStream: return end(.unavailable("\(endpoint) closed the connection"))
      case .failed(let code): return end(.unavailable("\(endpoint): \(stream.reason(code))"))
      }
    }
    let me = LoopBound(self, on: loop)
    loop.execute { me.value.read() }
  }

  private func takeValues() {
    do {
      while isOpen, let value = try parser.next(&input) { received(value) }
    } catch {
      end(.protocolViolation("\(endpoint): \(error.text)"))
    }
  }

  /// The connection is of no use any more, for the owner's own reason or the server's.
  func end(_ error: RedisError) {
    guard isOpen else { return }
    let ended = ended
    close()
    ended(error)
  }

  /// Closes; nobody is told.
  func close() {
    isOpen = false
    received = { _ in }
    ended = { _ in }
    stream.close()
  }

  private static let readBytes = 16 * 1024
  private static let readsPerTurn = 64
}
