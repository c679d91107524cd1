public import Basics
internal import HTTP
internal import Reactor

// Answers of our own, whole. Streams are in `Exchange+Streams.swift`.
extension Exchange {
  /// Asks for the request body, up to `limit` bytes; ``ExchangeHandler/bodyCollected(_:complete:)`` follows.
  public func collectBody(limit: Int) {
    guard case .deciding = phase, let connection else { return }
    phase = .collectingBody(limit: limit)
    connection.drive()
  }

  /// Answers completely. `fields` appends field lines, each with its CRLF: never framing fields, `Date`,
  /// `Connection`. An upstream request of this exchange is abandoned. Nothing happens once an answer has begun.
  public func respond(status: Int, fields: (inout Buffer) -> Void = { _ in }, body: [UInt8] = []) {
    respond(status: status, fields: fields, body: body.span)
  }

  /// Answers completely, as ``respond(status:fields:body:)``.
  public func respond(status: Int, fields: (inout Buffer) -> Void = { _ in }, body: Span<UInt8>) {
    guard canBeginAnswer, let connection else { return }
    leaveUpstream()
    connection.decideKeepAlive()
    counted.status = status
    hasBegun = true
    phase = .answered
    connection.out.appendStatusLine(status)
    fields(&connection.out)
    if AnswerHead.allowsBody(status) {
      AnswerHead.appendContentLength(UInt64(body.count), to: &connection.out)
    }
    connection.finishHead()
    if asked.method != .head, AnswerHead.allowsBody(status) { connection.out.append(body) }
    connection.drive()
  }

  /// Answers with an error and closes the connection after it.
  public func reject(status: Int, fields: (inout Buffer) -> Void = { _ in }, body: [UInt8] = []) {
    guard canBeginAnswer, let connection else { return }
    connection.mustClose = true
    respond(status: status, fields: fields, body: body)
  }

  /// Whether nothing of an answer was sent and the exchange is not over.
  var canBeginAnswer: Bool { !hasBegun && !isOver }

  /// An answer of unknown length: chunked, or until the connection closes for HTTP/1.0.
  func beginUnknownLength(_ connection: ServerConnection) {
    if asked.minorVersion >= 1 {
      clientFraming = .chunked
    } else {
      clientFraming = .untilClose
      connection.mustClose = true
    }
  }

  /// Gives up whatever goes on at an upstream.
  func leaveUpstream() {
    if case .waiting = phase { pool?.cancel(self) }
    // While the plan is decided the caller settles the connection, since its answer may be complete.
    if !isDecidingPlan, let upstream { detach(upstream, reusable: false) }
    forwardNext = nil
  }
}
