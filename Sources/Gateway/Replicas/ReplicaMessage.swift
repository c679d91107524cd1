internal import Basics
internal import Consent
internal import JSON
internal import Sessions

/// What one process tells the others that work on the same store, so that whoever is asked next knows it.
///
/// Routes are named by their paths: two processes may have different configurations while one of them is being replaced. Each message
/// changes nothing when it comes twice, but for ``roundCompleted(_:)``, which ``ReplicaLine`` lets through once.
enum ReplicaMessage: Sendable, Hashable {
  /// A person was asked: the call may come again anywhere, and the link may be opened anywhere.
  case asked(TicketHash, Question)
  /// A call that comes again is asked about anew.
  case withdrawn(Subject)
  /// A question was answered.
  case settled(Settlement)
  /// Nobody will answer a question any more.
  case dropped(TicketHash)
  /// A person completed a consent.
  case roundCompleted(Round)
  /// A person begins anew: rounds count for nothing.
  case roundsForgotten(user: Bytes32)
  /// Nothing waits for this person any more.
  case userForgotten(Bytes32)
  case scopesLearned(Scopes)
  /// nil fits everything.
  case scopesForgotten(route: String?, tool: String?)

  /// A call, as in `ConsentDesk.Subject`.
  struct Subject: Sendable, Hashable {
    var user: Bytes32
    var session: TicketHash
    var route: String
    var method: [UInt8]
    var name: [UInt8]
  }

  /// As in `ConsentDesk.Ask`.
  struct Question: Sendable, Hashable {
    var subject: Subject
    var askedAt: Timestamp
    var mcpSession: Bytes32?
  }

  struct Settlement: Sendable, Hashable {
    /// nil: a page was sent to the provider at once.
    var ask: TicketHash?
    var user: Bytes32
    /// The session whose call asked.
    var session: TicketHash
    var route: String
    var state: ConsentDesk.State
    /// The MCP session to tell, as far as it is known where it was settled.
    var mcpSession: Bytes32?
  }

  /// As in `ConsentRounds`.
  struct Round: Sendable, Hashable {
    var user: Bytes32
    var route: String
    var tool: String?
    var scopes: [String]
    var at: Timestamp
  }

  /// As in `ToolScopes.Learned`.
  struct Scopes: Sendable, Hashable {
    var subject: ToolScopes.Subject
    var scopes: [String]
    var at: Timestamp
  }
}

extension ReplicaMessage.Subject {
  init(_ subject: ConsentDesk.Subject, route: Route) {
    self.init(
      user: subject.user, session: subject.session, route: route.path, method: subject.method,
      name: subject.name)
  }

  /// The same here; nil when this process has no such route.
  func local(_ routes: RouteTable) -> ConsentDesk.Subject? {
    guard let route = routes.route(path: route) else { return nil }
    return ConsentDesk.Subject(user: user, session: session, route: route.index, method: method, name: name)
  }
}

extension RouteTable {
  /// The route that is configured for exactly this path.
  func route(path: String) -> Route? { all.first { $0.path == path } }
}
