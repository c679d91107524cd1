import Basics
import Reactor
import Redis
import TestSupport
import Testing

extension RedisServer {
  var endpoint: RedisEndpoint { RedisEndpoint(host: "127.0.0.1", port: port) }
}

/// A client on a loop of its own.
final class Rig: Sendable {
  let loop = EventLoop(name: "redis")
  let client: RedisClient

  init(_ settings: RedisSettings) {
    client = RedisClient(settings: settings, loop: loop, blocking: BlockingPool(width: 1))
    loop.start()
  }

  /// Runs `body` with a client of `settings`, and ends the client and its loop after it.
  static func with(_ settings: RedisSettings, _ body: (Rig) async throws -> Void) async throws {
    let rig = Rig(settings)
    do {
      try await body(rig)
      await rig.end()
    } catch {
      await rig.end()
      throw error
    }
  }

  private func end() async {
    await client.close()
    await loop.stop()
  }

  /// One command of words; its answer.
  func send(_ words: String...) async throws -> RedisValue {
    try await client.send([RedisCommand(words)])[0]
  }

  /// Several at once.
  func send(_ commands: [RedisCommand]) async throws -> [RedisValue] { try await client.send(commands) }

  func nodes() async throws -> [RedisEndpoint] { try await client.nodes() }

  func run(_ calls: [RedisScriptCall]) async throws -> [RedisValue] { try await client.runAll(calls) }

  func run(_ script: RedisScript, key: [UInt8], _ arguments: [[UInt8]] = []) async throws -> RedisValue {
    try await client.run(script, keys: [key], arguments: arguments)
  }

  /// One command of words; why it failed, nil when it was answered.
  func failure(_ words: String...) async -> RedisError? {
    do {
      _ = try await client.send([RedisCommand(words)])
      return nil
    } catch { return error }
  }

  /// Sends until an answer comes. - Throws: none came within ten seconds.
  @discardableResult
  func eventually(_ words: String...) async throws -> RedisValue {
    try await within(.seconds(10)) { try? await self.client.send([RedisCommand(words)])[0] }
  }

  /// Waits until a condition holds. - Throws: it does not within ten seconds.
  func until(_ condition: () async -> Bool) async throws {
    try await within(.seconds(10)) { await condition() ? () : nil }
  }

  /// Asks until there is a value.
  func within<Value>(_ time: Duration, _ body: () async throws -> Value?) async throws -> Value {
    let end = MonotonicTime.read() + time
    while MonotonicTime.read() < end {
      if let value = try await body() { return value }
      try await loop.sleep(for: .milliseconds(5))
    }
    throw RedisServer.Failure(description: "not within \(time)")
  }
}

extension RedisCommand {
  /// By words; the second one is the key.
  init(_ words: [String]) {
    self.init(
      arguments: words.map { Array($0.utf8) }, routedBy: words.count > 1 ? Array(words[1].utf8) : nil)
  }
}

extension RedisValue {
  /// A string's value.
  static func text(_ text: String) -> RedisValue { .bytes(Array(text.utf8)) }
}
