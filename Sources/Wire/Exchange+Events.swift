internal import Basics
internal import HTTP
internal import Reactor

// Server-sent events on their way to the client.
extension Exchange {
  func pumpEvents(_ upstream: UpstreamConnection) -> Bool {
    guard let events, let connection, let server = connection.server else { return false }
    guard answerReader.isFinished || connection.out.count < server.highWaterBytes else {
      upstream.disarm()
      return false
    }
    do throws(RelayError) {
      if answerReader.isFinished {
        try passRest(events, connection)
        finishRelay(upstream, connection)
        return true
      }
      guard try events.pull(&answerReader, from: &answerRest, atMost: Self.pieceBytes) else {
        return readMore(upstream)
      }
    } catch {
      truncate()
      return true
    }
    passEvents()
    if events.isEnded { endEvents(connection) }
    return true
  }

  /// Sends the events that are whole.
  func passEvents() {
    guard let events, let connection, let server = connection.server else { return }
    // A buffer of its own, since the handler runs while it is filled.
    var passed = Buffer()
    swap(&passed, &server.eventScratch)
    events.passEvents(self, server.handler, to: &passed)
    connection.appendToStream(passed.span)
    passed.removeAll()
    swap(&passed, &server.eventScratch)
  }

  private func passRest(_ events: EventRelay, _ connection: ServerConnection) throws(RelayError) {
    var rest = Buffer()
    try events.passRest(to: &rest)
    connection.appendToStream(rest.span)
  }

  /// The one event of a body that was held completely, and the end of the stream.
  func endMessage(_ connection: ServerConnection) throws(RelayError) {
    guard let events else { return }
    try passRest(events, connection)
    endEvents(connection)
  }

  /// Ends the client's event stream properly, whatever the upstream still has to say.
  func endEvents(_ connection: ServerConnection) {
    guard case .relayingEvents = phase else { return }
    if let events, events.isTakenOver {
      localStream = LocalStream(keepAlive: events.keepAlive ?? localStream?.keepAlive)
      self.events = nil
      phase = .localStream
      if let upstream { detach(upstream, reusable: false) }
      return connection.armKeepAlive()
    }
    phase = .answered
    if clientFraming == .chunked { connection.out.appendLastChunk() }
    if let upstream { detach(upstream, reusable: false) }
  }

  /// Nothing was sent for a while: a comment shows every hop that the stream is alive (WHATWG HTML §9.2.7).
  func sendKeepAlive() {
    guard let connection, keepAliveInterval != nil else { return }
    if case .relayingEvents = phase, let events {
      guard events.isBetweenEvents else { return connection.armKeepAlive() }
      events.noteOwnBytes()
    } else if !streamIsOurs {
      return
    }
    let comment = Self.comment
    connection.appendToStream(comment.span)
    connection.drive()
  }

  private static var comment: Buffer {
    var buffer = Buffer()
    buffer.append(": keep-alive\n\n" as StaticString)
    return buffer
  }
}
