import Dispatch
import Glibc
import Reactor

/// A server that answers as a test says, and writes down what it was asked. For what a real one never does.
final class ScriptedRedis: Sendable {
  /// What is sent for one command; nil ends the connection.
  typealias Script = @Sendable (_ words: [String]) -> String?

  let port: UInt16
  private let descriptor: Int32
  private let script: Script
  private let log = Locked<[[String]]>([])
  private let connections = Locked<[Int32]>([])

  /// Every command but those of the handshake, in the order of their coming.
  var commands: [[String]] { log.withLock { $0 } }

  func count(_ name: String) -> Int { commands.count { $0.first == name } }

  init(_ script: @escaping Script) {
    self.script = script
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = descriptor
    let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(listener, $0, length) == 0 && listen(listener, 16) == 0
          && getsockname(listener, $0, &length) == 0
      }
    }
    precondition(isBound, "no port for a scripted server")
    port = UInt16(bigEndian: address.sin_port)
    let accepting = Thread(name: "accept") { [script, log, connections] in
      while true {
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else {
          close(listener)
          return
        }
        connections.withLock { $0.append(connection) }
        Thread(name: "serve") {
          Self.serve(connection, script, log)
          // Its number may be another one's at once.
          connections.withLock { all in
            all.removeAll { $0 == connection }
            close(connection)
          }
        }.start()
      }
    }
    accepting.start()
  }

  deinit {
    // The thread that waits there closes it.
    shutdown(descriptor, Int32(SHUT_RDWR))
    connections.withLock { for connection in $0 { shutdown(connection, Int32(SHUT_RDWR)) } }
  }

  /// Sends to every connection what nobody asked for.
  func say(_ text: String) {
    connections.withLock { for connection in $0 { Self.put(text, connection) } }
  }

  private static func put(_ text: String, _ connection: Int32) {
    _ = unsafe send(connection, text, text.utf8.count, Int32(MSG_NOSIGNAL))
  }

  private static func serve(_ connection: Int32, _ script: Script, _ log: Locked<[[String]]>) {
    var pending: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe recv(connection, &bytes, bytes.count, 0)
      guard count > 0 else { return }
      pending += bytes.prefix(count)
      while let words = take(&pending) {
        if words == ["CLIENT", "SETNAME", "coatcheck"] {
          put("+OK\r\n", connection)
          continue
        }
        log.withLock { $0.append(words) }
        guard let answer = script(words) else { return }
        put(answer, connection)
      }
    }
  }

  /// The next command: an array of bulk strings. Nil when it has not all come.
  private static func take(_ pending: inout [UInt8]) -> [String]? {
    var rest = pending[...]
    func line() -> String? {
      guard let end = rest.firstIndex(of: 0x0A) else { return nil }
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end].dropLast(), as: UTF8.self)
    }
    guard let head = line(), let count = Int(head.dropFirst()) else { return nil }
    var words: [String] = []
    for _ in 0..<count {
      guard let head = line(), let length = Int(head.dropFirst()), rest.count >= length + 2 else {
        return nil
      }
      words.append(String(decoding: rest.prefix(length), as: UTF8.self))
      rest = rest.dropFirst(length + 2)
    }
    pending = Array(rest)
    return words
  }
}

/// A thread of its own: one that waits must not hold up those of the tests.
private struct Thread {
  private let queue: DispatchQueue
  private let body: @Sendable () -> Void

  init(name: String, _ body: @escaping @Sendable () -> Void) {
    queue = DispatchQueue(label: name)
    self.body = body
  }

  func start() { queue.async(execute: body) }
}
