internal import Basics

/// A document of the provider that is kept: fetched once for all who wait, refreshed in the background, and kept past its time when the
/// provider does not answer.
///
/// Owner: the provider's executor. Nobody who waits can cancel a fetch, and nothing that a user does causes one but the first.
actor CachedDocument<Value: Sendable> {
  struct Lifetime: Sendable {
    /// From this age on a fetch is started in the background.
    var refreshAfter: Duration
    /// From this age on callers wait for a fetch.
    var waitAfter: Duration
    /// Up to this much is added to `refreshAfter` by chance, so that many proxies do not ask at once.
    var jitter: Duration = .zero
    /// How long a failed fetch is not repeated while a document is held.
    var pauseAfterFailure: Duration = .seconds(60)
    /// How long a failed fetch is not repeated while none is held. Short: nobody can sign in meanwhile.
    var pauseWithoutDocument: Duration = .seconds(5)
  }

  private let executor: any SerialExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  private let clock: WallClock
  private let lifetime: Lifetime
  private let fetch: @Sendable () async throws(OAuthError) -> Value
  private var held: (value: Value, fetchedAt: Timestamp, refreshAfter: Duration)?
  private var failure: (error: OAuthError, at: Timestamp)?
  private var inFlight: Task<Result<Value, OAuthError>, Never>?

  init(
    executor: any SerialExecutor, clock: @escaping WallClock, lifetime: Lifetime,
    fetch: @escaping @Sendable () async throws(OAuthError) -> Value
  ) {
    self.executor = executor
    self.clock = clock
    self.lifetime = lifetime
    self.fetch = fetch
  }

  /// The document; an error only when there never was one.
  func value() async throws(OAuthError) -> Value {
    guard let held else {
      if inFlight == nil, let failure, isWithin(lifetime.pauseWithoutDocument, of: failure.at) {
        throw failure.error
      }
      return try await refreshed()
    }
    if isWithin(held.refreshAfter, of: held.fetchedAt) { return held.value }
    if inFlight == nil, let failure, isWithin(lifetime.pauseAfterFailure, of: failure.at) {
      return held.value
    }
    let task = fetchTask()
    if isWithin(lifetime.waitAfter, of: held.fetchedAt) { return held.value }
    if case .success(let value) = await task.value { return value }
    return held.value
  }

  /// The document after a fetch, joined if one is running already.
  func refreshed() async throws(OAuthError) -> Value { try await fetchTask().value.get() }

  /// Whether there is a document, be it an old one.
  var isHeld: Bool { held != nil }

  /// What is held once no fetch is running.
  func settled() async -> Value? {
    if let inFlight { _ = await inFlight.value }
    return held?.value
  }

  private func fetchTask() -> Task<Result<Value, OAuthError>, Never> {
    if let inFlight { return inFlight }
    let task = Task {
      let result: Result<Value, OAuthError>
      do throws(OAuthError) { result = .success(try await fetch()) } catch { result = .failure(error) }
      finish(result)
      return result
    }
    inFlight = task
    return task
  }

  private func finish(_ result: Result<Value, OAuthError>) {
    inFlight = nil
    switch result {
    case .success(let value):
      let jitter = lifetime.jitter == .zero ? .zero : lifetime.jitter * Double.random(in: 0..<1)
      held = (value, clock(), lifetime.refreshAfter + jitter)
      failure = nil
    case .failure(let error): failure = (error, clock())
    }
  }

  /// Whether less than `duration` has passed since `moment`. A clock that was set back counts as time passed.
  private func isWithin(_ duration: Duration, of moment: Timestamp) -> Bool {
    let age = clock() - moment
    return age >= .zero && age < duration
  }
}
