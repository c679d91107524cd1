internal import MCP

/// The status a script of a page gets, as configured, when the person has to do something first.
public enum ScriptAnswer: Int, Sendable, Hashable, CaseIterable {
  case unauthorized = 401
  case forbidden = 403
  /// For pages whose libraries hide the body of every other status.
  case ok = 200
}

/// The ways of telling a caller that consent is needed, best first: each is for callers that the ones above it
/// do not suit.
public enum ConsentRung: String, Sendable, CaseIterable {
  /// A redirect to where consent is given.
  case redirect
  /// A structured answer for the script of a page, with the status of ``ScriptAnswer``.
  case script
  /// HTTP 200 with the JSON-RPC error -32042 (MCP 2025-11-25): ``Elicitation/required(id:elicitationID:url:message:data:)``.
  case urlElicitation
  /// HTTP 200 with an `input_required` result (MCP 2026-07-28).
  case inputRequired
  /// HTTP 200 with a failed tool result that holds the link as text.
  case toolResult
  /// HTTP 200 with a JSON-RPC error of our own code.
  case rpcError
  /// HTTP 403 with JSON.
  case plainStatus
}

extension ConsentRung {
  /// The way that suits a caller. A client is never sent a form of asking that it did not declare (MCP, client
  /// elicitation, *Capabilities*).
  ///
  /// The answers to programs have status 200: SDKs end the connection on others, or hide their bodies.
  public static func choose(for caller: CallerFacts, scriptAnswer: ScriptAnswer) -> ConsentRung {
    switch caller.kind {
    case .navigation: return .redirect
    case .pageScript:
      // One body serves the page's own code and an SDK that runs in the page.
      guard scriptAnswer == .ok, caller.isMCP, caller.isRequest else { return .script }
    case .program: break
    }
    guard caller.isMCP, caller.isRequest else { return .plainStatus }
    if caller.capabilities.contains(.urlElicitation) {
      switch caller.era {
      case .modern: if caller.method.hasName { return .inputRequired }
      // Nothing is negotiated yet while a session is opened.
      case .legacy:
        if caller.version == .withURLElicitation, caller.method != .initialize { return .urlElicitation }
      }
    }
    return caller.method == .toolsCall ? .toolResult : .rpcError
  }
}
