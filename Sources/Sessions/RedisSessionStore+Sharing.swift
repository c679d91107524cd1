public import Basics
internal import Redis
internal import Synchronization

// What several processes at one store need: leases, aliases, notices.
extension RedisSessionStore {
  public func alias(of ticket: TicketHash, now: Timestamp) async throws(StoreError) -> TicketHash? {
    guard let first = try await aliases(of: [ticket]).first, first.alias.until > now else { return nil }
    var newest = first.alias.new
    // Whoever takes a session's place tells the tickets that stand for it; until then the way leads over it.
    for _ in 0..<8 {
      guard let next = try await aliases(of: [newest]).first else { break }
      newest = next.alias.new
    }
    return newest
  }

  /// Those of the tickets that stand for another session, with the bytes that say so. What was not sealed here counts as not there.
  private func aliases(of tickets: [TicketHash]) async throws(StoreError)
    -> [(alias: RedisAlias, bytes: [UInt8])]
  {
    let answers = try await send(tickets.map { RedisCommand("GET", key: keys.alias($0)) })
    return zip(tickets, answers).compactMap { ticket, answer in
      guard let bytes = answer.bytes, let alias = RedisAlias(bytes, of: ticket, sealer) else { return nil }
      return (alias, bytes)
    }
  }

  /// Removes the session whose place another took, and lets its ticket and those that stood for it stand for that one.
  func retire(_ old: TicketHash, for new: TicketHash, aliasUntil until: Timestamp?) async throws(StoreError) {
    let base = keys.base(old.digest)
    guard let until else {
      _ = try await run(RedisScripts.retire, base, [old.digest.bytes] + notice(.ended(old)))
      return
    }
    let ttl = [UInt8](
      decimal: min(max(until - now, .zero), settings.lifetime).milliseconds + Self.aliasSlack)
    let alias = RedisAlias(old: old, new: new, until: until)
    let stood =
      try await run(
        RedisScripts.retire, base,
        [old.digest.bytes] + notice(.replaced(old, by: new)) + [
          alias.bytes(sealer), .init(decimal: until), ttl,
        ]
      ).array ?? []
    var calls: [RedisScriptCall] = []
    var standing = [alias]
    for (chained, bytes) in try await aliases(of: stood.compactMap(Self.hash)) where chained.new == old {
      let anew = RedisAlias(old: chained.old, new: new, until: chained.until)
      standing.append(anew)
      calls.append(
        RedisScriptCall(
          RedisScripts.repoint, keys: [keys.base(chained.old.digest)],
          arguments: [chained.old.digest.bytes, bytes, anew.bytes(sealer)]))
    }
    calls.append(
      RedisScriptCall(
        RedisScripts.adopt, keys: [keys.base(new.digest)],
        arguments: [new.digest.bytes, ttl]
          + standing.flatMap { [.init(decimal: $0.until), $0.old.digest.bytes] }))
    _ = try await runAll(calls)
  }

  /// An alias stays for another hour in milliseconds: tickets with a later end may lead over it.
  private static let aliasSlack: Int64 = 3_600_000

  public func acquireLease(_ hash: TicketHash, holder: LeaseHolder, for duration: Duration)
    async throws(StoreError) -> LeaseAnswer
  {
    let duration = min(duration, SessionLease.longest)
    let answer = try await run(
      RedisLeaseScripts.acquire, keys.base(hash.digest),
      leaseHead(hash) + [holder.id.bytes, .init(decimal: duration.milliseconds)])
    if let bytes = answer.bytes, let fence = Self.number(bytes) {
      return .granted(SessionLease(hash: hash, holder: holder, fence: fence))
    }
    if let left = answer.array?.first?.integer { return .held(remaining: .milliseconds(left)) }
    return .missing
  }

