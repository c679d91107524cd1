internal import Basics
internal import Reactor

/// One server and our connections to it: made when commands come, shared by all of them, made anew after a pause when they fail.
///
/// Owner: the loop. Bounds: `connections`, and `maxWaiting` commands; a single batch may go beyond.
final class RedisNode {
  let endpoint: RedisEndpoint
  private let parts: RedisParts
  private let identity: RedisIdentity
  private var pipelines: [RedisPipeline] = []
  private var dialing: [ObjectIdentifier: RedisHandshake] = [:]
  /// For the first connection to come.
  private var waiting: [RedisBatch] = []
  private var pending = 0
  private var backOff = BackOff()
  private var isRetired = false
  private var closure: RedisError?

  init(_ parts: RedisParts, _ endpoint: RedisEndpoint, mustBeMaster: Bool = false) {
    self.parts = parts
    self.endpoint = endpoint
    identity = parts.identity(mustBeMaster: mustBeMaster)
  }

  /// Whether a command would be written at once.
  var isConnected: Bool { !pipelines.isEmpty }

  /// Why a command would fail at once; nil when it would not.
  var refusal: RedisError? { closure ?? (pipelines.isEmpty ? backOff.refusal(parts.loop.now) : nil) }

  /// Sends a batch. Its outcome may come before this returns.
  func submit(_ batch: RedisBatch) {
    if let refusal { return batch.finish(.unsent(refusal)) }
    guard pending < parts.settings.maxWaiting else {
      return batch.finish(.refused(.unavailable("\(endpoint): too many commands wait")))
    }
    pending += batch.count
    guard let pipeline = pipelines.min(by: { $0.load < $1.load }) else {
      waiting.append(batch)
      if dialing.isEmpty { dial() }
      return
    }
    if pipeline.load > 0, pipelines.count + dialing.count < parts.settings.connections,
      backOff.refusal(parts.loop.now) == nil
    {
      dial()
    }
    pipeline.submit(batch)
  }

  /// Takes no part in what comes; closes once what waits is done.
  func retire() {
    isRetired = true
    closeIfDone()
  }

  /// Closes at once. Everything that waits fails with `error`.
  func close(_ error: RedisError) {
    closure = error
    for handshake in dialing.values { handshake.cancel() }
    dialing = [:]
    let waiting = waiting
    self.waiting = []
    for batch in waiting { finish(batch, .unsent(error)) }
    for pipeline in pipelines { pipeline.close(error) }
  }

  private func closeIfDone() {
    guard isRetired, pending == 0, closure == nil else { return }
    close(.unavailable("\(endpoint) is not used any more"))
  }

  private func finish(_ batch: RedisBatch, _ outcome: RedisOutcome) {
    pending -= batch.count
    batch.finish(outcome)
    closeIfDone()
  }

  // MARK: Connections

  private func dial() {
    var id: ObjectIdentifier?
    let handshake = RedisHandshake(parts, endpoint, identity) { [weak self] result in
      guard let self, let id else { return }
      dialing[id] = nil
      switch result {
      case .success(let link): connected(link)
      case .failure(let error): failed(error)
      }
    }
    id = ObjectIdentifier(handshake)
    dialing[ObjectIdentifier(handshake)] = handshake
  }

  private func connected(_ link: RedisLink) {
    backOff.succeeded()
    let pipeline = RedisPipeline(
      link, parts.loop, timeout: parts.settings.commandTimeout,
      answered: { [weak self] in self?.answered($0, $1) },
      lost: { [weak self] in self?.lost($0, $1) })
    pipelines.append(pipeline)
    let waiting = waiting
    self.waiting = []
    for batch in waiting { pipeline.submit(batch) }
  }

  private func answered(_ batch: RedisBatch, _ answers: [RedisValue]) {
    if let error = answers.lazy.compactMap(Self.demotion).first, closure == nil {
      // The name may have come to mean another server by now, but a connection stays where it is.
      _ = backOff.failed(error, parts.loop.now)
      for pipeline in pipelines { pipeline.close(error) }
    }
    finish(batch, .answers(answers))
  }

  /// The server says that it is no master, or not any more.
  private static func demotion(_ answer: RedisValue) -> RedisError? {
    switch answer.errorCode {
    case "READONLY", "MASTERDOWN": RedisError.unavailability(answer)
    default: nil
    }
  }

  private func failed(_ error: RedisError) {
    _ = backOff.failed(error, parts.loop.now)
    guard pipelines.isEmpty, dialing.isEmpty else { return }
    let waiting = waiting
    self.waiting = []
    for batch in waiting { finish(batch, .unsent(error)) }
  }

  private func lost(_ pipeline: RedisPipeline, _ loss: RedisPipeline.Loss) {
    pipelines.removeAll { $0 === pipeline }
    // Others that nobody heard from meanwhile may be as dead: their next commands need not wait to learn it.
    if loss.isTimeout { for idle in pipelines where idle.load == 0 { idle.close(loss.error) } }
    for batch in loss.unknown { finish(batch, .unknown(loss.error)) }
    for batch in loss.unsent {
      batch.tries += 1
      guard batch.tries <= 1, closure == nil else {
        finish(batch, .unsent(loss.error))
        continue
      }
      pending -= batch.count
      submit(batch)
    }
  }
}
