internal import Basics
internal import Reactor

/// A master that sentinels know by its name.
///
/// Owner: the loop. The sentinels are asked when the first command comes, and anew when the master was lost, is none any more, or the
/// sentinel that would tell of another one (`+switch-master`) is gone. Whoever is said to be the master must say so itself.
final class RedisSentinel: RedisTopology, LoopTimerOwner {
  private typealias Found = (Result<RedisNode, RedisError>) -> Void

  private let parts: RedisParts
  private let name: String
  private let identity: RedisIdentity
  /// Told when another server has become the master.
  private let moved: () -> Void
  /// The one that answered last stands first.
  private var sentinels: [RedisEndpoint]
  private var master: RedisNode?
  /// Nothing has happened since the sentinels named the master.
  private var isSure = false
  /// After an answer the sentinels are left alone this long, however many commands fail.
  private var mayLookAgain = MonotonicTime(nanoseconds: 0)
  private var waiting: [Found] = []
  private var backOff = BackOff()
  private var handshake: RedisHandshake?
  /// The connection to the sentinel that is being asked, afterwards to the one that tells of changes.
  private var asking: RedisLink?
  private var watcher: RedisLink?
  private let timer: LoopTimer
  private var isLooking = false
  private var next = 0
  private var lastError = RedisError.unavailable("no sentinel")
  private var closure: RedisError?

  private static let shortestInterval = Duration.milliseconds(100)

  init(
    _ parts: RedisParts, master name: String, username: String?, password: Secret?,
    moved: @escaping () -> Void
  ) {
    self.parts = parts
    self.name = name
    self.moved = moved
    identity = RedisIdentity(username: username, password: password)
    sentinels = parts.settings.nodes
    timer = LoopTimer(loop: parts.loop)
    timer.setOwner(self)
  }

  func send(
    _ commands: [RedisCommand], _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void
  ) { send(commands, isAgain: false, completion) }

  private func send(
    _ commands: [RedisCommand], isAgain: Bool,
    _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void
  ) {
    withMaster { [self] found in
      switch found {
      case .failure(let error): completion(.failure(error))
      case .success(let node):
        node.submit(
          RedisBatch(commands) { [self] outcome in
            switch outcome {
            case .answers(let answers):
              if answers.contains(where: { $0.errorCode == "READONLY" }) { doubt(node) }
            case .unknown: doubt(node)
            case .unsent:
              doubt(node)
              if !isAgain { return send(commands, isAgain: true, completion) }
            case .refused: break
            }
            completion(outcome.result)
          })
      }
    }
  }

  func masters(_ completion: @escaping (Result<[RedisEndpoint], RedisError>) -> Void) {
    withMaster { completion($0.map { [$0.endpoint] }) }
  }

  func node(at endpoint: RedisEndpoint) -> RedisNode? { master?.endpoint == endpoint ? master : nil }

  func doubt(_ endpoint: RedisEndpoint) {
    if endpoint == master?.endpoint { isSure = false }
  }

  func close(_ error: RedisError) {
    closure = error
    endLook(.failure(error))
    watcher?.close()
    watcher = nil
    master?.close(error)
  }

  // MARK: Who is the master

  private func withMaster(_ found: @escaping Found) {
    if let closure { return found(.failure(closure)) }
    let mayLook = mayLookAgain <= parts.loop.now
    if let master, isSure || !mayLook && !isLooking {
      // Commands go on meanwhile.
      if watcher == nil, mayLook, backOff.refusal(parts.loop.now) == nil { look() }
      return found(.success(master))
    }
    if let refusal = backOff.refusal(parts.loop.now), !isLooking { return found(lastKnown(refusal)) }
    guard waiting.count < parts.settings.maxWaiting else {
      return found(.failure(.unavailable("too many commands wait for the master \(name)")))
    }
    waiting.append(found)
    look()
  }

  /// The sentinels are asked before the next command.
  private func doubt(_ node: RedisNode) {
    if node === master { isSure = false }
  }

