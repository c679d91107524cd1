internal import Basics
internal import Reactor
internal import Sessions

/// Takes up another ring of sealing keys while everybody stays signed in: whenever it is asked to, and when it finds that the files
/// have changed, or the configuration that names them. Then it has the store seal again what is under an older key, a little at a time.
///
/// A ring that is not sound (a file missing, a weak key, a key twice) or does not open what is stored changes nothing, and is told.
///
/// Owner: the control loop; files are read beside it. One reading at a time.
actor KeyRingWatch {
  /// Where the keys are. Files of one installation may be named in another order, or others, from one reading to the next.
  struct Source: Sendable {
    /// The names of the key files, the current key's first. Blocks.
    /// - Throws: why they are not known: one sentence.
    var files: @Sendable () throws(Unreadable) -> [String]
    /// The file in which they are named, if there is one.
    var namedIn: String?
  }

  /// Why the names of key files could not be had.
  struct Unreadable: Error {
    let reason: String
  }

  /// What is counted.
  enum Event: Sendable {
    case taken(keys: Int)
    case refused
    case resealing(Bool)
    case resealed(Int)
    case unreadable(Int)
  }

  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  /// So many values at a time, with a pause in between: a thousand a second, and the store is held up for milliseconds.
  private static let batch = 50
  private static let pause = Duration.milliseconds(50)
  /// Until a store is asked again that did not answer.
  private static let retry = Duration.seconds(15)

  private let source: Source
  private let sealer: Sealer
  private let store: any SessionStore
  private let blocking: BlockingPool
  private let log: EventLog
  private let count: @Sendable (Event) -> Void
  private var files: [String]
  private var taken: [FileLook]
  private var last: [FileLook]
  private var turn: Task<Void, Never>?
  private var walk: Task<Void, Never>?
  private var isStopped = false

  /// Blocks: looks at the files as they are now.
  ///
  /// - Parameters:
  ///   - files: those that the sealer's ring was read from.
  ///   - sealer: the store's, too.
  init(
    loop: EventLoop, source: Source, files: [String], sealer: Sealer, store: any SessionStore,
    blocking: BlockingPool, log: EventLog, count: @escaping @Sendable (Event) -> Void
  ) {
    self.loop = loop
    self.source = source
    self.sealer = sealer
    self.store = store
    self.blocking = blocking
    self.log = log
    self.count = count
    self.files = files + [source.namedIn].compactMap { $0 }
    taken = FileLook.at(self.files)
    last = taken
    count(.taken(keys: sealer.ring.count))
  }

  /// Goes on with what an earlier run may have left under an older key.
  func start() {
    if sealer.ring.count > 1 { resealAll() }
  }

  /// Looks whether files have changed, and reads them when they stay as they are.
  func look() async { await inTurn { await $0.lookNow() } }

  /// Reads all files again.
  func reload() async { await inTurn { await $0.reloadNow(isAsked: true) } }

  /// Lets go of the store.
  func stop() async {
    isStopped = true
    walk?.cancel()
    await turn?.value
    await walk?.value
  }

  private func inTurn(_ work: @escaping @Sendable (isolated KeyRingWatch) async -> Void) async {
    let before = turn
    let mine = Task {
      await before?.value
      if !self.isStopped { await work(self) }
    }
    turn = mine
    await mine.value
  }

  private func lookNow() async {
    let files = files
    guard let now = try? await blocking.run({ FileLook.at(files) }) else { return }
    defer { if files == self.files { last = now } }
    if now != taken, now == last { await reloadNow(isAsked: false) }
  }

  private func reloadNow(isAsked: Bool) async {
    let (source, before) = (source, files)
    let reading = try? await blocking.run { Reading(source, before) }
    // Too much other work waits: the next look tries again.
    guard let reading else { return }
    (files, taken, last) = (reading.files, reading.look, reading.look)
    switch reading.result {
    case .failure(let problem): refuse(problem.reason)
    case .success(let ring) where ring == sealer.ring:
      if isAsked {
        log.sealingKeysRead(ring.count)
        count(.taken(keys: ring.count))
      }
    case .success(let ring): await adopt(ring)
    }
  }

  private func adopt(_ ring: KeyRing) async {
    do throws(StoreError) {
      try await store.adopt(ring)
      sealer.replace(with: ring)
    } catch {
      switch error {
      case .sealed:
        return refuse(
          "none of them opens what is stored: keep the key that is in use among them until everything is sealed again"
        )
      default:
        // Not the keys' fault: the next look tries again.
        taken = []
        return refuse("\(error)")
      }
    }
    log.sealingKeysRead(ring.count)
    count(.taken(keys: ring.count))
    resealAll()
  }

  private func refuse(_ reason: String) {
    log.sealingKeysRefused(reason)
    count(.refused)
  }

  // MARK: Sealing again

  private func resealAll() {
    let before = walk
    before?.cancel()
    guard !isStopped else { return }
    walk = Task {
      await before?.value
      await self.walkThrough()
    }
  }

  private func walkThrough() async {
    count(.resealing(true))
    var total = 0
    while !Task.isCancelled {
      do throws(StoreError) {
        let turn = try await store.reseal(limit: Self.batch)
        total += turn.resealed
        count(.resealed(turn.resealed))
        if turn.isDone {
          count(.unreadable(turn.unreadable))
          count(.resealing(false))
          return log.resealed(total, unreadable: turn.unreadable)
        }
        try? await loop.sleep(for: Self.pause)
      } catch {
        try? await loop.sleep(for: Self.retry)
      }
    }
  }
}

/// What one reading of the files found.
private struct Reading: Sendable {
  let files: [String]
  let look: [FileLook]
  let result: Result<KeyRing, KeyRingWatch.Unreadable>

  /// Blocks. Files are looked at before they are read: what changes in between is read again.
  init(_ source: KeyRingWatch.Source, _ before: [String]) {
    let named = [source.namedIn].compactMap { $0 }
    let namedLook = FileLook.at(named)
    do throws(KeyRingWatch.Unreadable) {
      let keyFiles = try source.files()
      files = keyFiles + named
      look = FileLook.at(keyFiles) + namedLook
      do throws(SealingKeyError) { result = .success(try KeyRing(files: keyFiles)) } catch {
        result = .failure(KeyRingWatch.Unreadable(reason: "session.encryption_key_files: \(error)"))
      }
    } catch {
      files = before
      look = FileLook.at(before.dropLast(named.count)) + namedLook
      result = .failure(error)
    }
  }
}
