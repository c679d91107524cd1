/// A streaming answer of our own. Made only for such answers, so that other exchanges do not pay for it.
///
/// Owner: the exchange, from the stream's head to the end of the exchange.
final class LocalStream {
  /// The client gets a comment when nothing was sent for so long.
  let keepAlive: Duration?
  /// The upstream's answer is collected, wholly or as far as the limit went, and the handler may have it
  /// relayed.
  var holdsAnswer = false

  init(keepAlive: Duration?) { self.keepAlive = keepAlive }
}
