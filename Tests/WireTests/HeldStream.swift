import Basics
import HTTP
import Reactor

@testable import Wire

/// An exchange that a handler puts aside, for a test that acts on it later.
final class Aside: Sendable {
  private let kept = Locked<LoopBound<Exchange>?>(nil)

  func put(_ x: Exchange) {
    let bound = LoopBound(x, on: x.loop)
    kept.withLock { $0 = bound }
  }

  /// Acts on it; nil when none was put aside.
  @discardableResult func act<R: Sendable>(
    _ rig: Rig, _ body: @escaping @Sendable (Exchange, UpstreamPool) -> R
  ) -> R? {
    rig.with { [kept] _, pool in
      guard let x = kept.withLock({ $0 })?.value else { return nil }
      return body(x, pool)
    }
  }
}

/// Scripts and messages of streams that wait for an upstream.
enum HeldStream {
  static let post = "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ncall"
  static let comment = ": keep-alive\n\n"

  /// Begins a stream for each request and sends the request into it. Failures become an event.
  static func script(
    keepAlive: Duration? = nil, plan: @escaping @Sendable (Exchange) -> AnswerPlan = { _ in .relay }
  ) -> Script {
    var script = Script()
    script.received = { x, _ in x.collectBody(limit: 1_000_000) }
    script.bodyCollected = { x, pool, _ in
      begin(x, keepAlive: keepAlive)
      x.sendStream(Array(": wait\n\n".utf8))
      Pass.request(x)
      x.forwardIntoStream(to: pool)
    }
    script.answerHead = { x, _ in plan(x) }
    script.answerCollected = { x, _ in x.relayCollected() }
    script.answerTooLong = { x, _ in x.relayCollected() }
    script.upstreamFailed = { x, failure in
      x.sendStream(Array("data: \(failure.kind)\n\n".utf8))
      x.endStream()
    }
    return script
  }

  static func begin(_ x: Exchange, keepAlive: Duration? = nil) {
    x.startStream(status: 200, keepAlive: keepAlive) {
      $0.append("Content-Type: text/event-stream\r\n" as StaticString)
    }
  }

  /// An upstream's answer with a length.
  static func answer(_ body: String, status: Int = 200, fields: String = "") -> String {
    "HTTP/1.1 \(status) X\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  /// What a client reads of a body that passes as one event.
  static func event(_ data: String) -> String { "event: message\ndata: \(data)\n\n" }
}

extension MessageReader {
  /// The data of the next chunk.
  func chunk() -> String? {
    guard let line = through("\r\n"), let size = Int(line.dropLast(), radix: 16), size > 0,
      let data = take(size), take(2) != nil
    else { return nil }
    return String(decoding: data, as: UTF8.self)
  }
}
