internal import Basics
internal import CLinux
internal import Glibc

/// Every system call of the module. `EINTR` is handled here; errors come back as `errno` values.
enum Syscalls {
  static func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  static func wallSecond() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME_COARSE, &time)
    return Int64(time.tv_sec)
  }

  /// Compared, never used as a handle.
  static func threadID() -> UInt { UInt(pthread_self()) }

  /// Writing to a closed connection, or beyond the size that a file may have, must be an error, not a signal.
  static func ignoreWriteSignals() {
    _ = signal(SIGPIPE, SIG_IGN)
    _ = signal(SIGXFSZ, SIG_IGN)
  }

  /// Switches the default action off. - Returns: the signal's number.
  static func ignore(_ kind: SignalSource.Signal) -> Int32 {
    let number =
      switch kind {
      case .terminate: SIGTERM
      case .interrupt: SIGINT
      case .hangUp: SIGHUP
      case .user1: SIGUSR1
      case .user2: SIGUSR2
      }
    _ = signal(number, SIG_IGN)
    return number
  }

  // MARK: Waiting

  /// How a descriptor is watched.
  enum WatchMode {
    /// By edges: both directions and the peer's half-close.
    case edges
    /// By level, input only: for the mailbox and for listeners.
    case input
  }

  static func makePoll() -> Int32 { coatcheck_epoll_create() }

  static func watch(_ poll: Int32, _ descriptor: Int32, _ mode: WatchMode, data: UInt64) -> Bool {
    switch mode {
    case .edges: coatcheck_epoll_add(poll, descriptor, data) == 0
    case .input: coatcheck_epoll_add_level(poll, descriptor, data) == 0
    }
  }

  /// For a descriptor watched by edges.
  static func watchAgain(_ poll: Int32, _ descriptor: Int32, data: UInt64) {
    coatcheck_epoll_modify(poll, descriptor, data)
  }

  static func unwatch(_ poll: Int32, _ descriptor: Int32) { coatcheck_epoll_remove(poll, descriptor) }

  /// - Returns: how many events there are, 0 when the time is over or a signal came in between.
  static func wait(_ poll: Int32, into events: inout [coatcheck_event], milliseconds: Int32) -> Int {
    let count = unsafe events.withUnsafeMutableBufferPointer { buffer in
      unsafe coatcheck_epoll_wait(poll, buffer.baseAddress, Int32(clamping: buffer.count), milliseconds)
    }
    precondition(count >= 0 || errno == EINTR, "epoll_wait on a descriptor that is none")
    return max(0, Int(count))
  }
  static func makeWakeup() -> Int32 { coatcheck_eventfd() }

  static func wake(_ descriptor: Int32) {
    var one: UInt64 = 1
    while unsafe Glibc.write(descriptor, &one, 8) < 0 && errno == EINTR {}
  }

  static func clearWakeup(_ descriptor: Int32) {
    var count: UInt64 = 0
    while unsafe Glibc.read(descriptor, &count, 8) < 0 && errno == EINTR {}
  }

  // MARK: Sockets

  static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

  /// - Returns: the descriptor, or a negated errno.
  static func makeSocket(family: Int32) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(family, type, 0)
    return descriptor < 0 ? -errno : descriptor
  }

  /// Several sockets on one address, and no wait for the address after a restart.
  static func shareAddress(_ descriptor: Int32) {
    set(descriptor, level: SOL_SOCKET, option: SO_REUSEADDR)
    set(descriptor, level: SOL_SOCKET, option: SO_REUSEPORT)
  }

  static func noDelay(_ descriptor: Int32) {
    set(descriptor, level: Int32(IPPROTO_TCP), option: TCP_NODELAY)
  }

  private static func set(_ descriptor: Int32, level: Int32, option: Int32) {
    var value: Int32 = 1
    unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// The next `close` sends a reset.
  static func resetOnClose(_ descriptor: Int32) {
    var value = linger(l_onoff: 1, l_linger: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
  }

  static func pendingError(_ descriptor: Int32) -> Int32 {
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    let result = unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
    return result == 0 ? code : errno
  }

  static func shutdownWrite(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  static func receive(_ descriptor: Int32, into buffer: inout Buffer, max: Int) -> IOOutcome {
    var outcome = IOOutcome.wouldBlock
    unsafe buffer.fill(atLeast: max) { space in
      let size = min(max, space.count)
      while true {
        let count = unsafe coatcheck_receive(descriptor, space.baseAddress, size)
        if count > 0 {
          outcome = .bytes(count)
          return count
        }
        if count == 0 {
          outcome = .endOfStream
          return 0
        }
        switch errno {
        case EINTR: continue
        case EAGAIN: outcome = .wouldBlock
        default: outcome = .failed(errno)
        }
        return 0
      }
    }
    return outcome
  }

  static func send(_ descriptor: Int32, from buffer: borrowing Buffer, _ range: Range<Int>) -> IOOutcome {
    unsafe buffer.withBytes { all in
      let bytes = unsafe UnsafeRawBufferPointer(rebasing: all[range])
      while true {
        let count = unsafe coatcheck_send(descriptor, bytes.baseAddress, bytes.count)
        if count >= 0 { return .bytes(count) }
        switch errno {
        case EINTR: continue
        case EAGAIN: return .wouldBlock
        default: return .failed(errno)
        }
      }
    }
  }

  /// No end and no byte waits: what a kept-alive connection must look like.
  static func isQuiet(_ descriptor: Int32) -> Bool {
    var byte: UInt8 = 0
    while true {
      let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK))
      if count >= 0 { return false }
      if errno == EINTR { continue }
      return errno == EAGAIN
    }
  }

  /// Whether an errno value says that descriptors, memory or local ports ran out.
  static func isExhaustion(_ code: Int32) -> Bool {
    [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL].contains(code)
  }

  static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}

