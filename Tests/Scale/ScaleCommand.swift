internal import ArgumentParser
internal import Basics
internal import Glibc
internal import Reactor
internal import Redis
internal import Sessions

/// `coatcheck-scale`: fills a store with sessions of ordinary size and measures what it costs to use it. Run by `scripts/scale`.
@main
struct ScaleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coatcheck-scale", abstract: "Measure a session store that is full.",
    subcommands: [Fill.self, Measure.self])
}

/// Which store.
struct StoreOptions: ParsableArguments {
  @Option(help: "A database file.")
  var sqlite: String?

  @Option(help: "Port of a Redis server on this machine.")
  var redis: UInt16?

  @Option(help: "The file of the sealing key; made when it is not there.")
  var key: String

  /// Opens it.
  func open() async throws -> (store: any SessionStore, close: @Sendable () async -> Void) {
    if unsafe access(key, F_OK) != 0 { try SealingKey.make().write(newFile: key) }
    let sealer = Sealer(try KeyRing(files: [key]))
    if let sqlite {
      let store = try await SQLiteSessionStore.open(path: sqlite, sealer: sealer)
      return (store, { await store.close() })
    }
    guard let redis else { throw ValidationError("--sqlite or --redis") }
    let loop = EventLoop(name: "scale")
    loop.start()
    var settings = RedisSettings(nodes: [RedisEndpoint(host: "127.0.0.1", port: redis)])
    // A server that is busy with a long deletion is waited for: that is what is measured.
    settings.commandTimeout = .seconds(30)
    let client = RedisClient(settings: settings, loop: loop, blocking: BlockingPool())
    let store = try await RedisSessionStore.open(
      client: client, settings: RedisStoreSettings(), sealer: sealer)
    return (
      store,
      {
        await store.close()
        await client.close()
        await loop.stop()
      }
    )
  }
}

/// `coatcheck-scale fill`: adds sessions.
struct Fill: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Add sessions to a store.")

  @OptionGroup var options: StoreOptions

  @Option(help: "Number of the first session.")
  var from = 0

  @Option(help: "How many.")
  var count: Int

  @Option(help: "How many at a time.")
  var concurrency = 32

  @Option(help: "Ends after so many seconds, and says how far it came.")
  var seconds = 170

  func run() async throws {
    let (store, close) = try await options.open()
    let population = Population(now: Timestamp.now())
    let clock = ContinuousClock()
    let start = clock.now
    let processor = Processor.seconds
    let end = start + .seconds(seconds)
    var next = from
    let stop = from + count
    var told = start
    while next < stop, clock.now < end {
      let batch = next..<min(next + 4096, stop)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in 0..<concurrency {
          group.addTask {
            for number in stride(from: batch.lowerBound + lane, to: batch.upperBound, by: concurrency) {
              try await store.insert(population.session(number), removing: nil, aliasUntil: nil)
            }
          }
        }
        try await group.waitForAll()
      }
      next = batch.upperBound
      if clock.now - told > .seconds(10) {
        told = clock.now
        Report.progress("\(next - from) of \(count)")
      }
    }
    let took = (clock.now - start).inSeconds
    let done = Double(next - from)
    Report.line(
      "filled",
      [
        ("next", Double(next)), ("per_second", done / took),
        ("cpu_us", (Processor.seconds - processor) / done * 1e6), ("seconds", took),
      ])
    await close()
  }
}
