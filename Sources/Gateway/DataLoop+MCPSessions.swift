internal import Basics
internal import HTTP
internal import MCP
internal import Sessions
internal import Wire

// MCP sessions: who opened one is remembered here and, where several processes share a store, there.
extension DataLoop {
  /// Remembers who opened an MCP session.
  ///
  /// - Returns: whether the answer has to wait until the others can know it: the client's next request may go to one of them.
  func noteMCPSession(_ x: Exchange, _ call: Call, _ route: Route) -> Bool {
    guard !call.isModern, x.answer.status == 200, let value = x.answer.only(.mcpSessionID),
      let session = call.session?.snapshot,
      let key = MCPSessionBindings.key(route: route, id: x.answerBytes.array(value)),
      shared.mcpSessions.owner(of: key) == nil
    else { return false }
    let capabilities = call.message?.capabilities ?? []
    // In a stream of ours the head is gone already, and the id with it.
    guard shared.control.isShared, !x.isLocalStream else {
      shared.mcpSessions.bind(key, to: session.userDigest, capabilities: capabilities)
      return false
    }
    askControl(x, call) { control in
      .mcpSessionKept(await control.keepMCPSession(key, of: session, capabilities), key)
    }
    return true
  }

  /// The others can know it: the answer that opened the session goes on.
  func mcpSessionKept(_ x: Exchange, _ call: Call, _ kept: MCPSessionLookup, _ key: Bytes32) {
    guard let route = call.route, let sight = call.answer, let session = call.session?.snapshot else {
      return deny(x, call, .noRoute)
    }
    // Somebody else's stays theirs: an id that an upstream gives out twice must not change hands.
    if case .found(let capabilities) = kept {
      shared.mcpSessions.bind(key, to: session.userDigest, capabilities: capabilities)
    }
    call.phase = .forwarded
    x.proceed(with: watch(x, call, route, sight))
  }

  /// Asks the store whose session it is.
  func askForMCPSession(_ x: Exchange, _ call: Call, _ key: Bytes32, _ session: SessionSnapshot) {
    let user = session.user
    askControl(x, call) { control in
      .mcpSession(await control.findMCPSession(key, of: user), key, of: user.digest)
    }
  }

  /// A 404 makes a client give its session up, so only what is known for sure is answered with one.
  func mcpSessionArrived(
    _ x: Exchange, _ call: Call, _ lookup: MCPSessionLookup, _ key: Bytes32, of user: Bytes32
  ) {
    guard let route = call.route else { return deny(x, call, .noRoute) }
    switch lookup {
    case .found(let capabilities):
      shared.mcpSessions.bind(key, to: user, capabilities: capabilities)
      // The person may have signed out meanwhile.
      findSession(x, call, route)
    case .unknown: deny(x, call, .unknownMCPSession)
    case .unavailable: deny(x, call, .storeUnavailable)
    }
  }
}
