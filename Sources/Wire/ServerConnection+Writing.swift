internal import Basics
internal import HTTP
internal import Reactor

// Answers: the end of their heads, and their way into the socket.
extension ServerConnection {
  /// Decides whether the connection stays open after the answer that begins now.
  func decideKeepAlive() {
    guard let server else { return }
    keepsAlive =
      !mustClose && exchange.asked.isKeepAlive && !server.isDraining
      && requestCount < server.limits.maxRequestsPerConnection ?? .max && restIsBounded(server.limits)
  }

  /// Whether what is still to come of the request body is little enough to be thrown away.
  func restIsBounded(_ limits: ServerLimits) -> Bool {
    guard input == .body else { return true }
    // A client that waits for 100 may or may not send the body: nobody can tell where the next request begins.
    guard !continueIsDue, let remaining = bodyReader.remaining else { return false }
    return remaining <= UInt64(limits.discardBytes)
  }

  /// Ends the answer's head: `Date`, `Connection`, empty line.
  func finishHead() { finishHead(&out) }

  /// Ends the answer's head that stands in `out`, the connection's output.
  func finishHead(_ out: inout Buffer) {
    if let server { server.dateLine.append(to: &out, unixSecond: loop.wallSecond) }
    if !keepsAlive {
      out.append("Connection: close\r\n\r\n" as StaticString)
    } else if exchange.asked.minorVersion == 0 {
      out.append("Connection: keep-alive\r\n\r\n" as StaticString)
    } else {
      out.append("\r\n" as StaticString)
    }
  }

  func flush() {
    var hasWritten = false
    while isWritable, !out.isEmpty {
      switch stream.write(from: &out) {
      case .bytes(let count):
        hasWritten = true
        exchange.counted.answerBytes += UInt64(count)
      case .wouldBlock: isWritable = false
      case .endOfStream, .failed: return clientLeft()
      }
    }
    if !out.isEmpty {
      countHeldAnswer()
      if hasWritten || !writeIsWatched, let server {
        writeIsWatched = true
        writeTimer.arm(after: server.timeouts.writeStall)
      }
    } else {
      if writeIsWatched {
        writeIsWatched = false
        writeTimer.disarm()
        releaseHeldAnswer()
        armKeepAlive()
      }
      if case .answered = exchange.phase {
        finish(.complete)
      } else if exchange.events != nil || exchange.localStream != nil {
        // The next event may be hours away.
        releaseStorage()
      }
    }
    // Room for more of the answer.
    if hasWritten, exchange.upstream != nil { mustDriveAgain = true }
  }

  /// Appends bytes of an answer of unknown length.
  func appendToStream(_ bytes: Span<UInt8>) {
    guard !bytes.isEmpty else { return }
    switch exchange.clientFraming {
    case .none: break
    case .chunked:
      out.append(hex: UInt64(bytes.count))
      out.append("\r\n" as StaticString)
      out.append(bytes)
      out.append("\r\n" as StaticString)
    case .length, .untilClose: out.append(bytes)
    }
    armKeepAlive()
  }

  /// Restarts the time after which an event stream shows that it is alive.
  func armKeepAlive() {
    guard !writeIsWatched, let interval = exchange.keepAliveInterval, link == .open else { return }
    writeTimer.arm(after: interval)
  }
}
