internal import Basics
internal import HTTP
internal import Reactor
internal import Wire

/// The addresses the proxy answers itself: `/auth/…` and `/.well-known/…`. No route can take them.
enum OwnEndpoints {
  /// Forms of our own pages are short; nothing larger is meant for us.
  static let maxBodyBytes = 16 * 1024

  /// Where the provider says, server to server, that somebody signed out.
  static let backChannelLogout = "/auth/backchannel-logout"
  /// Where the provider says so through the person's browser.
  static let frontChannelLogout = "/auth/frontchannel-logout"

  static func covers(_ buffer: borrowing Buffer, _ path: Range<Int>) -> Bool {
    hasPrefix(buffer, path, "/auth") || hasPrefix(buffer, path, "/.well-known")
  }

  private static func hasPrefix(_ buffer: borrowing Buffer, _ path: Range<Int>, _ prefix: StaticString)
    -> Bool
  {
    guard buffer.hasPrefix(path, prefix) else { return false }
    let end = path.lowerBound + prefix.utf8CodeUnitCount
    return end == path.upperBound || buffer[end] == UInt8(ascii: "/")
  }
}

extension DataLoop {
  /// A request to one of the own endpoints: read its small body, then let the control loop answer.
  func ownEndpoint(_ x: Exchange, _ call: Call, isPreflight: Bool) {
    if isPreflight { return preflight(x, call) }
    if let refusal = refusalOfOwnEndpoint(x, call) {
      metrics.refusedByGuard &+= 1
      return deny(x, call, Denial(refusal))
    }
    call.phase = .awaitingBody
    x.collectBody(limit: OwnEndpoints.maxBodyBytes)
  }

  /// What changes something is for pages of this origin only; what a script reads also for those of an allowed one. Sign-in,
  /// callback and the links that lead to consent are navigations and may come from anywhere.
  private func refusalOfOwnEndpoint(_ x: Exchange, _ call: Call) -> RequestGuard.Refusal? {
    let isForScripts = x.requestBytes.equals(x.request.path, "/auth/session")
    guard call.evidence.verb == .post || isForScripts else { return nil }
    // It acts with no cookie, only with a token that the provider signed: wherever it comes from.
    if x.requestBytes.equals(x.request.path, Array(OwnEndpoints.backChannelLogout.utf8)) { return nil }
    // A page that may call may also fetch its call's answer; what it decides there is refused later.
    if call.evidence.hasAllowedOrigin, x.requestBytes.equals(x.request.path, "/auth/continue") { return nil }
    return RequestGuard.checkOwnEndpoint(call.evidence)
  }

  func ownEndpointBody(_ x: Exchange, _ call: Call, complete: Bool) {
    guard complete else { return deny(x, call, .bodyTooLarge) }
    let request = ownRequest(x, call)
    askControl(x, call) { control in await control.handle(request) }
  }

  /// The request as a value for the control loop.
  func ownRequest(_ x: Exchange, _ call: Call) -> OwnRequest {
    OwnRequest(
      method: x.requestBytes.string(x.request.methodRange), path: x.requestBytes.string(x.request.path),
      query: x.request.query.map { PercentEncoding.parseQuery(x.requestBytes.string($0)) }?.map {
        ($0.0, $0.1)
      } ?? [],
      cookies: Cookies.all(in: x.request, x.requestBytes), body: x.withBody { $0.array($1) },
      evidence: call.evidence, client: client(of: x), requestID: hex(call.requestID))
  }
}
