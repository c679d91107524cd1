import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

@Suite struct ClientTests {
  /// Sends `requests` one after another and returns what came of them.
  private func exchange(
    _ requests: [FetchRequest], maxBytes: Int = 1000, timeout: Duration = .seconds(10),
    _ upstream: ScriptedUpstream
  ) async throws -> [Result<FetchResponse, TransportError>] {
    let loop = EventLoop(name: "client")
    loop.start()
    let tls = try TLSClientContext()
    var settings = HTTPClientSettings(tls: tls)
    settings.maxResponseBytes = maxBytes
    settings.timeout = timeout
    // Longer than the busiest machine takes between two requests.
    settings.idleTimeout = .seconds(60)
    let client = HTTPClient(loop: loop, settings: settings, connector: connector(loop))
    var results: [Result<FetchResponse, TransportError>] = []
    for request in requests {
      do throws(TransportError) {
        results.append(.success(try await client.send(request)))
      } catch {
        results.append(.failure(error))
      }
    }
    upstream.close()
    await loop.stop()
    return results
  }

  private func request(_ upstream: ScriptedUpstream, _ method: String = "GET", body: String = "")
    -> FetchRequest
  {
    FetchRequest(
      method: method,
      url: URLReference(isSecure: false, host: "127.0.0.1", port: upstream.port, path: "/p", query: "q=1"),
      fields: [("Accept", "application/json")], body: Array(body.utf8))
  }

