/// What is done with an upstream's answer, decided when its head is here.
public enum AnswerPlan: Sendable {
  /// Stream it to the client as it arrives.
  case relay
  /// Stream server-sent events: head at once, each event the moment it is complete and the handler has seen it. An
  /// event longer than `maxEventBytes` passes unseen. When nothing was sent for `keepAlive`, a comment line is.
  /// A gzip or deflate coded answer is decoded; the handler then leaves `Content-Encoding` out of the client's head.
  case relayEvents(maxEventBytes: Int, keepAlive: Duration?)
  /// Hold it back, up to `limit` body bytes, and ask again.
  case collect(limit: Int)
  /// Forget it. The handler answers itself or forwards again, inside the call or later.
  case discard
  /// Keep it as it stands, its head whole and its body unread, until the handler says by ``Exchange/proceed(with:)`` what
  /// becomes of it. The handler sees to an end of the wait; it may answer itself instead.
  case wait
}

/// What happens to one server-sent event.
public enum EventVerdict: Sendable {
  /// It goes to the client as it is.
  case pass
  /// These bytes go instead.
  case replace([UInt8])
  /// These bytes are the last: the client's answer ends properly and the upstream connection is closed.
  case end([UInt8])
  /// These bytes go instead, and the stream is the handler's from here on, as one that it began itself
  /// (``Exchange/startStream(status:keepAlive:fields:)``): the upstream connection is closed.
  case takeOver([UInt8])
}

/// What happens to an upstream request whose client disconnected.
public enum ClientGonePolicy: Sendable {
  /// Its connection is closed at once: the upstream sees the cancellation.
  case abortUpstream
  /// Its answer is read to the end and discarded, bounded by the pool's timeouts: the upstream is not disturbed.
  case drainUpstream
}

/// What the end of a client's byte stream (a FIN, `close_notify`) means while its answer is not complete. TCP cannot
/// tell a client that only stopped sending from one that left; the difference shows when we write to it.
public enum EndOfInputPolicy: Sendable {
  /// It gets its answer (a half-closed client, RFC 9293 §3.6); that it left shows as a reset when we write.
  case answerAnyway
  /// It has left. Right for streams, where the next write may be minutes away.
  case isDisconnect
}

/// How an exchange ended.
public enum ExchangeEnd: Sendable, Equatable {
  /// It has not.
  case pending
  /// The client got its whole answer, ours or the upstream's.
  case complete
  /// The client disconnected first.
  case clientGone
  /// The client did not take its answer in time.
  case clientStalled
  /// The upstream's answer broke off after its beginning had been sent: the client's connection was closed so that
  /// it can tell.
  case answerTruncated
  /// The server stopped before the answer was complete.
  case serverStopped
}
