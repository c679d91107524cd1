internal import Basics
internal import Configuration
internal import Reactor

/// Takes up renewed certificates while connections go on: whenever it is asked to, and when it finds that files have changed.
///
/// Files are looked at by name, through symbolic links: tools that renew certificates replace files (certbot), or the directory that
/// links lead through (Kubernetes), and some write in place. What changed is read only when it is the same at two looks in a row, so
/// that a certificate is not taken without its key. Files that are not sound change nothing, and are told once.
///
/// Owner: the control loop; files are read beside it. One reading at a time.
actor CertificateWatch {
  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  private let front: TLSServerContext?
  private let clients: [TLSClientContext]
  private let files: [String]
  private let blocking: BlockingPool
  private let log: EventLog
  private let clock: WallClock
  private let count: @Sendable (_ worked: Bool) -> Void
  private var taken: [FileLook]
  private var last: [FileLook]
  private var turn: Task<Void, Never>?

  /// Blocks: looks at the files as they are now.
  ///
  /// - Parameters:
  ///   - files: all that `front` and `clients` were made from.
  ///   - count: told of each reading whether all files were taken.
  init(
    loop: EventLoop, front: TLSServerContext?, clients: [TLSClientContext], files: [String],
    blocking: BlockingPool, log: EventLog, clock: @escaping WallClock,
    count: @escaping @Sendable (_ worked: Bool) -> Void
  ) {
    self.loop = loop
    self.front = front
    self.clients = clients
    self.files = files
    self.blocking = blocking
    self.log = log
    self.clock = clock
    self.count = count
    taken = FileLook.at(files)
    last = taken
    Self.judge(front, clients, log, clock())
  }

  /// Looks whether files have changed, and reads them when they stay as they are.
  func look() async {
    guard !files.isEmpty else { return }
    await inTurn { await $0.lookNow() }
  }

  /// Reads all files again.
  func reload() async { await inTurn { await $0.reloadNow() } }

  private func inTurn(_ work: @escaping @Sendable (isolated CertificateWatch) async -> Void) async {
    let before = turn
    let mine = Task {
      await before?.value
      await work(self)
    }
    turn = mine
    await mine.value
  }

  private func lookNow() async {
    let files = files
    guard let now = try? await blocking.run({ FileLook.at(files) }) else { return }
    defer { last = now }
    if now != taken, now == last { await reloadNow() }
  }

  private func reloadNow() async {
    let (front, clients, files) = (front, clients, files)
    let result = try? await blocking.run {
      // Looked at before they are read: what changes in between is read again.
      let look = FileLook.at(files)
      var problems = front?.reload() ?? []
      for client in clients {
        do throws(ReactorError) { try client.reload() } catch { problems.append(error) }
      }
      return (look, problems)
    }
    // Too much other work waits: the next look tries again.
    guard let (look, problems) = result else { return }
    (taken, last) = (look, look)
    for problem in problems { log.certificateRefused(problem.description) }
    if problems.isEmpty { log.certificatesReloaded(files.count) }
    Self.judge(front, clients, log, clock())
    count(problems.isEmpty)
  }

  /// Tells what is amiss with certificates that are in use all the same.
  private static func judge(
    _ front: TLSServerContext?, _ clients: [TLSClientContext], _ log: EventLog, _ now: Timestamp
  ) {
    for facts in (front?.facts ?? []) + clients.compactMap(\.facts) {
      if facts.notAfter < now || facts.notBefore > now {
        log.certificateOutOfTime(facts.file, from: facts.notBefore, to: facts.notAfter)
      }
      if let problem = facts.ocspProblem { log.notStapled(problem) }
    }
  }
}
