import Glibc

/// A blocking TCP socket of the tests, with a bound on every wait: the raw end of a client or of a scripted upstream.
final class RawSocket: Sendable {
  let descriptor: Int32

  /// Longest wait for anything in a test.
  static let patience = 10

  init(descriptor: Int32) {
    self.descriptor = descriptor
    var timeout = timeval(tv_sec: Self.patience, tv_usec: 0)
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var on: Int32 = 1
    _ = unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
  }

  deinit { Glibc.close(descriptor) }

  /// Connects to a port of 127.0.0.1.
  static func connect(port: UInt16, receiveBuffer: Int32? = nil) -> RawSocket {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var size = receiveBuffer { _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
    var address = loopback(port)
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        unsafe Glibc.connect(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(result == 0, "connect to port \(port) failed: \(errno)")
    return RawSocket(descriptor: descriptor)
  }

  /// A socket on a port of its own where nobody listens: connections are refused, and nobody else gets the port.
  static func bound() -> (socket: RawSocket, port: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopback(0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        precondition(unsafe bind(descriptor, generic, size) == 0)
        _ = unsafe getsockname(descriptor, generic, &size)
      }
    }
    return (RawSocket(descriptor: descriptor), UInt16(bigEndian: address.sin_port))
  }

  static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  /// Sends all of it; false when the other side does not take it.
  @discardableResult func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  /// Sends all of it; false when the other side does not take it.
  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { raw in
        unsafe Glibc.send(
          descriptor, raw.baseAddress.map { unsafe $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  enum Received { case bytes([UInt8]), end, reset, timeout }

  /// What comes next.
  func receive(max: Int = 65_536) -> Received {
    var buffer = [UInt8](repeating: 0, count: max)
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes { raw in
        unsafe recv(descriptor, raw.baseAddress, max, 0)
      }
      if count > 0 { return .bytes(Array(buffer[0..<count])) }
      if count == 0 { return .end }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .timeout
      default: return .reset
      }
    }
  }

  /// Ends our side only.
  func shutdownWrite() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  /// Ends both sides.
  func shutdownBoth() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

  /// Ends with a reset.
  func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    // A duplicate of the descriptor would keep the connection: connecting to nowhere drops it instead.
    var nowhere = sockaddr()
    nowhere.sa_family = sa_family_t(AF_UNSPEC)
    _ = unsafe Glibc.connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
  }
}

/// Reads HTTP/1.1 messages from a raw socket, with as little cleverness as possible.
final class MessageReader {
  let socket: RawSocket
  private(set) var pending: [UInt8] = []
  /// How the stream ended, once it has.
  private(set) var ended: RawSocket.Received?

  init(_ socket: RawSocket) { self.socket = socket }

  struct Message: Equatable {
    var head = ""
    var body: [UInt8] = []
    var trailer = ""
    /// The body ended as its framing says.
    var isComplete = false

    var text: String { String(decoding: body, as: UTF8.self) }
    var firstLine: String { String(head.prefix { $0 != "\r\n" }) }
    var status: Int { Int(firstLine.split(separator: " ").dropFirst().first ?? "") ?? 0 }
    var target: String { String(firstLine.split(separator: " ").dropFirst().first ?? "") }

    func field(_ name: String) -> String? { fields(name).first }
    func fields(_ name: String) -> [String] {
      head.split(separator: "\r\n").dropFirst().compactMap { line in
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { return nil }
        return String(parts[1].drop { $0 == " " })
      }
    }
  }

  /// Makes sure that something is pending; false at the end of the stream.
  func more() -> Bool {
    guard ended == nil else { return false }
    switch socket.receive() {
    case .bytes(let bytes):
      pending += bytes
      return true
    case let other:
      ended = other
      return false
    }
  }

  /// Bytes up to and including `mark`, or nil when the stream ends before it.
  func through(_ mark: String) -> String? {
    let mark = Array(mark.utf8)
    var from = 0
    while true {
      if pending.count >= mark.count {
        for start in from...(pending.count - mark.count)
        where pending[start..<start + mark.count] == mark[...] {
          let text = String(decoding: pending[..<(start + mark.count)], as: UTF8.self)
          pending.removeFirst(start + mark.count)
          return text
        }
        from = pending.count - mark.count + 1
      }
      guard more() else { return nil }
    }
  }

  func take(_ count: Int) -> [UInt8]? {
    while pending.count < count { guard more() else { return nil } }
    let taken = Array(pending[..<count])
    pending.removeFirst(count)
    return taken
  }

  /// Everything until the end of the stream.
  func rest() -> [UInt8] {
    while more() {}
    defer { pending = [] }
    return pending
  }

  /// The next head; nil at the end of the stream.
  func head() -> Message? {
    guard let head = through("\r\n\r\n") else { return nil }
    return Message(head: head)
  }

  /// The next message with its body. `isHead`: the answer to a HEAD.
  func message(isHead: Bool = false) -> Message? {
    guard var message = head() else { return nil }
    let isAnswer = message.head.hasPrefix("HTTP/")
    let hasNone = isHead || (isAnswer && (message.status < 200 || [204, 304].contains(message.status)))
    if hasNone {
      message.isComplete = true
    } else if message.field("Transfer-Encoding") == "chunked" {
      while let line = through("\r\n"), let size = Int(line.dropLast().prefix { $0 != ";" }, radix: 16) {
        if size == 0 {
          while let line = through("\r\n") {
            if line == "\r\n" {
              message.isComplete = true
              break
            }
            message.trailer += line
          }
          break
        }
        guard let chunk = take(size), take(2) != nil else {
          message.body += pending
          break
        }
        message.body += chunk
      }
    } else if let length = message.field("Content-Length").flatMap({ Int($0) }) {
      if let body = take(length) {
        message.body = body
        message.isComplete = true
      } else {
        message.body = pending
      }
    } else if isAnswer {
      message.body = rest()
      if case .end? = ended { message.isComplete = true }
    } else {
      message.isComplete = true
    }
    return message
  }

  /// Whether the stream has ended without a reset and without another byte.
  func endsCleanly() -> Bool {
    guard pending.isEmpty, !more(), case .end? = ended else { return false }
    return true
  }
}
