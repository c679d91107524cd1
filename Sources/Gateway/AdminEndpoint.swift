internal import Basics
internal import HTTP
internal import Reactor
internal import Wire

/// `/healthz`, `/readyz`, `/metrics` and `/tool-scopes` on `admin.listen`, for which no sign-in is needed and which tell nothing of a session;
/// `/sessions` for who shows the token of `admin.token_file`.
///
/// Owner: the control loop.
final class AdminEndpoint: ExchangeHandler {
  /// For operators and probes: few connections, and small requests.
  static var limits: ServerLimits {
    var limits = ServerLimits()
    limits.maxConnections = 256
    limits.head.headBytes = 8 << 10
    return limits
  }

  private let loop: EventLoop
  let control: ControlPlane
  /// What operators show for `/sessions`; nil: nobody may.
  let token: Secret?
  var server: HTTPServer?
  private var waiting: [UInt64: (exchange: Exchange, sequence: UInt64)] = [:]
  private var next: UInt64 = 0

  init(loop: EventLoop, control: ControlPlane, token: Secret?) {
    self.token = token
    self.loop = loop
    self.control = control
  }

  func stop() { server?.stop() }

  func received(_ x: Exchange) {
    let path = x.requestBytes.string(x.request.path)
    if path == "/tool-scopes" { return toolScopes(x) }
    if path == Self.sessionsPath || path.hasPrefix(Self.sessionsPath + "/") { return sessions(x, path) }
    guard x.request.method == .get || x.request.method == .head else {
      return reply(x, 405, "method not allowed\n")
    }
    switch path {
    case "/healthz": reply(x, 200, "ok\n")
    case "/readyz": ask(x) { await $0.readiness() }
    case "/readyz/traffic": ask(x) { await $0.readinessForTraffic() }
    case "/metrics": ask(x) { (200, await $0.metricsPage()) }
    default: reply(x, 404, "not found\n")
    }
  }

  /// What was learned about tools: `GET` shows it, `DELETE` forgets it, with `?route=` or `?tool=` only what fits.
  private func toolScopes(_ x: Exchange) {
    switch x.request.method {
    case .get, .head: reply(x, 200, control.toolScopesPage(), type: Self.json)
    case .delete:
      let query = x.request.query.map { PercentEncoding.parseQuery(x.requestBytes.string($0)) } ?? []
      // A misspelt name must not forget everything.
      guard query.allSatisfy({ ["route", "tool"].contains($0.0) }) else {
        return reply(x, 400, "the parameters are route and tool; without any, all is forgotten\n")
      }
      let route = query.first { $0.0 == "route" }?.1
      let tool = query.first { $0.0 == "tool" }?.1
      ask(x) { (200, "forgotten: \(await $0.forgetToolScopes(route: route, tool: tool))\n") }
    default: reply(x, 405, "method not allowed\n")
    }
  }

  private func ask(_ x: Exchange, _ question: @escaping @Sendable (ControlPlane) async -> (Int, String)) {
    askControl(x) { control in
      let (status, text) = await question(control)
      return (status, text, Self.text)
    }
  }

  static let json = "application/json"
  private static let text = "text/plain; version=0.0.4; charset=utf-8"

  /// Lets the exchange wait for the control plane's answer: status, body and its type.
  func askControl(
    _ x: Exchange, _ question: @escaping @Sendable (ControlPlane) async -> (Int, String, String)
  ) {
    next += 1
    let id = next
    waiting[id] = (x, x.sequence)
    let me = LoopBound(self, on: loop)
    let control = control
    loop.spawn {
      let (status, text, type) = await question(control)
      me.loop.execute {
        guard let (x, sequence) = me.value.waiting.removeValue(forKey: id), x.sequence == sequence else {
          return
        }
        me.value.reply(x, status, text, type: type)
      }
    }
  }

  func reply(
    _ x: Exchange, _ status: Int, _ text: String, type: String = AdminEndpoint.text,
    fields: [(name: String, value: String)] = []
  ) {
    x.respond(
      status: status,
      fields: {
        $0.append("Content-Type: ")
        $0.append(type)
        $0.append("\r\nCache-Control: no-store\r\n")
        for (name, value) in fields { $0.append("\(name): \(value)\r\n") }
      },
      body: Array(text.utf8))
  }

  func bodyCollected(_ x: Exchange, complete: Bool) {}
  func answerHead(_ x: Exchange) -> AnswerPlan { .discard }
  func answerCollected(_ x: Exchange) {}
  func answerTooLong(_ x: Exchange) {}
  func event(_ x: Exchange, _ event: borrowing Buffer, _ range: Range<Int>) -> EventVerdict { .pass }
  func upstreamFailed(_ x: Exchange, _ failure: UpstreamFailure) {}
  func clientGone(_ x: Exchange) {}
  func finished(_ x: Exchange) {}
}
