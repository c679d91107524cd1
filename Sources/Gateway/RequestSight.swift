internal import Basics
internal import HTTP
internal import MCP

/// Everything the pipeline decides by, read off a request's head in one go: entering the exchange once costs less than asking it for
/// each field.
struct RequestSight {
  var evidence: CallerEvidence
  /// Declared length of the body.
  var bodyLength: UInt64?
  /// One of the own endpoints.
  var isOwn = false
  /// The path can be read in one way only.
  var isPathClear = true
  var isPreflight = false
  /// `OPTIONS` that is meant for whoever receives it: of `*`, or with no hop left (RFC 9110 §7.6.2, §9.3.7).
  var isForThisHop = false
  var route: Route?
  /// What follows the route's prefix in the path.
  var pathRest = 0..<0
  var headers = RoutingHeaders()
  var mcpSession = RoutingHeaders.Field.absent
  /// Where the value of the session cookie stands.
  var ticket: Range<Int>?

  init(_ head: borrowing RequestHead, _ buffer: borrowing Buffer, _ shared: SharedState) {
    evidence = CallerEvidence(head, buffer, policy: shared.origins)
    if case .length(let count) = head.framing { bodyLength = count }
    let path = head.path
    isPreflight = evidence.verb == .options && head.contains(.accessControlRequestMethod)
    if OwnEndpoints.covers(buffer, path) {
      isOwn = true
      return
    }
    if evidence.verb == .options {
      isForThisHop = buffer.equals(path, "*") || MaxForwards.left(head, buffer) == 0
      if isForThisHop { return }
    }
    guard PathRules.problem(buffer, path) == nil else {
      isPathClear = false
      return
    }
    guard let (route, rest) = shared.routes.match(buffer, path) else { return }
    self.route = route
    pathRest = rest
    ticket = Cookies.find(shared.cookies.sessionNameBytes, in: head, buffer)
    guard route.isMCP else { return }
    headers = RoutingHeaders(
      version: RequestSight.field(.mcpProtocolVersion, head), method: RequestSight.field(.mcpMethod, head),
      name: RequestSight.field(.mcpName, head))
    mcpSession = RequestSight.field(.mcpSessionID, head)
  }

  private static func field(_ id: FieldID, _ head: borrowing RequestHead) -> RoutingHeaders.Field {
    RoutingHeaders.Field(count: head.count(of: id), first: head.first(id)?.value)
  }
}
