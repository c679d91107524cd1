internal import ArgumentParser
internal import Basics
internal import Sessions

/// `coatcheck-scale measure`: what a full store costs to use.
struct Measure: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Measure a store that was filled.")

  @OptionGroup var options: StoreOptions

  @Option(help: "How many sessions are in it, from number 0.")
  var sessions: Int

  @Option(help: "How many operations of each kind.")
  var operations = 20_000

  @Option(help: "How many at a time where that is asked for.")
  var concurrency = 32

  @Option(help: "Only this kind: lookup, refresh, insert, touch, page or sweep.")
  var only: String?

  @Flag(help: "Also let what is old expire, which empties a twentieth of the store.")
  var sweep = false

  func run() async throws {
    let opening = ContinuousClock.now
    let (store, close) = try await options.open()
    Report.line("open", [("seconds", (ContinuousClock.now - opening).inSeconds)])
    let subject = Subject(store: store, population: Population(now: Timestamp.now()), sessions: sessions)
    func isWanted(_ kind: String) -> Bool { only == nil || only == kind }
    for atOnce in [1, concurrency] {
      if isWanted("lookup") { try await subject.lookups(operations, concurrency: atOnce) }
      if isWanted("refresh") { try await subject.refreshes(operations / 10, concurrency: atOnce) }
    }
    if isWanted("insert") { try await subject.inserts(operations / 10, concurrency: concurrency) }
    if isWanted("touch") { try await subject.touches(5000) }
    if isWanted("page") { try await subject.pages(10, of: 500) }
    if sweep || only == "sweep" { try await subject.sweeps() }
    await close()
  }
}

/// A store with sessions in it.
struct Subject: Sendable {
  let store: any SessionStore
  let population: Population
  let sessions: Int

  private struct Missing: Error {}

  private func number(_ random: inout Numbers) -> Int {
    // Not one of those that are swept.
    let number = Int(random.next() % UInt64(max(1, sessions)))
    return number % Population.agedEvery == 0 ? min(number + 1, sessions - 1) : number
  }

  /// Runs `count` operations, so many at a time, and tells how long each took.
  private func run(
    _ name: String, _ count: Int, concurrency: Int, extra: [(String, Double)] = [],
    _ work: @escaping @Sendable (inout Numbers) async throws -> Void
  ) async throws {
    let processor = Processor.seconds
    let start = ContinuousClock.now
    let samples = try await withThrowingTaskGroup(of: Samples.self) { group in
      for lane in 0..<concurrency {
        group.addTask {
          var random = Numbers(seed: UInt64(lane + 1) << 32 + UInt64(count))
          var samples = Samples()
          for _ in 0..<max(1, count / concurrency) {
            let begun = ContinuousClock.now
            try await work(&random)
            samples.add(ContinuousClock.now - begun)
          }
          return samples
        }
      }
      var all = Samples()
      for try await samples in group { all.add(samples) }
      return all
    }
    let took = (ContinuousClock.now - start).inSeconds
    Report.line(
      name,
      [
        ("at_once", Double(concurrency)), ("count", Double(samples.count)), ("p50_ms", samples.quantile(0.5)),
        ("p99_ms", samples.quantile(0.99)),
        ("per_second", Double(samples.count) / took),
        ("cpu_us", (Processor.seconds - processor) / Double(samples.count) * 1e6),
      ] + extra)
  }

  func lookups(_ count: Int, concurrency: Int = 1) async throws {
    try await run("lookup", count, concurrency: concurrency) { random in
      guard try await store.load(Population.hash(number(&random))) != nil else { throw Missing() }
    }
  }

  /// What a refresh asks of the store: at one that processes share, the lease, whether another was faster, the tokens saved under the
  /// lease, the lease given back; at one of a single process, the tokens saved. The session is read before in both cases, as when it is not
  /// in memory.
  func refreshes(_ count: Int, concurrency: Int) async throws {
    let holder = LeaseHolder.make()
    try await run("refresh", count, concurrency: concurrency) { random in
      let number = number(&random)
      let hash = Population.hash(number)
      guard let session = try await store.load(hash) else { throw Missing() }
      var lease: SessionLease?
      if store.isShared {
        // Two of these may draw the same number at the same time; then one of them does without.
        guard
          case .granted(let granted) = try await store.acquireLease(hash, holder: holder, for: .seconds(6))
        else { return }
        lease = granted
        _ = try await store.generations(of: [hash])
      }
      do {
        try await store.save(
          population.refreshed(session, number), replacing: session.generation, under: lease)
      } catch StoreError.conflict {
      } catch StoreError.fenced {}
      if let lease { try await store.releaseLease(lease) }
    }
  }

  /// Sign-ins; they are taken away again.
  func inserts(_ count: Int, concurrency: Int) async throws {
    let base = sessions * 2
    try await run("insert", count, concurrency: concurrency) { random in
      let number = base + Int(random.next() >> 16)
      try await store.insert(population.session(number | 1), removing: nil, aliasUntil: nil)
    }
    var gone = 0
    for lane in 0..<concurrency {
      var random = Numbers(seed: UInt64(lane + 1) << 32 + UInt64(count))
      for _ in 0..<max(1, count / concurrency) {
        try await store.delete(Population.hash((base + Int(random.next() >> 16)) | 1))
        gone += 1
      }
    }
    Report.progress("\(gone) taken away")
  }

  /// What the uses of a minute cost to write.
  func touches(_ count: Int) async throws {
    var random = Numbers(seed: 5)
    var uses: [TicketHash: Timestamp] = [:]
    while uses.count < min(count, sessions / 2) { uses[Population.hash(number(&random))] = population.now }
    let start = ContinuousClock.now
    try await store.touch(uses)
    Report.line(
      "touch", [("sessions", Double(uses.count)), ("seconds", (ContinuousClock.now - start).inSeconds)])
  }

  /// What an operator's list costs.
  func pages(_ count: Int, of limit: Int) async throws {
    var cursor: String?
    let start = ContinuousClock.now
    var listed = 0
    for _ in 0..<count {
      let page = try await store.page(after: cursor, limit: limit)
      listed += page.sessions.count
      guard page.unreadable == 0 else { throw Missing() }
      cursor = page.next
      if cursor == nil { break }
    }
    let took = (ContinuousClock.now - start).inSeconds
    Report.line("page", [("sessions", Double(listed)), ("per_second", Double(listed) / took)])
  }

  /// A sweep that finds nothing, and one that finds a twentieth.
  func sweeps() async throws {
    let now = population.now
    for (name, seenBefore) in [
      ("sweep-nothing", now - Population.age - .seconds(86_400)),
      ("sweep", now - Population.age + .seconds(43_200)),
    ] {
      let before = try await store.count()
      let start = ContinuousClock.now
      try await store.sweep(createdBefore: now - .seconds(7 * 86_400), seenBefore: seenBefore, now: now)
      let took = (ContinuousClock.now - start).inSeconds
      let counting = ContinuousClock.now
      let after = try await store.count()
      Report.line(
        name,
        [
          ("removed", Double(before - after)), ("seconds", took),
          ("count_seconds", (ContinuousClock.now - counting).inSeconds),
        ])
    }
  }
}
