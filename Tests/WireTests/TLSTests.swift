import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// TLS in front and to the upstream: the same machinery over encrypted streams.
@Suite struct TLSTests {
  /// A TLS upstream, which is a server of our own with an answer of its own.
  private func echoServer() throws -> Rig {
    var script = Script()
    script.received = { x, _ in x.collectBody(limit: 10_000_000) }
    script.bodyCollected = { x, _, _ in
      let body = x.withBody { $0.array($1) }
      x.respond(status: 200, fields: { $0.append("X-TLS: \(x.isTLS)\r\n") }, body: body)
    }
    return Rig(script: script, tls: try TestCertificate.server(), upstream: ScriptedUpstream { _ in })
  }

  private func send(_ requests: [FetchRequest], trusting tls: TLSClientContext) async -> [Result<
    FetchResponse, TransportError
  >] {
    let loop = EventLoop(name: "tls client")
    loop.start()
    var settings = HTTPClientSettings(tls: tls)
    settings.maxResponseBytes = 10_000_000
    let client = HTTPClient(loop: loop, settings: settings, connector: connector(loop))
    var results: [Result<FetchResponse, TransportError>] = []
    for request in requests {
      do throws(TransportError) {
        results.append(.success(try await client.send(request)))
      } catch {
        results.append(.failure(error))
      }
    }
    client.closeIdle()
    await loop.stop()
    return results
  }

  private func request(_ port: UInt16, host: String = "localhost", _ body: [UInt8] = []) -> FetchRequest {
    FetchRequest(
      method: "POST", url: URLReference(isSecure: true, host: host, port: port, path: "/x"), body: body)
  }

  @Test(arguments: ["localhost", "127.0.0.1"])
  func `requests pass over TLS on both sides, small and large`(host: String) async throws {
    let inner = try echoServer()
    let port = inner.port
    let tls = try TestCertificate.client()
    let outer = Rig(
      tls: try TestCertificate.server(),
      settings: { settings in
        settings.host = host
        settings.port = port
        settings.tls = tls
      }, upstream: ScriptedUpstream { _ in })
    let large = [UInt8](repeating: 97, count: 3_000_000)
    let results = await send(
      [
        request(outer.port, host: host, Array("hello".utf8)), request(outer.port, host: host, large),
        request(outer.port, host: host, Array("again".utf8)),
      ], trusting: tls)
    #expect(try results[0].get().body == Array("hello".utf8))
    #expect(try results[0].get().first("x-tls") == "true")
    #expect(try results[1].get().body == large)
    #expect(try results[2].get().body == Array("again".utf8))
    #expect(inner.journal.count("received") == 3)
    outer.stop()
    inner.stop()
  }

  @Test func `an upstream whose certificate is not trusted gets no request`() throws {
    let inner = try echoServer()
    let port = inner.port
    let system = try TLSClientContext()
    try withRig(
      settings: { settings in
        settings.host = "localhost"
        settings.port = port
        settings.tls = system
      }, upstream: { _ in }
    ) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(client.message()?.text == "tls")
      #expect(inner.journal.count("received") == 0)
    }
    inner.stop()
  }

  @Test func `the client refuses a certificate it does not trust`() async throws {
    let inner = try echoServer()
    let results = await send([request(inner.port)], trusting: try TLSClientContext())
    guard case .failure(let error) = results[0] else {
      Issue.record("trusted")
      return
    }
    #expect(error.kind == .tls)
    inner.stop()
  }

  @Test func `a client that does not shake hands is closed in time`() throws {
    var timeouts = ServerTimeouts()
    timeouts.handshake = .milliseconds(50)
    let rig = Rig(timeouts: timeouts, tls: try TestCertificate.server(), upstream: ScriptedUpstream { _ in })
    let client = rig.client()
    #expect(client.rest().isEmpty)
    #expect(rig.eventually { server, _ in server.connectionCount == 0 })
    rig.stop()
  }

  @Test func `plain HTTP on a TLS port gets no answer`() throws {
    let rig = Rig(tls: try TestCertificate.server(), upstream: ScriptedUpstream { _ in })
    let client = rig.client()
    client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(!String(decoding: client.rest(), as: UTF8.self).contains("HTTP/1.1"))
    #expect(rig.journal.count("received") == 0)
    rig.stop()
  }
}
