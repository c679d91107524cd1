internal import Basics
internal import Reactor

/// A cluster: a map of slots to masters, and a node for each master that has been needed.
///
/// Owner: the loop. The map is read when the first command comes, and anew when a node says that a slot has moved or a node is lost;
/// one reading serves all who wait for it.
final class RedisCluster: RedisTopology {
  private typealias Ready = (RedisError?) -> Void

  let parts: RedisParts
  private(set) var map = ClusterMap()
  private var nodes: [RedisEndpoint: RedisNode] = [:]
  private var waiting: [Ready] = []
  private var isReading = false
  private var mayReadAgain = MonotonicTime(nanoseconds: 0)
  private var backOff = BackOff()
  private var closure: RedisError?

  /// After a reading the map is taken for good this long, however many commands find it wrong.
  private static let shortestInterval = Duration.milliseconds(100)

  init(_ parts: RedisParts) { self.parts = parts }

  func send(
    _ commands: [RedisCommand], _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void
  ) {
    whenMapped { [self] error in
      if let error { return completion(.failure(error)) }
      ClusterRequest(self, commands, completion).run()
    }
  }

  func masters(_ completion: @escaping (Result<[RedisEndpoint], RedisError>) -> Void) {
    whenMapped { [self] error in completion(error.map { .failure($0) } ?? .success(map.masters)) }
  }

  func node(at endpoint: RedisEndpoint) -> RedisNode? {
    map.masters.contains(endpoint) ? reach(endpoint) : nil
  }

  func doubt(_ endpoint: RedisEndpoint) { read { _ in } }

  func close(_ error: RedisError) {
    closure = error
    for node in nodes.values { node.close(error) }
    nodes = [:]
    let waiting = waiting
    self.waiting = []
    for ready in waiting { ready(error) }
  }

  /// The node at an endpoint that the map or another node has named; nil when the client was closed.
  func reach(_ endpoint: RedisEndpoint) -> RedisNode? {
    guard closure == nil else { return nil }
    if let node = nodes[endpoint] { return node }
    guard nodes.count < 2 * ClusterMap.maxMasters else { return nil }
    let node = RedisNode(parts, endpoint)
    nodes[endpoint] = node
    return node
  }

  /// Who serves a command; for one without a key a master that is connected, rather than one that is not.
  func master(for command: RedisCommand) -> RedisEndpoint? {
    if let key = command.key { return map.master(of: ClusterSlots.slot(of: key)) }
    return map.masters.filter { nodes[$0]?.isConnected ?? false }.randomElement()
      ?? map.masters.filter { nodes[$0]?.refusal == nil }.randomElement() ?? map.masters.first
  }

  /// A node says that a slot is another one's: that is known at once, the rest of the map is read.
  func moved(_ redirect: ClusterRedirect) {
    map.assign(redirect.slot...redirect.slot, to: redirect.endpoint)
    read { _ in }
  }

  // MARK: The map

  private func whenMapped(_ ready: @escaping Ready) {
    if map.masters.isEmpty { read(ready) } else { ready(closure) }
  }

  /// Reads the map, or waits for the reading that is under way.
  func read(_ ready: @escaping (RedisError?) -> Void) {
    if let closure { return ready(closure) }
    if !isReading {
      if let refusal = backOff.refusal(parts.loop.now) { return ready(refusal) }
      if mayReadAgain > parts.loop.now { return ready(nil) }
    }
    guard waiting.count < parts.settings.maxWaiting else {
      return ready(.unavailable("too many commands wait for the map of the cluster"))
    }
    waiting.append(ready)
    guard !isReading else { return }
    isReading = true
    var candidates = map.masters.shuffled()
    candidates += parts.settings.nodes.filter { !candidates.contains($0) }
    ask(candidates[...], .unavailable("no node of the cluster"))
  }

  private func ask(_ candidates: ArraySlice<RedisEndpoint>, _ lastError: RedisError) {
    guard let endpoint = candidates.first, let node = reach(endpoint) else {
      return finishReading(closure ?? lastError)
    }
    node.submit(
      RedisBatch([RedisCommand("CLUSTER", [Array("SLOTS".utf8)])]) { [weak self] outcome in
        guard let self else { return }
        let rest = candidates.dropFirst()
        switch outcome {
        case .unsent(let error), .refused(let error), .unknown(let error): ask(rest, error)
        case .answers(let answers):
          guard let answer = answers.first, let map = ClusterMap(answer, by: endpoint) else {
            let kind = answers.first?.kind ?? "nothing"
            return ask(rest, .unavailable("\(endpoint) knows no slots of a cluster: \(kind)"))
          }
          self.map = map
          finishReading(nil)
        }
      })
  }

  private func finishReading(_ error: RedisError?) {
    isReading = false
    if let error {
      _ = backOff.failed(error, parts.loop.now)
    } else {
      backOff.succeeded()
      mayReadAgain = parts.loop.now + Self.shortestInterval
      for (endpoint, node) in nodes where !map.masters.contains(endpoint) {
        nodes[endpoint] = nil
        node.retire()
      }
    }
    let waiting = waiting
    self.waiting = []
    for ready in waiting { ready(error) }
  }
}