  @Test func `requests reach the server and share a connection`() async throws {
    let upstream = ScriptedUpstream { connection in
      connection.serve { request in
        let body =
          "\(request.firstLine)|\(request.field("Host") ?? "")|\(request.field("Accept") ?? "")|\(request.text)"
        return "HTTP/1.1 201 Created\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
      }
    }
    let results = try await exchange(
      [request(upstream), request(upstream, "POST", body: "hello"), request(upstream, "POST")], upstream)
    let host = "127.0.0.1:\(upstream.port)"
    let bodies = try results.map { String(decoding: try $0.get().body, as: UTF8.self) }
    #expect(bodies[0] == "GET /p?q=1 HTTP/1.1|\(host)|application/json|")
    #expect(bodies[1] == "POST /p?q=1 HTTP/1.1|\(host)|application/json|hello")
    #expect(try results[0].get().status == 201)
    #expect(try results[0].get().all("x-a") == ["1", "2"])
    #expect(upstream.connectionCount == 1)
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
    ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end"),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x"),
    ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 1\r\n\r\nr", "r"),
  ])
  func `every framing is understood and no redirect followed`(answer: String, body: String) async throws {
    let upstream = ScriptedUpstream { connection in
      _ = connection.reader.message()
      connection.socket.send(answer)
    }
    let results = try await exchange([request(upstream)], upstream)
    #expect(try results[0].get().body == Array(body.utf8))
  }

  @Test func `a gzip coded response is decoded within the bound`() async throws {
    let text = [UInt8](repeating: 65, count: 900)
    let coded = try ContentEncoder.gzip(text)
    let bomb = try ContentEncoder.gzip([UInt8](repeating: 65, count: 100_000))
    let upstream = ScriptedUpstream { connection in
      for body in [coded, bomb] {
        _ = connection.reader.message()
        connection.socket.send(
          "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(body.count)\r\n\r\n")
        connection.socket.send(body)
      }
      _ = connection.reader.more()
    }
    let results = try await exchange([request(upstream), request(upstream)], upstream)
    #expect(try results[0].get().body == text)
    #expect(throws: TransportError.self) { try results[1].get() }
    guard case .failure(let error) = results[1] else { return }
    #expect(error.kind == .tooLarge)
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", TransportError.Kind.closed),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", .closed),
    ("", .closed),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n\(String(repeating: "x", count: 2000))", .tooLarge),
    ("nonsense\r\n\r\n", .protocolError),
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", .protocolError),
  ])
  func `what is broken is an error of its kind`(answer: String, kind: TransportError.Kind) async throws {
    let upstream = ScriptedUpstream { connection in
      _ = connection.reader.message()
      connection.socket.send(answer)
    }
    let results = try await exchange([request(upstream)], upstream)
    guard case .failure(let error) = results[0] else {
      Issue.record("a response")
      return
    }
    #expect(error.kind == kind)
  }

  @Test func `a server that does not answer in time is a timeout`() async throws {
    let upstream = ScriptedUpstream { _ = $0.reader.rest() }
    let results = try await exchange([request(upstream)], timeout: .milliseconds(50), upstream)
    guard case .failure(let error) = results[0] else {
      Issue.record("a response")
      return
    }
    #expect(error.kind == .timeout)
  }

  @Test func `a GET lost by a kept-alive connection is sent again, a POST is not`() async throws {
    for method in ["GET", "POST"] {
      let upstream = ScriptedUpstream { connection in
        var served = 0
        connection.serve { _ in
          served += 1
          return connection.index == 0 && served == 2 ? nil : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        }
      }
      let results = try await exchange([request(upstream, method), request(upstream, method)], upstream)
      #expect(try results[0].get().status == 200)
      if method == "GET" {
        #expect(try results[1].get().status == 200)
      } else {
        guard case .failure(let error) = results[1] else {
          Issue.record("sent twice")
          continue
        }
        #expect(error.kind == .closed)
      }
    }
  }

  @Test func `a cancelled request ends at once`() async throws {
    let seen = Journal()
    let upstream = ScriptedUpstream { connection in
      _ = connection.reader.message()
      seen.add("request")
      while connection.reader.more() {}
      seen.add("ended")
    }
    let loop = EventLoop(name: "client")
    loop.start()
    let client = HTTPClient(
      loop: loop, settings: HTTPClientSettings(tls: try TLSClientContext()), connector: connector(loop))
    let sent = request(upstream)
    let task = Task { () throws(TransportError) -> FetchResponse in try await client.send(sent) }
    await Task.detached { _ = seen.waits(for: "request") }.value
    task.cancel()
    let result = await task.result
    guard case .failure(let error) = result else {
      Issue.record("a response")
      return
    }
    #expect((error as? TransportError)?.kind == .cancelled)
    await Task.detached { #expect(seen.waits(for: "ended")) }.value
    upstream.close()
    await loop.stop()
  }

  // MARK: Turns

  /// A client with its loop, whose upstream answers when `go` hears "go".
  private func withTurns(
    calls: Int, waiting: Int, timeout: Duration = .seconds(20),
    _ body: (HTTPClient, FetchRequest, _ seen: Journal, _ go: Journal) async throws -> Void
  ) async throws {
    let (seen, go) = (Journal(), Journal())
    let inside = Locked(0)
    let upstream = ScriptedUpstream { connection in
      connection.serve { _ in
        let count = inside.withLock { count in
          count += 1
          return count
        }
        seen.add(count > calls ? "too many" : "request")
        _ = go.waits(for: "go")
        inside.withLock { $0 -= 1 }
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
      }
    }
    let loop = EventLoop(name: "client")
    loop.start()
    var settings = HTTPClientSettings(tls: try TLSClientContext())
    settings.maxCalls = calls
    settings.maxWaiting = waiting
    settings.timeout = timeout
    let client = HTTPClient(loop: loop, settings: settings, connector: connector(loop))
    try await body(client, request(upstream), seen, go)
    go.add("go")
    upstream.close()
    await loop.stop()
  }

  @Test func `only so many requests are under way, and the others have their turn after them`() async throws {
    try await withTurns(calls: 2, waiting: 10) { client, request, seen, go in
      let results = await withTaskGroup(of: Int?.self) { group in
        for _ in 0..<9 { group.addTask { try? await client.send(request).status } }
        #expect(seen.waits(for: "request", times: 2))
        go.add("go")
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(results == Array(repeating: 200, count: 9))
      #expect(seen.count("request") == 9)
    }
  }

  @Test func `beyond the line a request fails at once, and one in it when its time is over`() async throws {
    try await withTurns(calls: 1, waiting: 1, timeout: .milliseconds(300)) { client, request, seen, go in
      let results = await withTaskGroup(of: TransportError.Kind?.self) { group in
        for _ in 0..<3 {
          group.addTask {
            do throws(TransportError) {
              _ = try await client.send(request)
              return nil
            } catch { return error.kind }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      // One was sent and not answered, one never left, and one may have had its turn at the last moment.
      #expect(results.count { $0 == .timeout } >= 1)
      #expect(results.count { $0 == .connect } >= 1)
      #expect(!results.contains(nil))
    }
  }
}
