internal import Basics
internal import HTTP
internal import Reactor

// Answers that are held back for the handler, or read for nobody.
extension Exchange {
  /// After ``ExchangeHandler/answerCollected(_:)`` or ``ExchangeHandler/answerTooLong(_:)``: sends
  /// ``clientHead`` and ``answerBody``, then whatever still comes from the upstream.
  ///
  /// Inside a stream of ours (``forwardIntoStream(to:)``) there is no head: the body goes as one event and
  /// the stream ends. A body that was collected whole goes as it stands, so the handler has decoded it if it
  /// was coded. After ``ExchangeHandler/answerTooLong(_:)`` the handler leaves ``answerBody`` as it is: it is
  /// decoded together with the rest.
  public func relayCollected() {
    if let localStream { return relayCollectedIntoStream(localStream) }
    guard case .deciding = phase, !hasBegun, let facts = answered, let connection else { return }
    if upstream != nil {
      // The rest streams on behind what was collected.
      beginRelay(connection)
      appendPayload(connection)
      phase = .relaying
    } else {
      let hasBody = asked.method != .head && AnswerHead.allowsBody(facts.status)
      connection.decideKeepAlive()
      counted.status = facts.status
      hasBegun = true
      clientFraming = hasBody ? .length : .none
      writeHead(hasBody ? UInt64(answerBody.count) : lengthOfNoBody, connection, &connection.out)
      if hasBody { connection.out.append(from: answerBody) }
      answerBody.removeAll()
      phase = .answered
    }
    connection.drive()
  }

  private func appendPayload(_ connection: ServerConnection) {
    if clientFraming == .chunked {
      connection.out.appendChunk(from: answerBody, 0..<answerBody.count)
    } else {
      connection.out.append(from: answerBody)
    }
    answerBody.removeAll()
  }

  func pumpCollected(_ upstream: UpstreamConnection, _ limit: Int) -> Bool {
    // A length that says it in advance is believed.
    guard answerBody.count <= limit, answerReader.remaining ?? 0 <= UInt64(max(0, limit)) else {
      phase = handlersTurn
      localStream?.holdsAnswer = true
      upstream.disarm()
      connection?.server?.handler.answerTooLong(self)
      return true
    }
    if answerReader.isFinished {
      phase = handlersTurn
      localStream?.holdsAnswer = true
      detach(upstream, reusable: canKeep(upstream))
      connection?.server?.handler.answerCollected(self)
      return true
    }
    do throws(HTTPError) {
      if try answerReader.pull(from: &answerRest, into: &answerBody, atMost: limit - answerBody.count + 1) {
        return true
      }
    } catch {
      return truncated(error.description)
    }
    return readMore(upstream)
  }

  func pumpDiscarded(_ upstream: UpstreamConnection) -> Bool {
    if answerReader.isFinished {
      detach(upstream, reusable: canKeep(upstream))
      connection?.endDiscarding()
      return true
    }
    do throws(HTTPError) {
      let pulled = try answerReader.pull(from: &answerRest, into: &answerBody, atMost: Self.pieceBytes)
      answerBody.removeAll()
      if pulled { return true }
    } catch {
      return truncated(error.description)
    }
    return readMore(upstream)
  }

  /// Lets go of an answer nobody needs: the connection is kept when the whole of it is here.
  func settle(_ upstream: UpstreamConnection) {
    guard let connection, let server = connection.server else { return detach(upstream, reusable: false) }
    var isWhole = false
    do throws(HTTPError) {
      while !answerReader.isFinished,
        try answerReader.pull(from: &answerRest, into: &server.scratch, atMost: .max)
      {}
      isWhole = answerReader.isFinished
    } catch {}
    server.scratch.removeAll()
    detach(upstream, reusable: isWhole && canKeep(upstream))
  }
}
