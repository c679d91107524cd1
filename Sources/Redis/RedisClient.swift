public import Reactor

/// A client of Redis: one server, a master that sentinels know, or a cluster. Everything happens on one loop; it may be used from
/// anywhere.
///
/// A command whose fate is unknown is never sent again: ``RedisError/unavailable(_:)`` says that it may have been carried out, and the
/// caller decides. While no server is there, calls fail at once, with the cause of the last try; the first call after a pause, which
/// grows with each failure, tries again.
public final class RedisClient: Sendable {
  private let state: LoopBound<RedisClientState>

  /// Connects when the first command or subscription comes.
  ///
  /// - Parameters:
  ///   - settings: with at least one node.
  ///   - loop: outlives the client's last call.
  ///   - blocking: where names are resolved.
  public init(settings: RedisSettings, loop: EventLoop, blocking: BlockingPool) {
    let connector = Connector(loop: loop, blocking: blocking)
    let parts = RedisParts(loop: loop, connector: connector, settings: settings)
    state = LoopBound(RedisClientState(parts), on: loop)
  }

  deinit {
    let state = state
    state.loop.execute { state.value.close() }
  }

  /// Sends all at once (pipelined, in a cluster by node) and waits for every answer. They are in the commands' order, and each may be
  /// `.error`. Commands are not a transaction.
  ///
  /// - Throws: any answer could not be had; what was asked for may have been carried out, in part or whole.
  public func send(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisValue] {
    try await call { $0.send(commands, $1) }
  }

  /// Sends to one of the masters that ``nodes()`` gave.
  ///
  /// - Throws: as ``send(_:)`` does, and when it is no master any more.
  public func send(_ commands: [RedisCommand], to node: RedisEndpoint) async throws(RedisError)
    -> [RedisValue]
  {
    try await call { $0.send(commands, to: node, $1) }
  }

  /// Runs a script by its name, with its source when the server has not got it yet.
  ///
  /// - Throws: as ``send(_:)`` does; `.server` when the answer is an error.
  public func run(_ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]] = [])
    async throws(RedisError) -> RedisValue
  {
    let answers = try await runAll([RedisScriptCall(script, keys: keys, arguments: arguments)])
    guard let answer = answers.first else { throw .protocolViolation("no answer to a script") }
    if case .error(let text) = answer { throw .server(String(text.prefix(RedisError.maxTextLength))) }
    return answer
  }

  /// Runs scripts that do not depend on each other, pipelined. The answers are in the calls' order, and each may be `.error`. Those
  /// whose source the server has not got yet run after the others.
  ///
  /// - Throws: as ``send(_:)`` does.
  public func runAll(_ calls: [RedisScriptCall]) async throws(RedisError) -> [RedisValue] {
    var answers = try await send(calls.map(\.byDigest))
    let missing = answers.indices.filter { answers[$0].errorCode == "NOSCRIPT" }
    guard !missing.isEmpty else { return answers }
    let late = try await send(missing.map { calls[$0].bySource })
    for (index, answer) in zip(missing, late) { answers[index] = answer }
    return answers
  }

  /// Every master, for commands that concern one node's keys alone (`SCAN`).
  public func nodes() async throws(RedisError) -> [RedisEndpoint] {
    try await call { $0.nodes($1) }
  }

  /// Listens to a channel from now until ``close()``. While the server is away it keeps trying.
  ///
  /// - Parameter handler: runs on the loop, in the order of events. `.connected` comes each time the server has begun to send, `.lost`
  ///   when it has ceased to: what is published in between is not heard.
  public func subscribe(_ channel: [UInt8], _ handler: @escaping @Sendable (RedisEvent) -> Void) {
    let state = state
    state.loop.execute { state.value.subscribe(channel, handler) }
  }

  private func call<Value: Sendable>(
    _ body: @escaping @Sendable (RedisClientState, @escaping (Result<Value, RedisError>) -> Void) -> Void
  ) async throws(RedisError) -> Value {
    let state = state
    let result: Result<Value, RedisError> = await withCheckedContinuation { continuation in
      state.loop.execute { body(state.value) { continuation.resume(returning: $0) } }
    }
    return try result.get()
  }

  /// Closes every connection. What waits, and what is sent later, fails.
  public func close() async {
    let state = state
    await withCheckedContinuation { continuation in
      state.loop.execute {
        state.value.close()
        continuation.resume()
      }
    }
  }
}
