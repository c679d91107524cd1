internal import Basics
internal import Reactor

/// What a subscription hears of.
public enum RedisEvent: Sendable, Hashable {
  /// The server sends what is published from now on.
  case connected
  case message([UInt8])
  /// What is published until the next `.connected` will not be heard.
  case lost
}

/// Channels that are listened to, on a connection of their own. Unlike commands, which come by themselves, it keeps trying.
///
/// Owner: the loop. In a cluster any node will do, since what is published reaches all. When nothing comes for a while it asks whether
/// the server is still there: a machine that lost its power says nothing.
final class RedisSubscription: LoopTimerOwner {
  private struct Channel {
    var handlers: [@Sendable (RedisEvent) -> Void] = []
    var isConnected = false
  }

  private enum State {
    case idle
    /// Between tries.
    case pausing
    /// Asking which servers there are.
    case finding
    case dialing(RedisHandshake)
    case open(RedisLink)
    case closed
  }

  private let parts: RedisParts
  /// Asks for servers to choose from.
  var masters: (@escaping (Result<[RedisEndpoint], RedisError>) -> Void) -> Void = { _ in }
  /// Told of servers that were lost or not reached.
  var doubt: (RedisEndpoint) -> Void = { _ in }
  private let timer: LoopTimer
  private var channels: [[UInt8]: Channel] = [:]
  private var state = State.idle
  private var backOff = BackOff()
  /// A question whether the server is there has no answer yet.
  private var isAsking = false

  init(_ parts: RedisParts) {
    self.parts = parts
    timer = LoopTimer(loop: parts.loop)
    timer.setOwner(self)
  }

  func add(_ channel: [UInt8], _ handler: @escaping @Sendable (RedisEvent) -> Void) {
    let isNew = channels[channel] == nil
    channels[channel, default: Channel()].handlers.append(handler)
    switch state {
    case .idle: find()
    case .open(let link):
      if isNew {
        subscribe(channel, link)
      } else if channels[channel]?.isConnected == true {
        handler(.connected)
      }
    case .pausing, .finding, .dialing, .closed: break
    }
  }

  /// The server is not the one to listen to any more.
  func move() {
    if case .open(let link) = state { link.end(.unavailable("another server is the master")) }
  }

  func close() {
    timer.disarm()
    let last = state
    state = .closed
    switch last {
    case .dialing(let handshake): handshake.cancel()
    case .open(let link):
      link.close()
      tellLost()
    case .idle, .pausing, .finding, .closed: break
    }
  }

  // MARK: Connecting

  private func find() {
    state = .finding
    masters { [weak self] result in
      guard let self, case .finding = state else { return }
      switch result {
      case .success(let endpoints):
        if let endpoint = endpoints.randomElement() { return dial(endpoint) }
        failed(.unavailable("no server to subscribe at"))
      case .failure(let error): failed(error)
      }
    }
  }

  private func dial(_ endpoint: RedisEndpoint) {
    let handshake = RedisHandshake(parts, endpoint, parts.identity()) { [weak self] result in
      switch result {
      case .success(let link): self?.opened(link)
      case .failure(let error):
        self?.failed(error)
        self?.doubt(endpoint)
      }
    }
    state = .dialing(handshake)
  }

  private func opened(_ link: RedisLink) {
    state = .open(link)
    isAsking = false
    link.received = { [weak self] in self?.received($0) }
    link.ended = { [weak self, endpoint = link.endpoint] in self?.ended($0, endpoint) }
    for channel in channels.keys { subscribe(channel, link) }
    timer.arm(after: parts.settings.commandTimeout)
    isAsking = true
  }

  private func subscribe(_ channel: [UInt8], _ link: RedisLink) {
    var out = Buffer()
    RedisCommand("SUBSCRIBE", [channel]).append(to: &out)
    link.send(out)
  }

  private func failed(_ error: RedisError) {
    let pause = backOff.failed(error, parts.loop.now)
    state = .pausing
    timer.arm(after: pause)
  }

  private func ended(_ error: RedisError, _ endpoint: RedisEndpoint) {
    failed(error)
    doubt(endpoint)
    tellLost()
  }

  private func tellLost() {
    for (name, channel) in channels where channel.isConnected {
      channels[name]?.isConnected = false
      for handler in channel.handlers { handler(.lost) }
    }
  }

  // MARK: While it is open

  /// RESP2: `["subscribe", channel, count]`, `["message", channel, bytes]`, and `["pong", ""]` for a ping.
  private func received(_ value: RedisValue) {
    guard case .open(let link) = state else { return }
    isAsking = false
    timer.arm(after: parts.settings.pingInterval)
    guard let parts = value.array, let kind = parts.first?.text else {
      return link.end(RedisError.unavailability(value) ?? .protocolViolation("no message: \(value.kind)"))
    }
    switch (kind, parts.count) {
    case ("subscribe", 3):
      backOff.succeeded()
      guard let name = parts[1].bytes, channels[name]?.isConnected == false else { return }
      channels[name]?.isConnected = true
      for handler in channels[name]?.handlers ?? [] { handler(.connected) }
    case ("message", 3):
      guard let name = parts[1].bytes, let message = parts[2].bytes else {
        return link.end(.protocolViolation("a message without bytes"))
      }
      for handler in channels[name]?.handlers ?? [] { handler(.message(message)) }
    case ("pong", _): break
    default: link.end(.protocolViolation("an unknown kind of message"))
    }
  }

  func timerFired(_ tag: UInt8) {
    switch state {
    case .pausing: find()
    case .open(let link):
      if isAsking { return link.end(.unavailable("\(link.endpoint) has fallen silent")) }
      isAsking = true
      var out = Buffer()
      RedisCommand("PING").append(to: &out)
      link.send(out)
      timer.arm(after: parts.settings.commandTimeout)
    case .idle, .finding, .dialing, .closed: break
    }
  }
}

extension RedisValue {
  /// What it is, for messages that must not hold it.
  var kind: String {
    switch self {
    case .null: "null"
    case .integer: "a number"
    case .bytes: "a string"
    case .array: "an array"
    case .error: "the error \(errorCode?.prefix(32) ?? "")"
    }
  }
}
