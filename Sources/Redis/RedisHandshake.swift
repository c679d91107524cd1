internal import Basics
internal import Reactor

/// Who we are to a server, and what it has to be.
struct RedisIdentity: Sendable {
  var username: String?
  var password: Secret?
  var database = 0
  /// The server must say that it is a master.
  var mustBeMaster = false
}

/// One way to a server that has let us in: connection, TLS, `AUTH`, `SELECT`, `ROLE`. The server has to answer all of it in time, so
/// that one that is stopped, or only seems to listen, is found out here.
///
/// Owner: the loop; its own owner holds it until the completion, or cancels it.
final class RedisHandshake: LoopTimerOwner {
  private enum Step { case authenticate, select, name, role }

  private let loop: EventLoop
  private let endpoint: RedisEndpoint
  private let identity: RedisIdentity
  private let timer: LoopTimer
  private var completion: ((Result<RedisLink, RedisError>) -> Void)?
  private var attempt: Connector.Attempt?
  private var link: RedisLink?
  private var steps: [Step] = []

  /// - Parameter completion: called once, never before this returns; not at all once it is cancelled.
  init(
    _ parts: RedisParts, _ endpoint: RedisEndpoint, _ identity: RedisIdentity,
    completion: @escaping (Result<RedisLink, RedisError>) -> Void
  ) {
    loop = parts.loop
    self.endpoint = endpoint
    self.identity = identity
    self.completion = completion
    timer = LoopTimer(loop: parts.loop)
    timer.setOwner(self)
    let timeout = parts.settings.connectTimeout
    timer.arm(after: timeout)
    attempt = parts.connector.connect(
      host: endpoint.host, port: endpoint.port, tls: parts.settings.tls, timeout: timeout
    ) { [weak self] in self?.connected($0) }
  }

  func cancel() {
    completion = nil
    finish()
  }

  func timerFired(_ tag: UInt8) {
    fail(.unavailable("\(endpoint) was not reached in time"))
  }

  private func connected(_ result: Result<Stream, ConnectError>) {
    switch result {
    case .failure(let error): fail(.unavailable("\(endpoint): \(error.detail)"))
    case .success(let stream):
      attempt = nil
      let link = RedisLink(stream: stream, endpoint: endpoint, loop: loop)
      self.link = link
      link.received = { [weak self] in self?.answered($0) }
      link.ended = { [weak self] in self?.fail($0) }
      introduce(to: link)
      link.start()
    }
  }

  private func introduce(to link: RedisLink) {
    var out = Buffer()
    if let password = identity.password {
      steps.append(.authenticate)
      out.append((identity.username == nil ? "*2\r\n" : "*3\r\n") as StaticString)
      out.append("$4\r\nAUTH\r\n" as StaticString)
      if let username = identity.username {
        RedisCommand.appendBulkHead(username.utf8.count, to: &out)
        out.append(username)
        out.append("\r\n" as StaticString)
      }
      RedisCommand.appendBulkHead(password.count, to: &out)
      out.append(password)
      out.append("\r\n" as StaticString)
    }
    if identity.database != 0 {
      steps.append(.select)
      RedisCommand("SELECT", [Array(String(identity.database).utf8)]).append(to: &out)
    }
    // For whoever looks at the server's clients; and the one command that every handshake has.
    steps.append(.name)
    RedisCommand("CLIENT", [Array("SETNAME".utf8), Array("coatcheck".utf8)]).append(to: &out)
    if identity.mustBeMaster {
      steps.append(.role)
      RedisCommand("ROLE").append(to: &out)
    }
    link.send(out)
  }

  private func answered(_ value: RedisValue) {
    guard !steps.isEmpty else { return fail(.protocolViolation("\(endpoint) answers what was not asked")) }
    let step = steps.removeFirst()
    // The code alone: a server's text may repeat what it was sent.
    let code = value.errorCode.map { $0.utf8.allSatisfy { $0 &- 0x41 < 26 } ? String($0.prefix(32)) : "ERR" }
    switch (step, code) {
    case (.authenticate, let code?):
      return fail(.unavailable("\(endpoint) refuses our user or password (\(code))"))
    case (.select, let code?):
      return fail(.unavailable("\(endpoint) refuses database \(identity.database) (\(code))"))
    case (.role, let code?): return fail(.unavailable("\(endpoint) does not say its role (\(code))"))
    case (.role, nil):
      guard value.array?.first?.text == "master" else {
        return fail(.unavailable("\(endpoint) is no master"))
      }
    // A user may lack the right to name a connection. Who was not let in at all hears so in any case.
    case (.name, "NOAUTH"): return fail(.unavailable("\(endpoint) wants a password (NOAUTH)"))
    case (.name, _), (.authenticate, nil), (.select, nil): break
    }
    guard steps.isEmpty, let link, let completion else { return }
    self.completion = nil
    self.link = nil
    finish()
    completion(.success(link))
  }

  private func fail(_ error: RedisError) {
    guard let completion else { return }
    self.completion = nil
    finish()
    completion(.failure(error))
  }

  private func finish() {
    timer.disarm()
    attempt?.cancel()
    attempt = nil
    link?.close()
    link = nil
  }
}
