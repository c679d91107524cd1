internal import Basics
internal import HTTP
internal import Reactor

// Requests: heads, bodies, and what is thrown away of them.
extension ServerConnection {
  /// Reads what is wanted now. Whether anything changed.
  func takeInput() -> Bool {
    switch (input, exchange.phase) {
    case (.head, .idle): return takeHead()
    case (.body, .collectingBody(let limit)): return takeCollected(limit)
    case (.complete, .collectingBody(let limit)):
      exchange.phase = .deciding
      server?.handler.bodyCollected(exchange, complete: exchange.bodyCount <= limit)
      return true
    case (.body, .idle): return takeDiscarded()
    default: return false
    }
  }

  func takeHead() -> Bool {
    guard let server else { return false }
    while true {
      if !exchange.requestBytes.isEmpty {
        do throws(HTTPError) {
          if try exchange.request.parse(exchange.requestBytes, limits: server.limits.head) {
            begin(server)
            return true
          }
        } catch {
          refuse(error.status, error.reason)
          return true
        }
      }
      guard isReadable else { return false }
      switch receive(into: &exchange.requestBytes) {
      case .bytes:
        if !headHasBegun {
          headHasBegun = true
          readTimer.arm(after: server.timeouts.head)
        }
      case .wouldBlock: return false
      // An incomplete head has nobody to answer.
      case .endOfStream, .failed:
        close()
        return true
      }
    }
  }

  func begin(_ server: HTTPServer) {
    let x = exchange
    let headCount = x.request.byteCount
    let facts = RequestFacts(x.request)
    x.asked = facts
    requestCount += 1
    readTimer.disarm()
    x.number &+= 1
    x.beganAt = loop.now
    x.counted = ExchangeStats()
    x.counted.requestBytes = UInt64(headCount)
    continueIsDue = false
    mustClose = false
    discarded = 0
    if case .length(let count) = facts.framing, count <= UInt64(x.requestBytes.count - headCount) {
      x.bodyInPlace = headCount..<headCount + Int(count)
      x.counted.requestBytes += count
      input = .complete
    } else if facts.framing == .none {
      x.bodyInPlace = headCount..<headCount
      input = .complete
    } else {
      if x.requestBytes.count > headCount {
        rest.append(from: x.requestBytes, headCount..<x.requestBytes.count)
        x.requestBytes.truncate(to: headCount)
      } else {
        continueIsDue = x.request.expectsContinue
      }
      bodyReader.begin(facts.framing, errorStatus: 400)
      input = .body
    }
    x.phase = .deciding
    server.handler.received(x)
  }

  /// What came of asking for body bytes.
  enum BodyOutcome {
    case progressed
    case finished
    case wouldBlock
    case malformed(HTTPError)
    /// The client ended its stream inside the body, or failed.
    case ended
  }

  /// Moves body bytes to `output`, reading as needed.
  func pullBody(into output: inout Buffer, atMost: Int) -> BodyOutcome {
    while true {
      if bodyReader.isFinished {
        readTimer.disarm()
        bodyIsWatched = false
        input = .complete
        return .finished
      }
      let before = bodyReader.delivered
      do throws(HTTPError) {
        if try bodyReader.pull(from: &rest, into: &output, atMost: atMost) {
          let moved = bodyReader.delivered - before
          exchange.counted.requestBytes += moved
          bodyIsWatched = false
          if moved > 0 { return .progressed }
          continue
        }
      } catch {
        return .malformed(error)
      }
      sayContinue()
      guard isReadable else {
        if !bodyIsWatched, let server {
          bodyIsWatched = true
          readTimer.arm(after: server.timeouts.bodyStall)
        }
        return .wouldBlock
      }
      switch receive(into: &rest) {
      case .bytes: continue
      case .wouldBlock: continue
      case .endOfStream, .failed: return .ended
      }
    }
  }

  /// Moves body bytes to `output` as one chunk.
  func pullChunk(into output: inout Buffer) -> BodyOutcome {
    guard let server else { return .ended }
    let outcome = pullBody(into: &server.scratch, atMost: Exchange.pieceBytes)
    output.appendChunk(from: server.scratch, 0..<server.scratch.count)
    server.scratch.removeAll()
    return outcome
  }

  /// The body is wanted: a client that waits for it hears so (RFC 9110 §10.1.1).
  func sayContinue() {
    guard continueIsDue else { return }
    continueIsDue = false
    if !exchange.hasBegun { out.append("HTTP/1.1 100 Continue\r\n\r\n" as StaticString) }
    mustDriveAgain = true
  }

  func takeCollected(_ limit: Int) -> Bool {
    // A length that says it in advance needs no reading.
    if case .length(let count) = exchange.asked.framing, count > UInt64(max(0, limit)) {
      exchange.phase = .deciding
      server?.handler.bodyCollected(exchange, complete: false)
      return true
    }
    while true {
      guard exchange.collected.count <= limit else {
        readTimer.disarm()
        exchange.phase = .deciding
        server?.handler.bodyCollected(exchange, complete: false)
        return true
      }
      switch pullBody(into: &exchange.collected, atMost: limit - exchange.collected.count + 1) {
      case .progressed:
        if countHeldBody() { continue }
        exchange.failRequest(UpstreamFailure(.outOfMemory, "all requests together hold too much"))
      // Handed over by the next turn.
      case .finished: return true
      case .wouldBlock: return false
      case .malformed(let error): exchange.failRequest(UpstreamFailure(.requestMalformed, error.description))
      case .ended: clientLeft()
      }
      return true
    }
  }

  /// The rest of a body whose answer is complete.
  func takeDiscarded() -> Bool {
    guard let server else { return false }
    let outcome = pullBody(into: &server.scratch, atMost: Exchange.pieceBytes)
    discarded += server.scratch.count
    server.scratch.removeAll()
    switch outcome {
    case .progressed where discarded <= server.limits.discardBytes: return true
    case .finished:
      next()
      return true
    case .wouldBlock: return false
    case .progressed, .malformed, .ended:
      beginLinger()
      return true
    }
  }

  func receive(into buffer: inout Buffer) -> IOOutcome {
    guard let server else { return .wouldBlock }
    let outcome = stream.read(into: &server.readScratch, max: Self.readBytes)
    switch outcome {
    case .bytes: buffer.absorb(&server.readScratch)
    case .wouldBlock: isReadable = false
    case .endOfStream, .failed: clientHasEnded = true
    }
    return outcome
  }

  private static let readBytes = 64 * 1024
}
