internal import Basics
internal import Consent
internal import Crypto
internal import JSON
internal import Sessions

/// A consent that somebody gave: what the account page shows, and what can be taken back there.
struct GivenConsent: Sendable {
  /// Names it among the consents of its user.
  var key: String
  /// Path of the route.
  var route: String
  /// What people call the server.
  var server: String
  var scopes: [String]
  /// What asked for it; nil: the server itself.
  var tool: String?
  var at: Timestamp

  init(route: Route, consent: SignInAttempt.Consent, at: Timestamp) {
    self.route = route.path
    server = route.consent.server
    scopes = consent.scopes
    tool = consent.tool
    self.at = at
    // The same consent given again is the same entry, with the later time.
    var hash = SHA256()
    for part in [route.path, consent.tool ?? ""] + consent.scopes.sorted() {
      hash.update(data: Array(part.utf8) + [0])
    }
    key = Base64URL.encode(Array(hash.finalize().prefix(16)))
  }

  var note: JSONObject {
    var members = JSONObject([
      ("route", .string(route)), ("server", .string(server)),
      ("scopes", .array(scopes.map { .string($0) })),
    ])
    if let tool { members["tool"] = .string(tool) }
    return members
  }

  init?(_ note: Note) {
    guard let value = try? JSONValue.parse(note.payload), let route = value["route"]?.string,
      let server = value["server"]?.string, let scopes = value["scopes"]?.strings
    else { return nil }
    key = note.key
    self.route = route
    self.server = server
    self.scopes = scopes
    tool = value["tool"]?.string
    at = note.updatedAt
  }
}

// What people agreed to, and what was learned from it.
extension ControlPlane {
  /// Entries that are kept for one person.
  private static let maxEntries = 200

  /// Enters a consent that was given.
  func enter(_ consent: SignInAttempt.Consent, user: UserKey) async {
    guard let route = route(of: consent), !consent.scopes.isEmpty else { return }
    let given = GivenConsent(route: route, consent: consent, at: clock())
    let note = Note(
      kind: .consent, owner: user, key: given.key,
      payload: JSONValue.object(given.note).serializedBytes(), updatedAt: given.at)
    do { try await store.put(note, keeping: Self.maxEntries) } catch { noteFailure(error) }
  }

  /// What a person agreed to, the newest first.
  func given(by user: UserKey) async throws(StoreError) -> [GivenConsent] {
    try await store.notes(.consent, owner: user).compactMap { GivenConsent($0) }
  }

  /// `POST /auth/revoke`: takes one consent back. The server's token is dropped in all sessions of the person, and no later one is
  /// asked with these scopes.
  func revoke(_ request: OwnRequest) async -> OwnResponse {
    let form = PercentEncoding.parseQuery(String(decoding: request.body, as: UTF8.self))
    guard let key = form.first(where: { $0.0 == "consent" })?.1 else {
      return .json(400, #"{"error":"invalid_request"}"#)
    }
    let session: Session
    switch await currentSession(request) {
    case .session(let current): session = current
    case .unavailable: return unavailable(request)
    case .none, .foreign: return .seeOther("/auth/login?return_to=%2Fauth%2F")
    }
    do {
      guard let entry = try await given(by: session.user).first(where: { $0.key == key }) else {
        return .seeOther("/auth/")
      }
      try await store.removeNote(.consent, owner: session.user, key: key)
      if let route = routes.all.first(where: { $0.path == entry.route }), let slot = route.credentialSlot,
        let home = providers.of(session)
      {
        let basic = Set(ScopeList.union(home.signIn.settings.scope, home.slots.askedScope(slot)))
        await authority.revoke(
          entry.scopes.filter { !basic.contains($0) }, of: providers.key(slot), for: session.user)
      }
      metrics.consentsRevoked += 1
      forgetRounds(of: session.user)
      log.consentRevoked(
        session.user, ConsentSubject(scopes: entry.scopes, route: entry.route, tool: entry.tool),
        requestID: request.requestID)
      return .seeOther("/auth/?done=revoked")
    } catch {
      return storeFailed(error, request)
    }
  }

  // MARK: Learned scopes

  private static let maxLearned = 2048

  /// Stores what was learned about a tool.
  func keep(_ entry: ToolScopes.Learned) async {
    let note = Note(
      kind: .toolScopes, owner: nil, key: ControlPlane.noteKey(entry.subject.key),
      payload: entry.json.serializedBytes(), updatedAt: entry.at)
    do { try await store.put(note, keeping: Self.maxLearned) } catch { noteFailure(error) }
    tell(
      .scopesLearned(ReplicaMessage.Scopes(subject: entry.subject, scopes: entry.scopes, at: entry.at)))
    log.toolScopesLearned(route: entry.subject.route, scopes: entry.scopes)
  }

  /// Takes in what earlier runs learned.
  func restoreToolScopes() async {
    do {
      let notes = try await store.notes(.toolScopes, owner: nil)
      toolScopes.restore(notes.compactMap { ToolScopes.Learned(payload: $0.payload, at: $0.updatedAt) })
    } catch {
      noteFailure(error)
    }
  }

  /// What was learned, as JSON for the operator.
  nonisolated func toolScopesPage() -> String {
    JSONValue.object(["tool_scopes": .array(toolScopes.all.map(\.json))]).serialized(pretty: true) + "\n"
  }

  /// Forgets what was learned about a route, a tool, or everything; returns how many entries.
  func forgetToolScopes(route: String?, tool: String?) async -> Int {
    // What the others learned while nobody could be heard is meant as well.
    if isShared { await restoreToolScopes() }
    let keys = toolScopes.forget(route: route, tool: tool)
    tell(.scopesForgotten(route: route, tool: tool))
    do {
      // Also what was learned under a configuration that is gone.
      if route == nil, tool == nil { try await store.removeNotes(.toolScopes, owner: nil) }
      for key in keys {
        try await store.removeNote(.toolScopes, owner: nil, key: ControlPlane.noteKey(key))
      }
    } catch {
      noteFailure(error)
    }
    return keys.count
  }

  /// Names of tools may be longer than a note's key.
  private static func noteKey(_ key: String) -> String {
    Base64URL.encode(Array(SHA256.hash(data: Array(key.utf8))))
  }
}