/// What a read or a write came to.
public enum IOOutcome: Sendable, Equatable {
  /// That many bytes moved.
  case bytes(Int)
  /// Nothing now; an event will tell.
  case wouldBlock
  /// The peer ended its side properly.
  case endOfStream
  /// The connection is of no use any more: an `errno` value, or 0 when TLS was cut off or broken.
  case failed(Int32)
}

extension Syscalls {
  enum Accepted {
    case connection(Int32, SocketAddress)
    case none
    case outOfDescriptors
  }

  static func accept(_ listener: Int32) -> Accepted {
    while true {
      var storage = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let descriptor = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe coatcheck_accept(listener, $0, &length)
        }
      }
      if descriptor >= 0 {
        guard let peer = SocketAddress(storage: storage) else {
          close(descriptor)
          continue
        }
        return .connection(descriptor, peer)
      }
      switch errno {
      case EINTR, ECONNABORTED, EPROTO: continue
      case let code: return isExhaustion(code) ? .outOfDescriptors : .none
      }
    }
  }

  /// - Returns: 0 or an errno value.
  static func listen(_ descriptor: Int32, on address: SocketAddress, backlog: Int32) -> Int32 {
    let bound = unsafe address.withPointer { pointer, length in unsafe bind(descriptor, pointer, length) }
    guard bound == 0 else { return errno }
    return Glibc.listen(descriptor, backlog) == 0 ? 0 : errno
  }

  /// Begins to connect. - Returns: 0 when it is under way or done, else an errno value.
  static func connect(_ descriptor: Int32, to address: SocketAddress) -> Int32 {
    while true {
      if unsafe address.withPointer({ unsafe Glibc.connect(descriptor, $0, $1) }) == 0 { return 0 }
      if errno == EINTR { continue }
      return errno == EINPROGRESS ? 0 : errno
    }
  }

  static func localAddress(_ descriptor: Int32) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getsockname(descriptor, $0, &length)
      }
    }
    return result == 0 ? SocketAddress(storage: storage) : nil
  }

  /// A descriptor held in reserve.
  static func openSpare() -> Int32 { unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) }
}
