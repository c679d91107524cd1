import Basics
import Foundation
import Testing

@testable import Reactor

/// What the session does between OpenSSL and the socket: nothing is lost by what it spares.
@Suite(.timeLimit(.minutes(2))) struct TLSLinkTests {
  /// Certificate and key whose chain makes the server's flight longer than a small socket takes.
  private func longChain() throws -> (TLSIdentityFiles, URL) {
    let file = FileManager.default.temporaryDirectory.appending(path: "chain-\(UUID().uuidString).pem")
    var text = try Data(contentsOf: URL(filePath: Certificates.file("upstream.pem")))
    let authority = try Data(contentsOf: URL(filePath: Certificates.file("ca.pem")))
    for _ in 0..<40 { text += authority }
    try text.write(to: file)
    return (
      TLSIdentityFiles(certificateFile: file.path, privateKeyFile: Certificates.file("upstream.key")), file
    )
  }

  @Test func `a flight that the socket takes in pieces only arrives whole`() async throws {
    try await onNewLoop { loop in
      let (files, file) = try longChain()
      defer { try? FileManager.default.removeItem(at: file) }
      let (a, b) = socketPair()
      var size: Int32 = 1
      unsafe setsockopt(a, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
      let server = try TLSServerContext(identities: [files])
      let serverSession = try #require(TLSSession(server: server, descriptor: a))
      let clientSession = try #require(
        TLSSession(client: trusting(), descriptor: b, host: "upstream.test"))
      let serverEnd = End(Stream(loop: loop, descriptor: a, peer: nowhere, tls: serverSession))
      let clientEnd = End(Stream(loop: loop, descriptor: b, peer: nowhere, tls: clientSession))
      #expect(await shakeHands(serverEnd, clientEnd) == (.done, .done))
      #expect(await serverEnd.write("answer") == .bytes(6))
      #expect(await clientEnd.text(6).0 == "answer")
    }
  }

  @Test func `a request that comes with the handshake's end is there at once`() async throws {
    try await onNewLoop { loop in
      let clientContext = try trusting()
      let serverContext = try serving("upstream")
      for round in 0..<2 {
        let (server, client) = try tlsPair(loop, serverContext, clientContext, host: "upstream.test")
        var question = Buffer("question")
        while client.stream.handshake() != .done {
          #expect(server.stream.handshake() == .wouldBlock)
          await Task.yield()
        }
        #expect(client.stream.write(from: &question) == .bytes(8))
        #expect(client.stream.isResumed == (round == 1))
        // Both are in the socket: one event tells of them.
        await Task.yield()
        #expect(server.stream.handshake() == .done)
        var got = Buffer()
        #expect(server.stream.read(into: &got, max: 100) == .bytes(8))
        #expect(got.string() == "question")
        // The tickets go with the answer.
        #expect(await server.write("answer") == .bytes(6))
        #expect(await client.text(6).0 == "answer")
        client.stream.close()
        server.stream.close()
      }
    }
  }

  @Test func `tickets reach a client that says nothing`() async throws {
    try await onNewLoop { loop in
      let (serverContext, clientContext) = (try serving("upstream"), try trusting())
      for round in 0..<2 {
        let (server, client) = try tlsPair(loop, serverContext, clientContext, host: "upstream.test")
        #expect(await shakeHands(server, client) == (.done, .done))
        #expect(client.stream.isResumed == (round == 1))
        var nothing = Buffer()
        #expect(server.stream.read(into: &nothing, max: 100) == .wouldBlock)
        #expect(client.stream.isIdleAlive())
        client.stream.close()
        server.stream.close()
      }
    }
  }

  @Test func `every resumption brings a ticket for the next one`() async throws {
    try await onNewLoop { loop in
      let (serverContext, clientContext) = (try serving("upstream"), try trusting())
      var last: [UInt8] = []
      for round in 0..<4 {
        let (server, client) = try tlsPair(loop, serverContext, clientContext, host: "upstream.test")
        #expect(await shakeHands(server, client) == (.done, .done))
        #expect(client.stream.isResumed == (round > 0))
        _ = await server.write("x")
        _ = await client.text(1)
        client.stream.close()
        server.stream.close()
        let ticket = clientContext.ticket(of: "upstream.test:443")
        #expect(!ticket.isEmpty && ticket != last)
        last = ticket
      }
    }
  }

  @Test func `a long message is read to its end`() async throws {
    try await onNewLoop { loop in
      let (server, client) = try tlsPair(loop, serving("upstream"), trusting(), host: "upstream.test")
      #expect(await shakeHands(server, client) == (.done, .done))
      let text = String(repeating: "long ", count: 10_000)
      #expect(await server.write(text) == .bytes(50_000))
      // Nothing is written any more: no event comes but those of what is there.
      #expect(await client.text(50_000).0 == text)
      #expect(client.stream.isIdleAlive())
    }
  }
}
