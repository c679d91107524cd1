import Dispatch
import Glibc
import Reactor
import Synchronization

/// An upstream that does exactly what a test says: raw bytes over TCP, one thread per connection.
final class ScriptedUpstream: Sendable {
  /// One accepted connection.
  struct Connection {
    let socket: RawSocket
    let reader: MessageReader
    /// 0 for the first one accepted.
    let index: Int

    /// Answers requests one after another until the stream ends.
    func serve(_ answer: (MessageReader.Message) -> String?) {
      while let request = reader.message() {
        guard let text = answer(request) else { return }
        guard socket.send(text) else { return }
      }
    }
  }

  let port: UInt16
  /// Its number stays ours as long as anybody may still use it: closed earlier, it could be another test's socket.
  private let listener: RawSocket
  private let count = Atomic<Int>(0)
  private let open = Locked<[RawSocket]>([])

  /// Connections accepted so far.
  var connectionCount: Int { count.load(ordering: .relaxed) }

  /// Listens at once; `script` runs for each connection, which is closed after it.
  init(_ script: @escaping @Sendable (Connection) -> Void) {
    let (listener, port) = RawSocket.bound()
    precondition(listen(listener.descriptor, 256) == 0)
    self.listener = listener
    self.port = port
    OwnThread.run { [self] in
      while true {
        let accepted = accept(listener.descriptor, nil, nil)
        guard accepted >= 0 else {
          if errno == EAGAIN || errno == EINTR { continue }
          return
        }
        let socket = RawSocket(descriptor: accepted)
        let index = count.wrappingAdd(1, ordering: .relaxed).oldValue
        open.withLock { $0.append(socket) }
        OwnThread.run { [self] in
          script(Connection(socket: socket, reader: MessageReader(socket), index: index))
          socket.shutdownBoth()
          open.withLock { $0.removeAll { $0 === socket } }
        }
      }
    }
  }

  /// Ends everything. Harmless when it has ended.
  func close() {
    listener.shutdownBoth()
    for socket in open.withLock({ $0 }) { socket.shutdownBoth() }
  }

  /// Runs `body` beside the test; wait for the result before the test ends.
  static func inBackground(_ body: @escaping @Sendable () -> Void) -> DispatchWorkItem {
    let item = DispatchWorkItem(block: body)
    DispatchQueue(label: "test.background").async(execute: item)
    return item
  }
}

/// A thread for one piece of work that blocks. Queues share a bounded number of threads: with many tests at once, an upstream could
/// wait for one so long that its test gives up.
private final class OwnThread {
  private let body: @Sendable () -> Void

  private init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  static func run(_ body: @escaping @Sendable () -> Void) {
    let work = unsafe Unmanaged.passRetained(OwnThread(body)).toOpaque()
    var thread = pthread_t()
    let failure = unsafe pthread_create(
      &thread, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<OwnThread>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, work)
    precondition(failure == 0, "no thread: \(failure)")
    pthread_detach(thread)
  }
}
