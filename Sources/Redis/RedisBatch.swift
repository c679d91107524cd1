internal import Basics

/// What became of commands that were given to one server together.
enum RedisOutcome {
  /// One for each command, in order.
  case answers([RedisValue])
  /// No byte of them left: they may be sent elsewhere.
  case unsent(RedisError)
  /// No byte of them left, since too much waits already; nothing is wrong with the server.
  case refused(RedisError)
  /// They may or may not have been carried out.
  case unknown(RedisError)
}

/// Commands that go to one server together, on one connection, next to each other.
///
/// Owner: the loop.
final class RedisBatch {
  let bytes: [UInt8]
  /// How many answers belong to it.
  let count: Int
  /// Tries on connections that were lost before a byte was written.
  var tries = 0
  private let completion: (RedisOutcome) -> Void

  init(_ commands: [RedisCommand], completion: @escaping (RedisOutcome) -> Void) {
    var out = Buffer()
    for command in commands { command.append(to: &out) }
    bytes = out.array()
    count = commands.count
    self.completion = completion
  }

  func finish(_ outcome: RedisOutcome) { completion(outcome) }
}
