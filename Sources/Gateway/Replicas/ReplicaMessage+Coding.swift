internal import Basics
internal import JSON
internal import Sessions

// The form on the way: JSON, of which a reader takes the members it knows. A program of another version may have more of them, and
// other kinds.
extension ReplicaMessage {
  /// The name of its kind.
  var kind: String {
    switch self {
    case .asked: "asked"
    case .withdrawn: "withdrawn"
    case .settled: "settled"
    case .dropped: "dropped"
    case .roundCompleted: "round"
    case .roundsForgotten: "rounds-forgotten"
    case .userForgotten: "user-forgotten"
    case .scopesLearned: "scopes-learned"
    case .scopesForgotten: "scopes-forgotten"
    }
  }

  private static let kinds: Set = [
    "asked", "withdrawn", "settled", "dropped", "round", "rounds-forgotten", "user-forgotten",
    "scopes-learned", "scopes-forgotten",
  ]

  /// Whether this program knows the kind at all.
  static func isKnown(kind: String) -> Bool { kinds.contains(kind) }

  /// Its members besides `kind`.
  var members: JSONObject {
    switch self {
    case .asked(let id, let question):
      var members = question.subject.members
      members["ask"] = .bytes(id.digest)
      members["asked_at"] = .time(question.askedAt)
      members["mcp_session"] = question.mcpSession.map { .bytes($0) }
      return members
    case .withdrawn(let subject): return subject.members
    case .settled(let settlement):
      var members: JSONObject = [
        "user": .bytes(settlement.user), "session": .bytes(settlement.session.digest),
        "route": .string(settlement.route), "state": .string(settlement.state.rawValue),
      ]
      members["ask"] = settlement.ask.map { .bytes($0.digest) }
      members["mcp_session"] = settlement.mcpSession.map { .bytes($0) }
      return members
    case .dropped(let id): return ["ask": .bytes(id.digest)]
    case .roundCompleted(let round):
      var members: JSONObject = [
        "user": .bytes(round.user), "route": .string(round.route),
        "scopes": .array(round.scopes.map { .string($0) }), "at": .time(round.at),
      ]
      members["tool"] = round.tool.map { .string($0) }
      return members
    case .roundsForgotten(let user), .userForgotten(let user): return ["user": .bytes(user)]
    case .scopesLearned(let learned):
      return [
        "route": .string(learned.subject.route), "method": .string(learned.subject.method),
        "tool": .string(learned.subject.tool), "scopes": .array(learned.scopes.map { .string($0) }),
        "at": .time(learned.at),
      ]
    case .scopesForgotten(let route, let tool):
      var members = JSONObject()
      members["route"] = route.map { .string($0) }
      members["tool"] = tool.map { .string($0) }
      return members
    }
  }

  /// Reads what ``members`` wrote; nil when it is not of this kind.
  init?(kind: String, members: JSONValue) {
    switch kind {
    case "asked":
      guard let id = members["ask"]?.bytes32, let subject = Subject(members),
        let askedAt = members["asked_at"]?.time
      else { return nil }
      self = .asked(
        TicketHash(digest: id),
        Question(subject: subject, askedAt: askedAt, mcpSession: members["mcp_session"]?.bytes32))
    case "withdrawn":
      guard let subject = Subject(members) else { return nil }
      self = .withdrawn(subject)
    case "settled":
      guard let user = members["user"]?.bytes32, let session = members["session"]?.bytes32,
        let route = members["route"]?.string,
        let state = members["state"]?.string.flatMap(ConsentDesk.State.init(rawValue:)), state != .pending
      else { return nil }
      self = .settled(
        Settlement(
          ask: members["ask"]?.bytes32.map { TicketHash(digest: $0) }, user: user,
          session: TicketHash(digest: session), route: route, state: state,
          mcpSession: members["mcp_session"]?.bytes32))
    case "dropped":
      guard let id = members["ask"]?.bytes32 else { return nil }
      self = .dropped(TicketHash(digest: id))
    case "round":
      guard let user = members["user"]?.bytes32, let route = members["route"]?.string,
        let scopes = members["scopes"]?.strings, let at = members["at"]?.time
      else { return nil }
      self = .roundCompleted(
        Round(user: user, route: route, tool: members["tool"]?.string, scopes: scopes, at: at))
    case "rounds-forgotten":
      guard let user = members["user"]?.bytes32 else { return nil }
      self = .roundsForgotten(user: user)
    case "user-forgotten":
      guard let user = members["user"]?.bytes32 else { return nil }
      self = .userForgotten(user)
    case "scopes-learned":
      guard let route = members["route"]?.string, let method = members["method"]?.string,
        let tool = members["tool"]?.string, let scopes = members["scopes"]?.strings,
        let at = members["at"]?.time
      else { return nil }
      self = .scopesLearned(
        Scopes(
          subject: ToolScopes.Subject(route: route, method: method, tool: tool), scopes: scopes, at: at))
    case "scopes-forgotten":
      self = .scopesForgotten(route: members["route"]?.string, tool: members["tool"]?.string)
    default: return nil
    }
  }
}

extension ReplicaMessage.Subject {
  fileprivate var members: JSONObject {
    [
      "user": .bytes(user), "session": .bytes(session.digest), "route": .string(route),
      "method": .string(Base64URL.encode(method)), "name": .string(Base64URL.encode(name)),
    ]
  }

  fileprivate init?(_ members: JSONValue) {
    guard let user = members["user"]?.bytes32, let session = members["session"]?.bytes32,
      let route = members["route"]?.string, let method = members["method"]?.string.flatMap(Base64URL.decode),
      let name = members["name"]?.string.flatMap(Base64URL.decode)
    else { return nil }
    self.init(
      user: user, session: TicketHash(digest: session), route: route, method: method, name: name)
  }
}

extension JSONValue {
  static func bytes(_ value: Bytes32) -> JSONValue { .string(Base64URL.encode(value.bytes)) }
  static func time(_ value: Timestamp) -> JSONValue { .number(JSONNumber(value.milliseconds)) }

  fileprivate var bytes32: Bytes32? { string.flatMap(Base64URL.decode).flatMap { Bytes32($0) } }
  fileprivate var time: Timestamp? { int64.map { Timestamp(milliseconds: $0) } }
}
