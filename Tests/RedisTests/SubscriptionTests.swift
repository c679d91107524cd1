import Basics
import Reactor
import Redis
import TestSupport
import Testing

/// What a subscription heard, in order.
final class Heard: Sendable {
  private let events = Locked<[RedisEvent]>([])

  var all: [RedisEvent] { events.withLock { $0 } }

  func subscribe(_ client: RedisClient, _ channel: String = "news") {
    client.subscribe(Array(channel.utf8)) { event in self.events.withLock { $0.append(event) } }
  }
}

extension RedisEvent {
  static func text(_ text: String) -> RedisEvent { .message(Array(text.utf8)) }
}

@Suite(.timeLimit(.minutes(2))) struct SubscriptionTests {
  private func settings(_ server: RedisServer) -> RedisSettings {
    var settings = RedisSettings(nodes: [server.endpoint])
    settings.pingInterval = .milliseconds(30)
    settings.commandTimeout = .milliseconds(300)
    return settings
  }

  @Test func `messages come in order, each to its channel`() async throws {
    let server = try RedisServer()
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      let (news, other) = (Heard(), Heard())
      news.subscribe(rig.client)
      try await rig.until { news.all == [.connected] }
      other.subscribe(rig.client, "other")
      try await rig.until { other.all == [.connected] }
      _ = try await rig.send(["a", "b", "c"].map { RedisCommand(["PUBLISH", "news", $0]) })
      _ = try await rig.send("PUBLISH", "other", "\r\n")
      try await rig.until { other.all == [.connected, .text("\r\n")] }
      try await rig.until { news.all == [.connected, .text("a"), .text("b"), .text("c")] }
    }
  }

  @Test func `a second listener of a channel hears the same`() async throws {
    let server = try RedisServer()
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      let (first, second) = (Heard(), Heard())
      first.subscribe(rig.client)
      try await rig.until { first.all == [.connected] }
      second.subscribe(rig.client)
      try await rig.until { second.all == [.connected] }
      #expect(try await rig.send("PUBLISH", "news", "a") == .integer(1))
      try await rig.until { first.all == [.connected, .text("a")] && second.all == first.all }
    }
  }

  @Test func `it stays through silence, since the server answers its questions`() async throws {
    let server = try RedisServer()
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      let heard = Heard()
      heard.subscribe(rig.client)
      try await rig.until { heard.all == [.connected] }
      try await server.wait(for: ["INFO", "commandstats"]) { text in
        let pings = text.split(separator: "cmdstat_ping:calls=").dropFirst().first
        return (pings?.prefix { $0 != "," }).flatMap { Int($0) } ?? 0 > 4
      }
      #expect(heard.all == [.connected])
    }
  }

  @Test func `it says that the server is lost, and that it is there again`() async throws {
    let server = try RedisServer()
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      let heard = Heard()
      heard.subscribe(rig.client)
      try await rig.until { heard.all == [.connected] }
      server.kill()
      try await rig.until { heard.all == [.connected, .lost] }
      try server.start()
      try await rig.until { heard.all == [.connected, .lost, .connected] }
      try await rig.eventually("PUBLISH", "news", "again")
      try await rig.until { heard.all.last == .text("again") }
    }
  }

  @Test func `a server that stands still is noticed`() async throws {
    let server = try RedisServer()
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      let heard = Heard()
      heard.subscribe(rig.client)
      try await rig.until { heard.all == [.connected] }
      server.pause()
      try await rig.until { heard.all == [.connected, .lost] }
      server.resume()
      try await rig.until { heard.all == [.connected, .lost, .connected] }
    }
  }

  @Test func `it waits for a server that is not there yet`() async throws {
    let server = try RedisServer()
    server.kill()
    try await Rig.with(settings(server)) { (rig: Rig) async throws in
      let heard = Heard()
      heard.subscribe(rig.client)
      _ = await rig.failure("GET", "a")
      try server.start()
      try await rig.until { heard.all == [.connected] }
    }
  }
}
