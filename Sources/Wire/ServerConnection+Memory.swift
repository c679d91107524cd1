internal import Basics
internal import HTTP
internal import Reactor

// What a connection holds in memory, as part of what all connections of its server hold. Counted only where something waits: a body
// that arrives with its head and an answer that the kernel takes at once cost nothing here.
extension ServerConnection {
  /// Counts the collected request body. Whether it may grow.
  func countHeldBody() -> Bool {
    guard let server else { return true }
    let count = exchange.collected.count
    server.changeHeld(by: count - heldBody)
    heldBody = count
    return server.heldBytes <= server.limits.heldBytes || count <= server.limits.smallBodyBytes
  }

  /// Counts the answer bytes that the client has not taken.
  func countHeldAnswer() {
    server?.changeHeld(by: out.count - heldAnswer)
    heldAnswer = out.count
  }

  /// The request is let go.
  func releaseHeldBody() {
    guard heldBody != 0 else { return }
    server?.changeHeld(by: -heldBody)
    heldBody = 0
  }

  /// The answer has left, or nobody takes it any more.
  func releaseHeldAnswer() {
    guard heldAnswer != 0 else { return }
    server?.changeHeld(by: -heldAnswer)
    heldAnswer = 0
  }
}

extension HTTPServer {
  func changeHeld(by delta: Int) {
    heldBytes += delta
    // The next piece of an answer only when the one before has left.
    highWaterBytes = heldBytes > limits.heldBytes ? min(1, limits.highWaterBytes) : limits.highWaterBytes
  }
}
