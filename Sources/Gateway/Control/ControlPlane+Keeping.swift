internal import Basics
internal import Reactor
internal import Sessions

/// What has to be in the store of a question to a person.
struct QuestionRecords: Sendable {
  /// The link's random id.
  var id: String
  /// Its hash, under which all is kept.
  var key: TicketHash
  var owner: UserKey
  var continuation: Continuation
  /// The refused call, where its page fetches the answer.
  var call: KeptCall?
  /// What the desk knows of it; nil where it knows already.
  var ask: ConsentDesk.Ask?

  /// Nil for an id that is none.
  init?(
    id: String, owner: UserKey, continuation: Continuation, call: KeptCall? = nil,
    ask: ConsentDesk.Ask? = nil
  ) {
    guard let key = TicketHash(id) else { return nil }
    self.id = id
    self.key = key
    self.owner = owner
    self.continuation = continuation
    self.call = call
    self.ask = ask
  }

  /// What the other processes are told.
  func question(_ routes: RouteTable) -> ReplicaMessage.Question? {
    guard let ask, let route = routes.all.first(where: { $0.index == ask.subject.route }) else { return nil }
    return ReplicaMessage.Question(
      subject: ReplicaMessage.Subject(ask.subject, route: route), askedAt: ask.askedAt,
      mcpSession: ask.mcpSession)
  }
}

// What a link leads to, on its way into the store and out of it.
extension ControlPlane {
  /// Links that are open for one person: more are of no use to anybody.
  private static let linksPerUser = 64
  /// Records on their way to the store. Beyond that the store is too slow: kept calls hold memory, and come last.
  private static let maxCallsBeingKept = 256
  private static let maxRecordsBeingKept = 4096

  /// Keeps what a question needs; whoever follows its link waits until that is done.
  ///
  /// - Returns: whether the link leads somewhere.
  func keep(_ records: QuestionRecords) async -> Bool {
    // Both are on their way before the first of them is waited for.
    let call = records.call.flatMap { call in
      recordsBeingKept.count < Self.maxCallsBeingKept
        ? put(.keptCall, records, call.encoded(), perOwner: policy.keptCallsPerUser) : nil
    }
    let link =
      recordsBeingKept.count < Self.maxRecordsBeingKept
      ? put(.continuation, records, records.continuation.encoded(), perOwner: Self.linksPerUser) : nil
    _ = await call?.value
    guard let link, await link.value else { return false }
    if isShared, let question = records.question(routes) { await send(.asked(records.key, question)) }
    return true
  }

  /// Puts a record into the store, after whatever is on its way there under the same id.
  private func put(_ kind: RecordKind, _ records: QuestionRecords, _ payload: [UInt8], perOwner: Int)
    -> Task<Bool, Never>
  {
    let key = records.key
    let record = SingleUseRecord(
      kind: kind, key: key, owner: records.owner, payload: payload,
      expiresAt: clock() + policy.linkLifetime, perOwner: perOwner)
    let before = recordsBeingKept[key]
    let task = Task {
      _ = await before?.value
      do { try await self.store.put(record) } catch {
        self.log.storeFailed("\(error)")
        return false
      }
      return true
    }
    recordsBeingKept[key] = task
    Task {
      _ = await task.value
      if self.recordsBeingKept[key] == task { self.recordsBeingKept[key] = nil }
    }
    return task
  }

  /// A link's record. One that was given out in the middle of a stream a moment ago may be on its way to the store.
  func look(_ key: TicketHash, of user: UserKey, takes: Bool) async throws(StoreError) -> RecordTake {
    _ = await recordsBeingKept[key]?.value
    var found: RecordTake
    var triesLeft = 10
    repeat {
      found =
        takes
        ? try await store.take(.continuation, key, owner: user, now: clock())
        : try await store.peek(.continuation, key, owner: user, now: clock())
      triesLeft -= 1
      guard found == .missing, isShared, triesLeft > 0, let ask = desk.ask(key), ask.state == .pending,
        clock() - ask.askedAt < .seconds(5)
      else { return found }
      try? await loop.sleep(for: .milliseconds(100))
    } while true
  }
}
