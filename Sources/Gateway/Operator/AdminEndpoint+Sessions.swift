internal import Basics
internal import HTTP
internal import JSON
internal import Reactor
internal import Sessions
internal import Wire

/// `/sessions` on the admin listener: for who shows the token of `admin.token_file`.
extension AdminEndpoint {
  static let sessionsPath = "/sessions"
  private static let listLimit = 500

  /// Answers a request for sessions.
  func sessions(_ x: Exchange, _ path: String) {
    guard let token else {
      return reply(
        x,
        .error(403, "not_enabled", "set admin.token_file, and show its token: sessions are not for everybody")
      )
    }
    guard shows(x, token) else {
      let peer = x.peer.host
      control.loop.spawn { [control] in await control.refusedOperator(path, from: peer) }
      return reply(
        x, .error(401, "invalid_token", "show the token of admin.token_file as a bearer token"),
        fields: [("WWW-Authenticate", "Bearer realm=\"coatcheck admin\"")])
    }
    if path == Self.sessionsPath { return allSessions(x) }
    guard let hash = TicketHash(text: String(path.dropFirst(Self.sessionsPath.utf8.count + 1))) else {
      return reply(x, .error(400, "invalid_id", "a session's id has 64 hexadecimal digits"))
    }
    let peer = x.peer.host
    switch x.request.method {
    case .get, .head: ask(x) { await $0.sessionDetail(hash) }
    case .delete: ask(x) { await $0.endSession(hash, from: peer) }
    default: reply(x, .error(405, "method_not_allowed", "GET and DELETE"), fields: [("Allow", "GET, DELETE")])
    }
  }

  /// Compares without telling by its time how much was right. Two tokens are none.
  private func shows(_ x: Exchange, _ token: Secret) -> Bool {
    guard let value = x.request.only(.authorization).map({ x.requestBytes.string($0) }) else { return false }
    let scheme = "bearer "
    guard ASCII.lowercased(String(value.prefix(scheme.count))) == scheme else { return false }
    return Secret(String(value.dropFirst(scheme.count))) == token
  }

  private func allSessions(_ x: Exchange) {
    let query = x.request.query.map { PercentEncoding.parseQuery(x.requestBytes.string($0)) } ?? []
    let peer = x.peer.host
    switch x.request.method {
    case .get, .head:
      guard let filter = SessionFilter(query, others: ["cursor", "limit"]),
        let limit = Int(query.first { $0.0 == "limit" }?.1 ?? "100"), (1...Self.listLimit).contains(limit)
      else {
        return badQuery(
          x, "user, issuer, tenant, provider, cursor and limit (1 to \(Self.listLimit)), each once")
      }
      let cursor = query.first { $0.0 == "cursor" }?.1
      ask(x) { await $0.sessionList(filter, after: cursor, limit: limit) }
    case .delete:
      guard let filter = SessionFilter(query, others: ["all"]) else {
        return badQuery(x, "user with issuer, tenant and provider, or all=true, each once")
      }
      if let all = query.first(where: { $0.0 == "all" })?.1 {
        guard all == "true", filter.isEmpty else { return badQuery(x, "all=true stands alone") }
        return ask(x) { await $0.endEverySession(from: peer) }
      }
      guard filter.user != nil else { return badQuery(x, "who is meant: user=…, or all=true") }
      ask(x) { await $0.endSessions(filter, from: peer) }
    default: reply(x, .error(405, "method_not_allowed", "GET and DELETE"), fields: [("Allow", "GET, DELETE")])
    }
  }

  private func badQuery(_ x: Exchange, _ known: String) {
    reply(x, .error(400, "invalid_parameters", "the parameters are: \(known)"))
  }

  private func ask(
    _ x: Exchange, _ question: @escaping @Sendable (ControlPlane) async -> ControlPlane.AdminAnswer
  ) {
    askControl(x) { control in
      let answer = await question(control)
      return (answer.status, answer.body.serialized() + "\n", Self.json)
    }
  }

  private func reply(
    _ x: Exchange, _ answer: ControlPlane.AdminAnswer, fields: [(name: String, value: String)] = []
  ) {
    reply(x, answer.status, answer.body.serialized() + "\n", type: Self.json, fields: fields)
  }
}
