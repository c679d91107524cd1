import Basics
import Sessions
import Testing

/// What every store does for several who work on the same sessions.
@Suite struct `Every store that several use` {
  typealias Kind = `Every store`.Kind
  typealias Subject = `Every store`.Subject

  private let mine = LeaseHolder.make()
  private let theirs = LeaseHolder.make()

  /// A store with one session in it.
  private func subject(_ kind: Kind) async throws -> (Subject, Session) {
    let subject = try await Subject(kind)
    let session = Session.sample(now: subject.clock.now)
    try await subject.store.insert(session, removing: nil)
    return (subject, session)
  }

  private func lease(_ store: any SessionStore, _ hash: TicketHash, _ holder: LeaseHolder) async throws
    -> SessionLease
  {
    guard case .granted(let lease) = try await store.acquireLease(hash, holder: holder, for: .seconds(6))
    else {
      throw StoreError.fenced
    }
    return lease
  }

  @Test(arguments: Kind.allCases)
  func `gives a session's lease to one at a time`(kind: Kind) async throws {
    let (subject, session) = try await subject(kind)
    let other = try await subject.other()
    let first = try await lease(subject.store, session.hash, mine)
    #expect(first.hash == session.hash && first.holder == mine)
    subject.clock.advance(by: .seconds(2))
    #expect(
      try await other.acquireLease(session.hash, holder: theirs, for: .seconds(6))
        == .held(remaining: .seconds(4)))
    try await subject.store.releaseLease(first)
    let second = try await lease(other, session.hash, theirs)
    #expect(second.fence > first.fence)
    // What is given back late is not the next one's.
    try await subject.store.releaseLease(first)
    #expect(
      try await subject.store.acquireLease(session.hash, holder: mine, for: .seconds(6))
        == .held(remaining: .seconds(6)))
    #expect(
      try await subject.store.acquireLease(Ticket.make().hash, holder: mine, for: .seconds(6)) == .missing)
  }

  @Test(arguments: Kind.allCases)
  func `gives a lease to one of many who ask at once`(kind: Kind) async throws {
    let (subject, session) = try await subject(kind)
    let stores = [subject.store, try await subject.other()]
    let granted = try await withThrowingTaskGroup(of: Bool.self) { group in
      for i in 0..<20 {
        group.addTask {
          let answer = try await stores[i % 2].acquireLease(
            session.hash, holder: .make(), for: .seconds(6))
          if case .granted = answer { return true }
          return false
        }
      }
      return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    #expect(granted == 1)
  }

  @Test(arguments: Kind.allCases)
  func `a lease runs out unless it is renewed in time`(kind: Kind) async throws {
    let (subject, session) = try await subject(kind)
    let first = try await lease(subject.store, session.hash, mine)
    for _ in 0..<3 {
      subject.clock.advance(by: .seconds(5))
      #expect(try await subject.store.renewLease(first, for: .seconds(6)))
    }
    subject.clock.advance(by: .seconds(6))
    #expect(try await subject.store.renewLease(first, for: .seconds(6)) == false)
    let second = try await lease(subject.store, session.hash, theirs)
    #expect(second.fence > first.fence)
    #expect(try await subject.store.renewLease(first, for: .seconds(6)) == false)
    #expect(try await subject.store.renewLease(second, for: .seconds(6)))
    try await subject.store.releaseLease(second)
    #expect(try await subject.store.renewLease(second, for: .seconds(6)) == false)
  }

  @Test(arguments: Kind.allCases)
  func `a holder that asks again gets a later lease`(kind: Kind) async throws {
    let (subject, session) = try await subject(kind)
    let first = try await lease(subject.store, session.hash, mine)
    #expect(try await lease(subject.store, session.hash, mine).fence > first.fence)
    #expect(try await subject.store.renewLease(first, for: .seconds(6)) == false)
  }

  @Test(arguments: Kind.allCases)
  func `what is saved under a lease is refused when a later one was given`(kind: Kind) async throws {
    let (subject, session) = try await subject(kind)
    let store = subject.store
    let first = try await lease(store, session.hash, mine)
    var next = session
    next.generation = 2
    // One that only ran out still counts: nobody else was asked in between.
    subject.clock.advance(by: .seconds(7))
    try await store.save(next, replacing: 1, under: first)
    let second = try await lease(store, session.hash, theirs)
    next.generation = 3
    await #expect(throws: StoreError.fenced) { try await store.save(next, replacing: 2, under: first) }
    await #expect(throws: StoreError.fenced) { try await store.save(next, replacing: 9, under: first) }
    #expect(try await store.load(session.hash)?.generation == 2)
    try await store.save(next, replacing: 2, under: second)
    try await store.releaseLease(second)
    next.generation = 4
    try await store.save(next, replacing: 3, under: nil)
    await #expect(throws: StoreError.conflict(current: 4)) {
      try await store.save(next, replacing: 3, under: second)
    }
    try await store.delete(session.hash)
    await #expect(throws: StoreError.conflict(current: nil)) {
      try await store.save(next, replacing: 4, under: second)
    }
  }

  @Test(arguments: Kind.allCases)
  func `an old ticket stands for the newest session, until its own time`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let store = subject.store
    let start = subject.clock.now
    let sessions = (0..<4).map { _ in Session.sample(now: start) }
    try await store.insert(sessions[0], removing: nil)
    try await store.insert(sessions[1], removing: sessions[0].hash, aliasUntil: start + .seconds(100))
    try await store.insert(sessions[2], removing: sessions[1].hash, aliasUntil: start + .seconds(10))
    #expect(try await store.alias(of: sessions[0].hash, now: start) == sessions[2].hash)
    #expect(try await store.alias(of: sessions[1].hash, now: start) == sessions[2].hash)
    #expect(try await store.alias(of: sessions[2].hash, now: start) == nil)
    #expect(try await store.alias(of: sessions[1].hash, now: start + .seconds(10)) == nil)
    #expect(try await store.alias(of: sessions[0].hash, now: start + .seconds(10)) == sessions[2].hash)
    // One that is over at once takes nobody along.
    try await store.insert(sessions[3], removing: sessions[2].hash)
    #expect(try await store.alias(of: sessions[2].hash, now: start) == nil)
    #expect(try await store.alias(of: sessions[0].hash, now: start) != sessions[3].hash)
    // The old session need not be here.
    let late = Session.sample(now: start)
    let gone = Ticket.make().hash
    try await store.insert(late, removing: gone, aliasUntil: start + .seconds(10))
    #expect(try await store.alias(of: gone, now: start) == late.hash)
    try await store.sweep(
      createdBefore: start - .seconds(1), seenBefore: start - .seconds(1), now: start + .seconds(10))
    #expect(try await store.alias(of: gone, now: start) == nil)
  }

  @Test(arguments: Kind.allCases)
  func `tells the generations of those that exist`(kind: Kind) async throws {
    let (subject, one) = try await subject(kind)
    var two = Session.sample(now: subject.clock.now)
    two.generation = .max
    try await subject.store.insert(two, removing: nil)
    #expect(
      try await subject.store.generations(of: [one.hash, two.hash, Ticket.make().hash])
        == [one.hash: 1, two.hash: .max])
    #expect(try await subject.store.generations(of: []) == [:])
  }

  @Test(arguments: Kind.allCases)
  func `gives all sessions page by page, and removes all`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    let store = subject.store
    #expect(try await store.page(after: nil, limit: 10).sessions.isEmpty)
    var hashes: Set<TicketHash> = []
    for _ in 0..<25 {
      let session = Session.sample(now: subject.clock.now)
      hashes.insert(session.hash)
      try await store.insert(session, removing: nil)
    }
    var met: Set<TicketHash> = []
    var cursor: String?
    var pages = 0
    repeat {
      let page = try await store.page(after: cursor, limit: 10)
      #expect(page.sessions.count <= 10 && page.unreadable == 0)
      met.formUnion(page.sessions.map(\.hash))
      // What goes meanwhile disturbs nobody.
      if pages == 0, let first = page.sessions.first { try await store.delete(first.hash) }
      cursor = page.next
      pages += 1
    } while cursor != nil && pages < 1000
    #expect(met == hashes)
    let nothing = try await store.page(after: "no cursor", limit: 10)
    #expect(nothing.sessions.isEmpty && nothing.next == nil)
    #expect(try await store.deleteEverySession() == 24)
    #expect(try await store.count() == 0)
    #expect(try await store.deleteEverySession() == 0)
  }

  @Test(arguments: Kind.allCases)
  func `says which stores several processes share`(kind: Kind) async throws {
    let subject = try await Subject(kind)
    #expect(try await subject.other().isShared == Kind.shared.contains(kind))
  }

  @Test(arguments: Kind.shared)
  func `tells the others what one does, and not the one that does it`(kind: Kind) async throws {
    let (subject, session) = try await subject(kind)
    let one = try await subject.other()
    let two = try await subject.other()
    let (ones, twos, heard) = (Journal<StoreNotice>(), Journal<StoreNotice>(), Tally())
    await one.listen { ones.note($0) }
    await two.listen {
      if $0 == .interrupted || $0 == .resumed { return }
      twos.note($0)
      heard.add()
    }
    var next = session
    next.generation = 2
    let now = subject.clock.now
    let lease = try await lease(one, session.hash, mine)
    try await one.save(next, replacing: 1, under: lease)
    try await one.releaseLease(lease)
    let new = Session.sample(now: now)
    try await one.insert(new, removing: session.hash, aliasUntil: now + .seconds(30))
    let newest = Session.sample(now: now)
    try await one.insert(newest, removing: new.hash)
    try await one.delete(newest.hash)
    let (a, b) = (Session.sample(.alice, now: now, sid: "s"), Session.sample(.bob, now: now, sid: "t"))
    for session in [a, b] { try await one.insert(session, removing: nil) }
    _ = try await one.deleteAll(of: .alice)
    _ = try await one.deleteAll(issuer: "https://id.example", sid: "t")
    try await one.publish([1, 2, 3])
    _ = try await one.deleteEverySession()
    await heard.reaches(9)
    let told: [StoreNotice] = [
      .saved(session.hash, generation: 2), .leaseEnded(session.hash), .replaced(session.hash, by: new.hash),
      .ended(new.hash), .ended(newest.hash), .ended(a.hash), .ended(b.hash), .message([1, 2, 3]), .endedAll,
    ]
    if kind == .redisCluster {
      // What different nodes tell comes in any order.
      #expect(twos.items.count == told.count && told.allSatisfy(twos.items.contains))
    } else {
      #expect(twos.items == told)
    }
    #expect(ones.items.allSatisfy { $0 == .interrupted || $0 == .resumed })
  }
}