  public func renewLease(_ lease: SessionLease, for duration: Duration) async throws(StoreError) -> Bool {
    let duration = min(duration, SessionLease.longest)
    return try await run(
      RedisLeaseScripts.renew, keys.base(lease.hash.digest),
      leaseHead(lease.hash)
        + [lease.holder.id.bytes, RecordWriter.bytes(lease.fence), .init(decimal: duration.milliseconds)]
    ).integer == 1
  }

  public func releaseLease(_ lease: SessionLease) async throws(StoreError) {
    _ = try await run(
      RedisLeaseScripts.release, keys.base(lease.hash.digest),
      leaseHead(lease.hash) + [lease.holder.id.bytes, RecordWriter.bytes(lease.fence)]
        + notice(.leaseEnded(lease.hash)))
  }

  private func leaseHead(_ hash: TicketHash) -> [[UInt8]] {
    [leaseTime, .init(decimal: SessionLease.longest.milliseconds), hash.digest.bytes]
  }

  public func listen(_ listener: @escaping @Sendable (StoreNotice) -> Void) async {
    let isFirst = state.withLock { state in
      defer { state.isSubscribed = true }
      state.listener = listener
      return !state.isSubscribed
    }
    guard isFirst else { return }
    await withCheckedContinuation { continuation in
      let waiting = ListenWait(continuation)
      client.subscribe(keys.channel) { [weak self] event in
        _ = waiting.end()
        self?.hear(event)
      }
      Task { [weak self] in
        try? await Task.sleep(for: Self.patience)
        if waiting.end() { self?.hear(.lost) }
      }
    }
  }

  /// So long it is waited until notices are heard; after that it is known that they are not.
  private static let patience = Duration.seconds(3)

  private func hear(_ event: RedisEvent) {
    let (notice, listener) = state.withLock { state in
      let notice: StoreNotice?
      switch event {
      case .message(let bytes): notice = RedisNotice.read(bytes, by: sender)
      case .lost:
        notice = state.isDeaf ? nil : .interrupted
        state.isDeaf = true
      case .connected:
        notice = state.isDeaf ? .resumed : nil
        state.isDeaf = false
      }
      return (notice, state.listener)
    }
    if let notice { listener?(notice) }
  }

  public func publish(_ message: [UInt8]) async throws(StoreError) { try await tell(.message(message)) }

  func tell(_ notice: StoreNotice) async throws(StoreError) {
    _ = try await send(RedisCommand("PUBLISH", self.notice(notice)))
  }
}

/// A ticket that stands for another session: the end, the session, and a seal, without which whoever can write into Redis could
/// give their ticket anybody's session.
struct RedisAlias {
  let old: TicketHash
  let new: TicketHash
  let until: Timestamp

  init(old: TicketHash, new: TicketHash, until: Timestamp) {
    (self.old, self.new, self.until) = (old, new, until)
  }

  /// Nil when it was not sealed for this ticket.
  init?(_ bytes: [UInt8], of old: TicketHash, _ sealer: Sealer) {
    guard bytes.count > 40, let until = RedisSessionStore.number(Array(bytes[..<8])),
      let new = Bytes32(Array(bytes[8..<40]))
    else { return nil }
    self.init(
      old: old, new: TicketHash(digest: new), until: Timestamp(milliseconds: Int64(bitPattern: until)))
    guard (try? sealer.open(Array(bytes[40...]), for: place)) != nil else { return nil }
  }

  func bytes(_ sealer: Sealer) -> [UInt8] {
    RecordWriter.bytes(until) + new.digest.bytes + sealer.seal([], for: place)
  }

  private var place: SealPlace { .alias(old, new, until) }
}

/// Somebody who waits until notices are heard, or until it is known that they are not.
private final class ListenWait: Sendable {
  private let waiter: Mutex<CheckedContinuation<Void, Never>?>

  init(_ waiter: CheckedContinuation<Void, Never>) { self.waiter = Mutex(waiter) }

  /// Whether anybody still waited.
  func end() -> Bool {
    let waiter = waiter.withLock { waiter in
      defer { waiter = nil }
      return waiter
    }
    waiter?.resume()
    return waiter != nil
  }
}
