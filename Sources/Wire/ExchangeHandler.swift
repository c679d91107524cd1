public import Basics

/// What happens to each exchange: the seam between the wire and the product. One handler per loop; every method is
/// called on that loop, synchronously.
///
/// A handler may act on the exchange inside a call or at any later time, until ``finished(_:)``. Acting on an exchange
/// that is over (the client left meanwhile) is harmless: nothing happens. An exchange object is used again for the
/// next request of its connection, so whoever acts later compares ``Exchange/sequence`` first.
public protocol ExchangeHandler: AnyObject {
  /// A request head has been parsed. The handler, now or later, calls one of ``Exchange/collectBody(limit:)``,
  /// ``Exchange/forward(to:)``, ``Exchange/respond(status:fields:body:)``, ``Exchange/startStream(status:keepAlive:fields:)``
  /// and ``Exchange/reject(status:fields:body:)``.
  func received(_ x: Exchange)

  /// The body asked for by ``Exchange/collectBody(limit:)`` is here. `complete` is false when it is longer than the
  /// limit: the rest can still stream through ``Exchange/forward(to:)``.
  func bodyCollected(_ x: Exchange, complete: Bool)

  /// A final response head from the upstream is in ``Exchange/answer``. For ``AnswerPlan/relay`` and
  /// ``AnswerPlan/relayEvents(maxEventBytes:keepAlive:)`` the handler has appended the status line and the fields that pass to
  /// ``Exchange/clientHead``: never framing fields, `Connection`, `Date`. After ``Exchange/forwardIntoStream(to:)`` there
  /// is no head to write.
  func answerHead(_ x: Exchange) -> AnswerPlan

  /// After ``AnswerPlan/collect(limit:)``: the whole body is in ``Exchange/answerBody``, de-chunked, content coding
  /// untouched. The handler calls ``Exchange/relayCollected()``, ``Exchange/respond(status:fields:body:)`` or
  /// ``Exchange/forward(to:)``; inside a stream of ours ``Exchange/relayCollected()``, or it goes on with its stream.
  func answerCollected(_ x: Exchange)

  /// After ``AnswerPlan/collect(limit:)``: the body is longer. The handler fills ``Exchange/clientHead`` and calls
  /// ``Exchange/relayCollected()``, after which the rest streams on; or it answers itself.
  func answerTooLong(_ x: Exchange)

  /// After ``AnswerPlan/relayEvents(maxEventBytes:keepAlive:)``: one whole server-sent event, its bytes as received
  /// (after content decoding), the empty line included.
  func event(_ x: Exchange, _ event: borrowing Buffer, _ range: Range<Int>) -> EventVerdict

  /// The upstream did not answer and nothing was sent to the client: the handler answers. Inside a stream of ours
  /// (``Exchange/isLocalStream``) the handler goes on with it: it sends an event and ends it, or forwards again.
  func upstreamFailed(_ x: Exchange, _ failure: UpstreamFailure)

  /// The client disconnected before its answer was complete. Always followed by ``finished(_:)``, at once or, with
  /// ``ClientGonePolicy/drainUpstream``, when the upstream's answer has ended.
  func clientGone(_ x: Exchange)

  /// The exchange is over; ``Exchange/stats`` is complete. Called exactly once per ``received(_:)``.
  func finished(_ x: Exchange)

  /// A request was refused before it became an exchange: malformed, too large or too slow. The default answers with
  /// the bare status; an own one may add fields and a body through ``Refusal``. The connection closes afterwards.
  func refused(_ refusal: inout Refusal)
}

extension ExchangeHandler {
  /// Answers with the bare status.
  public func refused(_ refusal: inout Refusal) {}
}

/// A request that was refused before it became an exchange, and how it is answered.
public struct Refusal: ~Copyable {
  /// The status of the answer: 400, 408, 414, 417, 431, 501 or 505.
  public let status: Int
  /// What was wrong, for the log; holds nothing of the request.
  public let reason: StaticString
  /// Field lines of the answer, each with its CRLF; framing, `Date` and `Connection` are added.
  public var fields = Buffer()
  /// The body of the answer.
  public var body: [UInt8] = []

  init(status: Int, reason: StaticString) {
    self.status = status
    self.reason = reason
  }
}
