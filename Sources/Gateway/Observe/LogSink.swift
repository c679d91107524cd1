internal import Dispatch
internal import Glibc
internal import Reactor

/// Where finished log lines go: standard error, written by one queue so that no loop ever waits for a slow terminal or pipe.
///
/// Owner: shared (every loop writes access lines, every logger its records). Bound: `capacity` bytes wait at most; lines beyond
/// that are dropped and counted, because a full disk must not stop the traffic.
public final class LogSink: Sendable {
  private struct State {
    var pending: [UInt8] = []
    var isScheduled = false
    /// Since the last time that this was told.
    var dropped = 0
    var droppedInAll: UInt64 = 0
  }

  private let state = Locked(State())
  private let queue = DispatchQueue(label: "coatcheck.log")
  private let descriptor: Int32
  private let capacity: Int

  /// - Parameters:
  ///   - descriptor: an open file descriptor, 2 for standard error. It is not closed here.
  ///   - capacity: bytes that may wait to be written.
  public init(descriptor: Int32 = 2, capacity: Int = 4 << 20) {
    self.descriptor = descriptor
    self.capacity = capacity
  }

  /// Appends whole lines, each with its newline.
  public func write(_ lines: [UInt8]) {
    let mustSchedule = state.withLock { state in
      if state.pending.count + lines.count > capacity {
        state.dropped += 1
        state.droppedInAll += 1
        return false
      }
      state.pending.append(contentsOf: lines)
      defer { state.isScheduled = true }
      return !state.isScheduled
    }
    if mustSchedule { queue.async { self.flush() } }
  }

  /// Lines that were given up because nobody took them.
  public var dropped: UInt64 { state.withLock { $0.droppedInAll } }

  /// Waits until everything written so far has left: used once, before the program ends, which a log that nobody reads does not
  /// hold up.
  public func drain() {
    let left = DispatchSemaphore(value: 0)
    queue.async {
      self.flush()
      left.signal()
    }
    _ = left.wait(timeout: .now() + LogSink.patience)
  }

  /// How long the program's end waits for its log, in seconds.
  private static let patience = 2.0

  private func flush() {
    while true {
      let (bytes, dropped) = state.withLock { state in
        let taken = (state.pending, state.dropped)
        if state.pending.isEmpty { state.isScheduled = false }
        state.pending = []
        state.dropped = 0
        return taken
      }
      if bytes.isEmpty { return }
      writeAll(bytes)
      if dropped > 0 {
        writeAll(
          Array("{\"level\":\"warning\",\"message\":\"log lines dropped\",\"count\":\(dropped)}\n".utf8))
      }
    }
  }

  private func writeAll(_ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { raw in
        // The slice stays inside the array: offset < count.
        unsafe Glibc.write(descriptor, raw.baseAddress?.advanced(by: offset), raw.count - offset)
      }
      if written > 0 {
        offset += written
      } else if errno == EAGAIN {
        // Whoever shares the pipe may have made it one that does not block.
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe Glibc.poll(&poll, 1, -1)
      } else if errno != EINTR {
        // Nobody reads our log any more: nothing to tell it to.
        let lines = bytes[offset...].lazy.filter { $0 == UInt8(ascii: "\n") }.count
        return state.withLock { $0.droppedInAll += UInt64(lines) }
      }
    }
  }
}
