internal import Basics
internal import HTTP
internal import Reactor

// Server-sent events on their way to the client.
extension Exchange {
  func pumpEvents(_ upstream: UpstreamConnection) -> Bool {
    guard let events, let connection, let server = connection.server else { return false }
    if answerReader.isFinished {
      var rest = Buffer()
      events.passRest(to: &rest)
      appendEvents(rest, connection)
      finishRelay(upstream, connection)
      return true
    }
    guard connection.out.count < server.limits.highWaterBytes else {
      upstream.disarm()
      return false
    }
    do throws(RelayError) {
      guard try events.pull(&answerReader, from: &answerRest, atMost: Self.pieceBytes) else {
        return readMore(upstream)
      }
    } catch {
      truncate()
      return true
    }
    // A buffer of its own, since the handler runs while it is filled.
    var passed = Buffer()
    swap(&passed, &server.eventScratch)
    events.passEvents(self, server.handler, to: &passed)
    appendEvents(passed, connection)
    passed.removeAll()
    swap(&passed, &server.eventScratch)
    if events.isEnded { endEvents(connection) }
    return true
  }

  private func appendEvents(_ bytes: borrowing Buffer, _ connection: ServerConnection) {
    guard !bytes.isEmpty else { return }
    if clientFraming == .chunked {
      connection.out.appendChunk(from: bytes, 0..<bytes.count)
    } else {
      connection.out.append(from: bytes)
    }
    connection.armKeepAlive()
  }

  /// Ends the client's event stream properly, whatever the upstream still has to say.
  func endEvents(_ connection: ServerConnection) {
    guard case .relayingEvents = phase else { return }
    phase = .answered
    if clientFraming == .chunked { connection.out.appendLastChunk() }
    if let upstream { detach(upstream, reusable: false) }
  }

  /// Nothing was sent for a while: a comment shows every hop that the stream is alive (WHATWG HTML §9.2.7).
  func sendKeepAlive() {
    guard let events, let connection else { return }
    switch phase {
    case .relayingEvents where events.isBetweenEvents:
      appendEvents(Self.comment, connection)
      connection.drive()
    case .relayingEvents: connection.armKeepAlive()
    default: break
    }
  }

  private static var comment: Buffer {
    var buffer = Buffer()
    buffer.append(": keep-alive\n\n" as StaticString)
    return buffer
  }
}
