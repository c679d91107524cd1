internal import Basics
internal import JSON
internal import Sessions

// What the processes at one store tell each other about questions to people, so that a call, its person's browser and the page that
// waits may each be served by another one.
extension ControlPlane {
  /// What became of a question, for those who did not hear of it.
  static let outcomeKind = RecordKind("outcome")

  /// Tells the others; nobody waits for it.
  func tell(_ message: ReplicaMessage) {
    guard isShared else { return }
    Task { await self.send(message) }
  }

  /// Tells the others, and returns when the store has it.
  func send(_ message: ReplicaMessage) async {
    guard isShared else { return }
    if await line.tell(message) { metrics.replicaMessagesSent += 1 } else { metrics.replicaMessagesLost += 1 }
  }

  /// What the authority hears of other processes that is not about sessions.
  func told(_ notice: StoreNotice) async {
    switch notice {
    case .message(let bytes): await hear(bytes)
    case .resumed: await catchUp()
    // What waits has an end of its own.
    case .interrupted, .saved, .ended, .replaced, .leaseEnded, .endedAll: break
    }
  }

  /// Another process said something.
  func hear(_ bytes: [UInt8]) async {
    switch line.open(bytes) {
    case .message(let message):
      metrics.replicaMessagesHeard += 1
      await take(message)
    case .unknownKind: metrics.replicaMessagesHeard += 1
    case .refused: metrics.replicaMessagesRefused += 1
    }
  }

  private func take(_ message: ReplicaMessage) async {
    switch message {
    case .asked(let id, let question):
      guard let subject = question.subject.local(routes) else { return }
      desk.asked(
        id,
        ConsentDesk.Ask(
          subject: subject, askedAt: min(question.askedAt, clock()), mcpSession: question.mcpSession))
    case .withdrawn(let subject):
      if let subject = subject.local(routes) { desk.withdraw(subject) }
    case .settled(let settlement):
      // The held call goes on with what the consent brought.
      await authority.catchUp(settlement.session)
      settleHere(settlement)
    case .dropped(let id):
      desk.forget(id)
      wakePages(id)
    case .roundCompleted(let round):
      guard let route = routes.route(path: round.route) else { return }
      rounds.completed(
        user: round.user, route: route, tool: round.tool, scopes: round.scopes, at: min(round.at, clock()))
    case .roundsForgotten(let user): rounds.forget(user: user)
    case .userForgotten(let user): desk.forget(user: user)
    case .scopesLearned(let learned):
      _ = toolScopes.learn(learned.subject, scopes: learned.scopes, now: learned.at)
    case .scopesForgotten(let route, let tool): _ = toolScopes.forget(route: route, tool: tool)
    }
  }

  /// Messages may have been lost until now: what the store knows is looked up.
  func catchUp() async {
    guard isShared else { return }
    await storeMCPSessions()
    do {
      let notes = try await store.notes(.toolScopes, owner: nil)
      toolScopes.replace(notes.compactMap { ToolScopes.Learned(payload: $0.payload, at: $0.updatedAt) })
      for (id, _) in desk.pending(now: clock()) {
        guard let settlement = try await outcome(of: id) else { continue }
        await authority.catchUp(settlement.session)
        settleHere(settlement)
      }
    } catch {
      noteFailure(error)
    }
  }

  // MARK: Outcomes

  /// Tells everybody who waits in this process.
  func settleHere(_ settlement: ReplicaMessage.Settlement) {
    let route = routes.route(path: settlement.route)?.index
    let answered = settlement.ask.flatMap { desk.answered($0, settlement.state) }
    if let ask = settlement.ask, answered == nil, let route {
      // Asked elsewhere, and not heard of: a page may still ask what became of it.
      desk.asked(
        ask,
        ConsentDesk.Ask(
          subject: ConsentDesk.Subject(
            user: settlement.user, session: settlement.session, route: route, method: [], name: []),
          askedAt: clock(), state: settlement.state))
    }
    homes.settled(
      ConsentOutcome(
        user: settlement.user, route: route, state: settlement.state, subject: answered?.ask.subject,
        ask: settlement.ask, mcpSession: answered?.ask.mcpSession ?? settlement.mcpSession))
    let all = answered?.all ?? settlement.ask.map { [$0] } ?? []
    for id in all { wakePages(id) }
  }

  /// Tells the others, and those who ask later.
  func settleElsewhere(_ settlement: ReplicaMessage.Settlement) async {
    if let ask = settlement.ask {
      let record = SingleUseRecord(
        kind: Self.outcomeKind, key: ask,
        payload: JSONValue.object(ReplicaMessage.settled(settlement).members).serializedBytes(),
        expiresAt: clock() + policy.linkLifetime)
      do { try await store.put(record) } catch { noteFailure(error) }
    }
    await send(.settled(settlement))
  }

  /// What became of a question, by the store.
  private func outcome(of ask: TicketHash) async throws(StoreError) -> ReplicaMessage.Settlement? {
    guard
      case .taken(let payload) = try await store.peek(Self.outcomeKind, ask, owner: nil, now: clock()),
      let value = try? JSONValue.parse(payload),
      case .settled(let settlement) = ReplicaMessage(kind: "settled", members: value), settlement.ask == ask
    else { return nil }
    return settlement
  }

  /// What became of a question, for its person; nil when nobody knows (any more), or it is somebody else's.
  func state(of ask: TicketHash, user: UserKey) async -> ConsentDesk.State? {
    let known = desk.state(of: ask, user: user.digest, now: clock())
    guard isShared, known == nil || known == .pending else { return known }
    do {
      if let settlement = try await outcome(of: ask) {
        await authority.catchUp(settlement.session)
        settleHere(settlement)
        return settlement.user == user.digest ? settlement.state : nil
      }
      guard known == nil else { return known }
      if case .taken = try await store.peek(.continuation, ask, owner: user, now: clock()) { return .pending }
      return nil
    } catch {
      noteFailure(error)
      return known
    }
  }
}
