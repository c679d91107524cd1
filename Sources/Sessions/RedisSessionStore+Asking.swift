internal import Basics
internal import Redis
internal import Synchronization

// How questions are put, and what their failures mean.
extension RedisSessionStore {
  /// By which everything outlives what it is about: clocks differ, and a sweep may be late.
  static let grace = Duration.seconds(86_400)
  /// Notes are kept for over a year, and everything about the installation as long.
  private static let noteLifetime = Duration.seconds(500 * 86_400)

  /// After so long without a change a session's keys go by themselves, in milliseconds.
  var backstop: [UInt8] { .init(decimal: (settings.lifetime + Self.grace).milliseconds) }
  var noteBackstop: [UInt8] { .init(decimal: Self.noteLifetime.milliseconds) }

  /// The time that scripts are told; nothing: they take the server's.
  var leaseTime: [UInt8] { settings.clock.map { .init(decimal: $0()) } ?? [] }

  var now: Timestamp { settings.clock?() ?? .now() }

  /// Channel and bytes of a notice, as scripts take them.
  func notice(_ notice: StoreNotice) -> [[UInt8]] { [keys.channel, RedisNotice.bytes(notice, from: sender)] }

  func run(_ script: RedisScript, _ base: [UInt8], _ arguments: [[UInt8]]) async throws(StoreError)
    -> RedisValue
  {
    try await runAll([RedisScriptCall(script, keys: [base], arguments: arguments)])[0]
  }

  func runAll(_ calls: [RedisScriptCall]) async throws(StoreError) -> [RedisValue] {
    try await ask(calls) { calls throws(RedisError) in try await self.client.runAll(calls) }
  }

  func send(_ command: RedisCommand) async throws(StoreError) -> RedisValue { try await send([command])[0] }

  func send(_ commands: [RedisCommand]) async throws(StoreError) -> [RedisValue] {
    try await ask(commands) { commands throws(RedisError) in try await self.client.send(commands) }
  }

  /// As many answers as questions, none of them an error.
  private func ask<Question>(
    _ questions: [Question], _ body: ([Question]) async throws(RedisError) -> [RedisValue]
  ) async throws(StoreError) -> [RedisValue] {
    if state.withLock({ $0.isClosed }) { throw .unavailable("it was closed") }
    var answers: [RedisValue] = []
    // What waits at a time is bounded, here and at the servers.
    for start in stride(from: 0, to: questions.count, by: Self.batch) {
      do {
        answers += try await body(Array(questions[start..<min(start + Self.batch, questions.count)]))
      } catch {
        throw StoreError(error)
      }
    }
    for answer in answers {
      if case .error(let text) = answer { throw StoreError(.server(text)) }
    }
    guard answers.count == questions.count else { throw .unavailable("Redis: an answer is missing") }
    return answers
  }

  private static let batch = 1024

  /// What eight bytes say; nil when they are not eight.
  static func number(_ bytes: [UInt8]) -> UInt64? {
    guard bytes.count == 8 else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  static func hash(_ value: RedisValue) -> TicketHash? {
    value.bytes.flatMap { Bytes32($0) }.map(TicketHash.init(digest:))
  }
}

extension StoreError {
  /// Servers repeat arguments in some of their refusals: nothing from there on is said on.
  init(_ error: RedisError) {
    let text = "\(error)".unicodeScalars.prefix(240).prefix { $0 != "`" }
    self = .unavailable(String(text.map { $0.isASCII && $0.value >= 0x20 ? Character($0) : "?" }))
  }
}
