import Basics
import COpenSSL
import Glibc
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(2))) struct TLSTests {
  @Test func `after the handshake bytes go both ways and the end is proper`() async throws {
    try await onNewLoop { loop in
      let (server, client) = try tlsPair(loop, serving("upstream"), trusting(), host: "upstream.test")
      let outcome = await shakeHands(server, client)
      #expect(outcome == (.done, .done))
      #expect(client.stream.tlsVersion == "TLSv1.3")
      #expect(server.stream.serverName == "upstream.test")
      #expect(server.stream.isTLS)
      #expect(await client.write("question") == .bytes(8))
      #expect(await server.text(8).0 == "question")
      #expect(await server.write("answer") == .bytes(6))
      server.stream.close()
      #expect(await client.text() == ("answer", .endOfStream))
      client.stream.close()
    }
  }

  @Test(arguments: [true, false])
  func `a client names HTTP/1.1 only when that is what it will speak`(_ speaksHTTP: Bool) async throws {
    try await onNewLoop { loop in
      let (a, b) = socketPair()
      let context = try TLSClientContext(caFile: Certificates.file("ca.pem"), speaksHTTP: speaksHTTP)
      let session = try #require(TLSSession(client: context, descriptor: b, host: "upstream.test"))
      let server = End(Stream(loop: loop, descriptor: a, peer: nowhere, tls: nil))
      let client = End(Stream(loop: loop, descriptor: b, peer: nowhere, tls: session))
      #expect(client.stream.handshake() == .wouldBlock)
      var hello = Buffer()
      _ = await server.read(into: &hello)
      #expect(hello.find("upstream.test", in: 0..<hello.count) != nil)
      #expect((hello.find("http/1.1", in: 0..<hello.count) != nil) == speaksHTTP)
      server.stream.close()
      client.stream.close()
    }
  }

  @Test func `a connection cut without close_notify is a failure after the bytes that came`() async throws {
    try await onNewLoop { loop in
      let (server, client) = try tlsPair(loop, serving("upstream"), trusting(), host: "upstream.test")
      _ = await shakeHands(server, client)
      #expect(await server.write("half an answ") == .bytes(12))
      server.stream.abort()
      let (text, end) = await client.text()
      #expect(text == "half an answ")
      #expect(end == .failed(0))
      #expect(await client.text().1 == .failed(0))
    }
  }

  @Test func `megabytes pass in both directions at once, through full sockets`() async throws {
    try await onNewLoop { loop in
      let (server, client) = try tlsPair(loop, serving("upstream"), trusting(), host: "upstream.test")
      _ = await shakeHands(server, client)
      let total = 3 << 20
      var fromServer = Buffer([UInt8](repeating: 1, count: total))
      var fromClient = Buffer([UInt8](repeating: 2, count: total))
      var received = (0, 0)
      var blocked = false
      while received.0 < total || received.1 < total {
        // What is left over found the socket full.
        if received == (0, 0) {
          while case .bytes = server.stream.write(from: &fromServer), !fromServer.isEmpty {}
          blocked = server.stream.write(from: &fromServer) == .wouldBlock
        }
        _ = server.stream.write(from: &fromServer)
        _ = client.stream.write(from: &fromClient)
        // A stream looks at its socket again when it hears of it.
        await Task.yield()
        // Growing and moving between two tries of one write.
        var into = Buffer()
        if case .bytes(let count) = client.stream.read(into: &into, max: 50_000) {
          let last = into[count - 1]
          #expect(last == 1)
          received.0 += count
        }
        into = Buffer()
        if case .bytes(let count) = server.stream.read(into: &into, max: 50_000) {
          let last = into[count - 1]
          #expect(last == 2)
          received.1 += count
        }
      }
      #expect(blocked)
      #expect(received == (total, total))
    }
  }

  @Test func `the second connection takes up the first one's session`() async throws {
    try await onNewLoop { loop in
      let serverContext = try serving("upstream")
      let clientContext = try trusting()
      for round in 0..<3 {
        let (server, client) = try tlsPair(loop, serverContext, clientContext, host: "upstream.test")
        _ = await shakeHands(server, client)
        #expect(client.stream.isResumed == (round > 0))
        #expect(server.stream.isResumed == (round > 0))
        // Tickets come with the first bytes.
        _ = await server.write("x")
        #expect(await client.text(1).0 == "x")
        client.stream.close()
        server.stream.close()
      }
    }
  }

  @Test func `a session is taken up neither for another host nor with other keys`() async throws {
    try await onNewLoop { loop in
      let first = try serving("upstream")
      let clientContext = try trusting()
      for (serverContext, host) in [
        (first, "upstream.test"), (first, "localhost"), (try serving("upstream"), "localhost"),
      ] {
        let (server, client) = try tlsPair(loop, serverContext, clientContext, host: host)
        #expect(await shakeHands(server, client) == (.done, .done))
        #expect(!client.stream.isResumed)
        _ = await server.write("x")
        _ = await client.text(1)
        client.stream.close()
        server.stream.close()
      }
    }
  }

  @Test(arguments: [
    ("upstream", "upstream.test", "ca", true), ("upstream", "UPSTREAM.test", "ca", true),
    ("upstream", "127.0.0.1", "ca", true), ("upstream", "::1", "ca", true), ("upstream", "[::1]", "ca", true),
    ("wild", "a.wild.test", "ca", true),
    ("upstream", "other.test", "ca", false), ("upstream", "upstream.test.evil.test", "ca", false),
    ("upstream", "127.0.0.2", "ca", false), ("upstream", "::2", "ca", false),
    ("wild", "wild.test", "ca", false),
    ("wild", "a.b.wild.test", "ca", false), ("common", "common.test", "ca", false),
    ("foreign", "upstream.test", "ca", false), ("upstream", "upstream.test", "stranger", false),
  ])
  func `a server is believed when authority and name fit`(
    _ certificate: String, _ host: String, _ authority: String, _ isBelieved: Bool
  ) async throws {
    try await onNewLoop { loop in
      let (server, client) = try tlsPair(loop, serving(certificate), trusting(authority), host: host)
      let (_, outcome) = await shakeHands(server, client)
      if isBelieved {
        #expect(outcome == .done)
      } else if case .failed(let reason) = outcome {
        #expect(reason.hasPrefix("certificate refused: "))
      } else {
        Issue.record("\(host) was believed")
      }
      client.stream.close()
      server.stream.close()
    }
  }

  @Test(arguments: [
    ("127.0.0.2", "certificate refused: IP address mismatch"),
    ("other.test", "certificate refused: hostname mismatch"),
  ])
  func `the reason of a refusal is readable`(_ host: String, _ reason: String) async throws {
    try await onNewLoop { loop in
      let (server, client) = try tlsPair(loop, serving("upstream"), trusting(), host: host)
      #expect(await shakeHands(server, client).1 == .failed(reason))
    }
  }

  @Test(arguments: [
    ("upstream.test", "upstream.test"), ("a.wild.test", "a.wild.test"), ("localhost", "localhost"),
  ])
  func `the certificate follows the name the client asks for`(_ host: String, _ name: String) async throws {
    try await onNewLoop { loop in
      let serverContext = try serving("upstream", "wild")
      let (server, client) = try tlsPair(loop, serverContext, trusting(), host: host)
      #expect(await shakeHands(server, client) == (.done, .done))
      #expect(server.stream.serverName == name)
    }
  }

  @Test func `sessions resume under the second certificate too`() async throws {
    try await onNewLoop { loop in
      let (serverContext, clientContext) = (try serving("upstream", "wild"), try trusting())
      for round in 0..<2 {
        let (server, client) = try tlsPair(loop, serverContext, clientContext, host: "a.wild.test")
        #expect(await shakeHands(server, client) == (.done, .done))
        #expect(client.stream.isResumed == (round == 1))
        _ = await server.write("x")
        _ = await client.text(1)
        client.stream.close()
        server.stream.close()
      }
    }
  }

  @Test func `an idle connection with unread session tickets is alive, one that ended is not`() async throws {
    try await onNewLoop { loop in
      let (server, client) = try tlsPair(loop, serving("upstream"), trusting(), host: "upstream.test")
      _ = await shakeHands(server, client)
      #expect(client.stream.isIdleAlive())
      _ = await server.write("x")
      #expect(!client.stream.isIdleAlive())
      _ = await client.text(1)
      #expect(client.stream.isIdleAlive())
      server.stream.close()
      #expect(!client.stream.isIdleAlive())
    }
  }

  @Test(arguments: [
    (["-tls1_2"], TLSServerContext.Version.tls12, "TLSv1.2"), (["-tls1_3"], .tls12, "TLSv1.3"),
    (["-tls1_2"], .tls13, "alert protocol version"), (["-tls1_1"], .tls12, "alert protocol version"),
    (["-alpn", "h2,http/1.1"], .tls12, "ALPN protocol: http/1.1"),
    (["-alpn", "h2"], .tls12, "no application protocol"),
    (["-tls1_2", "-cipher", "AES128-SHA"], .tls12, "handshake failure"),
  ])
  func `other programs get the versions, ciphers and protocol we speak`(
    _ arguments: [String], _ minimum: TLSServerContext.Version, _ expected: String
  ) async throws {
    let said = try await onNewLoop { loop in
      let server = try TLSServerContext(identities: [Certificates.identity("upstream")], minimum: minimum)
      let ends = Locked<[LoopBound<Task<Void, Never>>]>([])
      let listener = try Listener(loop: loop, address: nowhere, tls: server) { stream in
        let end = LoopBound(End(stream), on: loop)
        let task = Task(executorPreference: loop) {
          let end = end.value
          if await end.handshake() == .done { _ = await end.text() }
          end.stream.close()
        }
        ends.withLock { $0.append(LoopBound(task, on: loop)) }
      }
      defer { listener.close() }
      return await opensslClient(listener.address.port, arguments)
    }
    #expect(said.contains(expected), "\(said)")
  }

  @Test(arguments: [
    ("missing.pem", "upstream.key", "missing.pem: No such file or directory"),
    ("upstream.key", "upstream.key", "upstream.key: no start line"),
    ("upstream.pem", "missing.key", "missing.key: No such file or directory"),
    ("upstream.pem", "wild.key", "wild.key: key values mismatch"),
    ("upstream.pem", "locked.key", "private key file"),
  ])
  func `a file that does not serve is named with the reason`(
    _ certificate: String, _ key: String, _ expected: String
  ) {
    let identity = TLSIdentityFiles(
      certificateFile: Certificates.file(certificate), privateKeyFile: Certificates.file(key))
    let error = #expect(throws: ReactorError.self) { try TLSServerContext(identities: [identity]) }
    #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
  }

  @Test func `a CA file that does not serve is named with the reason`() {
    let error = #expect(throws: ReactorError.self) {
      try TLSClientContext(caFile: Certificates.file("missing.pem"))
    }
    #expect(error?.description.hasSuffix("missing.pem: No such file or directory") == true)
    #expect(throws: ReactorError.self) { try TLSClientContext(caFile: Certificates.file("upstream.key")) }
    #expect(throws: Never.self) { try TLSClientContext() }
  }

  // MARK: Client certificates

  @Test(arguments: [("common", true), ("foreign", false), (nil, false)] as [(String?, Bool)])
  func `a server that asks for a certificate gets the client's`(_ name: String?, _ isWelcome: Bool)
    async throws
  {
    try await onNewLoop { loop in
      let client = try TLSClientContext(
        caFile: Certificates.file("ca.pem"), identity: name.map { Certificates.identity($0) })
      for round in 0..<2 {
        let (serverEnd, clientEnd) = try tlsPair(loop, demanding(), client, host: "upstream.test")
        let (served, _) = await shakeHands(serverEnd, clientEnd)
        #expect((served == .done) == isWelcome, "round \(round)")
        serverEnd.stream.close()
        clientEnd.stream.close()
      }
    }
  }

  @Test func `a server that does not ask is served as without a certificate`() async throws {
    try await onNewLoop { loop in
      let client = try TLSClientContext(
        caFile: Certificates.file("ca.pem"), identity: Certificates.identity("common"))
      let (server, end) = try tlsPair(loop, serving("upstream"), client, host: "upstream.test")
      let outcome = await shakeHands(server, end)
      #expect(outcome == (.done, .done))
      server.stream.close()
      end.stream.close()
    }
  }

  @Test(arguments: [
    ("missing.pem", "upstream.key", "client certificate file", "missing.pem: No such file or directory"),
    ("upstream.key", "upstream.key", "client certificate file", "upstream.key: no start line"),
    ("upstream.pem", "missing.key", "client private key file", "missing.key: No such file or directory"),
    ("upstream.pem", "wild.key", "client private key file", "wild.key: key values mismatch"),
    ("upstream.pem", "locked.key", "client private key file", "locked.key"),
  ])
  func `a client's file that does not serve is named with the reason`(
    _ certificate: String, _ key: String, _ kind: String, _ expected: String
  ) {
    let identity = TLSIdentityFiles(
      certificateFile: Certificates.file(certificate), privateKeyFile: Certificates.file(key))
    let error = #expect(throws: ReactorError.self) { try TLSClientContext(identity: identity) }
    #expect(
      error?.description.hasPrefix(kind) == true && error?.description.contains(expected) == true,
      "\(error?.description ?? "")")
  }

  @Test func `ticket keys change and the last one still opens`() throws {
    let keys = TLSTicketKeys()
    let start = MonotonicTime(nanoseconds: 1)
    let first = keys.current(start)
    let before = start + (TLSTicketKeys.lifetime - .seconds(1))
    #expect(keys.current(before) == first)
    #expect(keys.find(first.name, start)?.isCurrent == true)
    let later = start + TLSTicketKeys.lifetime
    #expect(keys.find(first.name, later)?.isCurrent == false)
    let second = keys.current(later)
    #expect(second != first)
    #expect(keys.find(first.name, later)?.key == first)
    #expect(keys.find(first.name, later)?.isCurrent == false)
    #expect(keys.find(second.name, later)?.isCurrent == true)
    #expect(keys.find(first.name, later + TLSTicketKeys.lifetime) == nil)
    #expect(keys.find([UInt8](repeating: 0, count: 16), later) == nil)
  }
}
