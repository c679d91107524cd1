import Dispatch
import Glibc
import Synchronization

/// An upstream that does exactly what a test says: raw bytes over TCP, one queue per connection.
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
  private let listener: Int32
  private let count = Atomic<Int>(0)
  private let open = Mutex<[RawSocket]>([])

  /// Connections accepted so far.
  var connectionCount: Int { count.load(ordering: .relaxed) }

  /// Listens at once; `script` runs for each connection, which is closed after it.
  init(_ script: @escaping @Sendable (Connection) -> Void) {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = RawSocket.loopback(0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let port = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        precondition(unsafe bind(descriptor, generic, size) == 0 && listen(descriptor, 256) == 0)
        _ = unsafe getsockname(descriptor, generic, &size)
      }
      return unsafe UInt16(bigEndian: pointer.pointee.sin_port)
    }
    self.port = port
    DispatchQueue(label: "upstream.accept").async { [self] in
      while true {
        let accepted = accept(descriptor, nil, nil)
        guard accepted >= 0 else {
          // Here and not in `close()`: the number must not be used again while `accept` may still be called with it.
          Glibc.close(descriptor)
          return
        }
        let socket = RawSocket(descriptor: accepted)
        let index = count.wrappingAdd(1, ordering: .relaxed).oldValue
        open.withLock { $0.append(socket) }
        DispatchQueue(label: "upstream.\(index)").async { [self] in
          script(Connection(socket: socket, reader: MessageReader(socket), index: index))
          socket.shutdownBoth()
          open.withLock { $0.removeAll { $0 === socket } }
        }
      }
    }
  }

  /// Ends everything.
  func close() {
    shutdown(listener, Int32(SHUT_RDWR))
    for socket in open.withLock({ $0 }) { socket.shutdownBoth() }
  }

  /// Runs `body` beside the test; wait for the result before the test ends.
  static func inBackground(_ body: @escaping @Sendable () -> Void) -> DispatchWorkItem {
    let item = DispatchWorkItem(block: body)
    DispatchQueue(label: "test.background").async(execute: item)
    return item
  }
}
