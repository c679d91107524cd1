internal import Basics

/// The provider's keys, kept (OpenID Connect Core 1.0 §10.1.1).
///
/// Refreshed in the background after an hour, waited for after a day; a key that is gone from the set is not trusted after that. A token
/// with an unknown `kid` may mean that the provider changed its keys: that causes one fetch at once, and then none for five
/// minutes, however many such tokens come from there.
actor JWKSCache {
  private let executor: any SerialExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  private let clock: WallClock
  private let document: CachedDocument<[VerificationKey]>
  private var lastMiss: [Source: Timestamp] = [:]

  /// Where a token came from. What anybody can send must not use up the fetch that sign-ins may need.
  enum Source: Hashable {
    /// The token endpoint's answer.
    case signIn
    /// A request that nobody had to prove anything for.
    case anybody
  }

  private static let missInterval = Duration.seconds(300)
  private static let pauseAfterFailure = Duration.seconds(5)

  init(
    executor: any SerialExecutor, clock: @escaping WallClock,
    fetch: @escaping @Sendable () async throws(OAuthError) -> [VerificationKey]
  ) {
    self.executor = executor
    self.clock = clock
    document = CachedDocument(
      executor: executor, clock: clock,
      lifetime: .init(refreshAfter: .seconds(3600), waitAfter: .seconds(86_400), jitter: .seconds(300)),
      fetch: fetch)
  }

  /// The keys; an error only when there never were any.
  func keys() async throws(OAuthError) -> [VerificationKey] { try await document.value() }

  /// The keys after an unknown `kid`: fetched anew, or those at hand when that was done a short while ago.
  func keysAfterMiss(from source: Source) async throws(OAuthError) -> [VerificationKey] {
    let now = clock()
    if let last = lastMiss[source], now >= last, now - last < Self.missInterval {
      return await document.settled() ?? []
    }
    lastMiss[source] = now
    do { return try await document.refreshed() } catch {
      // The new key is still not known: the next token with it may ask again soon.
      lastMiss[source] = now - Self.missInterval + Self.pauseAfterFailure
      throw error
    }
  }
}
