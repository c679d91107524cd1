internal import Basics
internal import Reactor

/// The loop's side of ``RedisClient``.
final class RedisClientState {
  private let parts: RedisParts
  private let topology: any RedisTopology
  private let subscription: RedisSubscription
  private var isClosed = false

  init(_ parts: RedisParts) {
    self.parts = parts
    let subscription = RedisSubscription(parts)
    let topology: any RedisTopology =
      switch parts.settings.mode {
      case .single: RedisSingle(parts)
      case .sentinel(let master, let username, let password):
        RedisSentinel(parts, master: master, username: username, password: password) {
          [weak subscription] in subscription?.move()
        }
      case .cluster: RedisCluster(parts)
      }
    subscription.masters = { [weak topology] completion in topology?.masters(completion) }
    subscription.doubt = { [weak topology] in topology?.doubt($0) }
    self.subscription = subscription
    self.topology = topology
  }

  func send(
    _ commands: [RedisCommand], _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void
  ) {
    guard !commands.isEmpty else { return completion(.success([])) }
    topology.send(commands) { completion($0.flatMap(Self.checked)) }
  }

  func send(
    _ commands: [RedisCommand], to endpoint: RedisEndpoint,
    _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void
  ) {
    guard !commands.isEmpty else { return completion(.success([])) }
    guard let node = topology.node(at: endpoint) else {
      return completion(.failure(.unavailable("\(endpoint) is not used any more")))
    }
    node.submit(RedisBatch(commands) { completion($0.result.flatMap(Self.checked)) })
  }

  func nodes(_ completion: @escaping (Result<[RedisEndpoint], RedisError>) -> Void) {
    topology.masters(completion)
  }

  func subscribe(_ channel: [UInt8], _ handler: @escaping @Sendable (RedisEvent) -> Void) {
    subscription.add(channel, handler)
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    subscription.close()
    topology.close(.unavailable("the client was closed"))
  }

  /// Answers by which the server says that it cannot serve now are failures.
  private static func checked(_ answers: [RedisValue]) -> Result<[RedisValue], RedisError> {
    for answer in answers {
      if let error = RedisError.unavailability(answer) { return .failure(error) }
    }
    return .success(answers)
  }
}