  private func look() {
    guard !isLooking else { return }
    isLooking = true
    next = 0
    askNext()
  }

  private func askNext() {
    guard next < sentinels.count else { return endLook(.failure(lastError)) }
    let endpoint = sentinels[next]
    handshake = RedisHandshake(parts, endpoint, identity) { [weak self] result in
      guard let self else { return }
      handshake = nil
      switch result {
      case .success(let link): ask(link)
      case .failure(let error): refused(error)
      }
    }
  }

  /// This sentinel is of no help.
  private func refused(_ error: RedisError) {
    timer.disarm()
    asking?.close()
    asking = nil
    lastError = error
    next += 1
    askNext()
  }

  private func ask(_ link: RedisLink) {
    asking = link
    link.received = { [weak self] in self?.answered($0, link.endpoint) }
    link.ended = { [weak self] in self?.refused($0) }
    var out = Buffer()
    let words = ["GET-MASTER-ADDR-BY-NAME", name].map { Array($0.utf8) }
    RedisCommand("SENTINEL", words).append(to: &out)
    link.send(out)
    timer.arm(after: parts.settings.commandTimeout)
  }

  func timerFired(_ tag: UInt8) {
    refused(.unavailable("the sentinel did not answer in time"))
  }

  private func answered(_ value: RedisValue, _ sentinel: RedisEndpoint) {
    timer.disarm()
    guard let words = value.array, words.count == 2, let host = words[0].text,
      let endpoint = RedisEndpoint(
        host: host, port: words[1].text.flatMap { Int64($0) }, announcedBy: sentinel)
    else {
      return refused(.unavailable("sentinel \(sentinel) knows no master \(name): \(value.kind)"))
    }
    if next > 0 { sentinels.swapAt(0, next) }
    mayLookAgain = parts.loop.now + Self.shortestInterval
    watch()
    endLook(.success(adopt(endpoint)))
  }

  private func endLook(_ result: Result<RedisNode, RedisError>) {
    isLooking = false
    timer.disarm()
    handshake?.cancel()
    handshake = nil
    asking?.close()
    asking = nil
    if case .failure(let error) = result {
      _ = backOff.failed(error, parts.loop.now)
    } else {
      backOff.succeeded()
    }
    let waiting = waiting
    self.waiting = []
    for found in waiting {
      switch result {
      case .success: found(result)
      case .failure(let error): found(lastKnown(error))
      }
    }
  }

  /// While no sentinel answers, the master that they named last: it may well be there, and serves no new connection if it is none.
  private func lastKnown(_ error: RedisError) -> Result<RedisNode, RedisError> {
    if let master, closure == nil { .success(master) } else { .failure(error) }
  }

  private func adopt(_ endpoint: RedisEndpoint) -> RedisNode {
    isSure = true
    if let master, master.endpoint == endpoint { return master }
    let last = master
    let node = RedisNode(parts, endpoint, mustBeMaster: true)
    master = node
    if let last {
      last.retire()
      moved()
    }
    return node
  }

  // MARK: Hearing of another one

  /// The sentinel that answered is kept, to tell.
  private func watch() {
    watcher?.close()
    watcher = asking
    asking = nil
    guard let watcher else { return }
    watcher.received = { [weak self] in self?.heard($0) }
    watcher.ended = { [weak self] _ in self?.watcher = nil }
    var out = Buffer()
    RedisCommand("SUBSCRIBE", [Array("+switch-master".utf8)]).append(to: &out)
    watcher.send(out)
  }

  /// `["message", "+switch-master", "name old-host old-port new-host new-port"]`
  private func heard(_ value: RedisValue) {
    guard let parts = value.array, parts.count == 3, parts[0].text == "message", let text = parts[2].text,
      let watcher
    else { return }
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 5, words[0] == name,
      let endpoint = RedisEndpoint(
        host: String(words[3]), port: Int64(words[4]), announcedBy: watcher.endpoint)
    else { return }
    _ = adopt(endpoint)
  }
}
