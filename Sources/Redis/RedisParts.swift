internal import Reactor

/// What everything of one client stands on. Owner: the loop.
struct RedisParts {
  let loop: EventLoop
  let connector: Connector
  let settings: RedisSettings

  /// Who we are to a server that keeps data.
  func identity(mustBeMaster: Bool = false) -> RedisIdentity {
    RedisIdentity(
      username: settings.username, password: settings.password, database: settings.database,
      mustBeMaster: mustBeMaster)
  }
}

/// When the next try may come after some have failed in a row: the pause doubles up to a bound, and half of it is chance, so that the
/// processes that lost the same server do not all come back at once.
struct BackOff {
  private(set) var failures = 0
  private(set) var until: MonotonicTime?
  /// Why the last try failed.
  private(set) var cause: RedisError?

  private static let first = Duration.milliseconds(50)
  private static let longest = Duration.seconds(2)

  /// The failure to tell to whoever asks during the pause; nil when a try may begin.
  func refusal(_ now: MonotonicTime) -> RedisError? {
    guard let until, until > now else { return nil }
    return cause
  }

  mutating func failed(_ error: RedisError, _ now: MonotonicTime) -> Duration {
    let pause = min(BackOff.longest, BackOff.first * (1 << min(failures, 10)))
    failures += 1
    cause = error
    let half = Int64(pause / .microseconds(2))
    let chosen = Duration.microseconds(half + Int64.random(in: 0...max(1, half)))
    until = now + chosen
    return chosen
  }

  mutating func succeeded() { self = BackOff() }
}
