/// How commands find their servers. Owner: the loop.
protocol RedisTopology: AnyObject {
  /// Sends commands; the answers are in their order.
  func send(
    _ commands: [RedisCommand], _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void)
  /// Every master there is.
  func masters(_ completion: @escaping (Result<[RedisEndpoint], RedisError>) -> Void)
  /// One of the masters; nil when it is none any more.
  func node(at endpoint: RedisEndpoint) -> RedisNode?
  /// A server could not be reached, or was lost: it may not be what it was.
  func doubt(_ endpoint: RedisEndpoint)
  /// Closes all connections.
  func close(_ error: RedisError)
}

/// One server.
final class RedisSingle: RedisTopology {
  private let only: RedisNode

  init(_ parts: RedisParts) {
    precondition(!parts.settings.nodes.isEmpty, "a Redis client without a server")
    only = RedisNode(parts, parts.settings.nodes[0])
  }

  func send(
    _ commands: [RedisCommand], _ completion: @escaping (Result<[RedisValue], RedisError>) -> Void
  ) {
    only.submit(RedisBatch(commands) { completion($0.result) })
  }

  func masters(_ completion: @escaping (Result<[RedisEndpoint], RedisError>) -> Void) {
    completion(.success([only.endpoint]))
  }

  func node(at endpoint: RedisEndpoint) -> RedisNode? { endpoint == only.endpoint ? only : nil }

  func doubt(_ endpoint: RedisEndpoint) {}

  func close(_ error: RedisError) { only.close(error) }
}

extension RedisOutcome {
  /// For whom it is all the same whether a byte was sent.
  var result: Result<[RedisValue], RedisError> {
    switch self {
    case .answers(let answers): .success(answers)
    case .unsent(let error), .refused(let error), .unknown(let error): .failure(error)
    }
  }
}
