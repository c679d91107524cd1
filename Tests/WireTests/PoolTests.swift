import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

@Suite struct PoolTests {
  private static let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  /// Answers each request when `go` says so.
  private static func held(_ go: Journal, _ seen: Journal) -> @Sendable (ScriptedUpstream.Connection) -> Void
  {
    { connection in
      connection.serve { _ in
        seen.add("request")
        guard go.waits(for: "go") else { return nil }
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
      }
    }
  }

  @Test func `beyond the cap requests wait, beyond the line they are refused`() throws {
    let (go, seen) = (Journal(), Journal())
    try withRig(
      settings: { settings in
        settings.maxConnections = 2
        settings.maxWaiting = 3
      }, upstream: Self.held(go, seen)
    ) { rig in
      let clients = (0..<6).map { _ in rig.client() }
      for client in clients.prefix(5) { client.socket.send(Self.request) }
      #expect(seen.waits(for: "request", times: 2))
      #expect(rig.eventually { $1.waitingCount == 3 && $1.busyCount == 2 })
      clients[5].socket.send(Self.request)
      #expect(clients[5].message()?.text == "overloaded")
      go.add("go")
      for client in clients.prefix(5) { #expect(client.message()?.text == "ok") }
      #expect(rig.upstream.connectionCount == 2)
    }
  }

  @Test func `waiting has a bound`() throws {
    let (go, seen) = (Journal(), Journal())
    try withRig(
      settings: { settings in
        settings.maxConnections = 1
        settings.waitTimeout = .milliseconds(50)
      }, upstream: Self.held(go, seen)
    ) { rig in
      let (first, second) = (rig.client(), rig.client())
      first.socket.send(Self.request)
      #expect(seen.waits(for: "request"))
      second.socket.send(Self.request)
      #expect(second.message()?.text == "overloaded")
      go.add("go")
      #expect(first.message()?.text == "ok")
    }
  }

  @Test func `an idle connection is closed after its time`() throws {
    try withRig(settings: { $0.idleTimeout = .milliseconds(30) }, upstream: echo) { rig in
      let client = rig.client()
      client.socket.send(Self.request)
      #expect(client.message()?.status == 200)
      #expect(rig.eventually { $1.idleCount == 0 })
      client.socket.send(Self.request)
      #expect(client.message()?.status == 200)
      #expect(rig.upstream.connectionCount == 2)
    }
  }

  @Test func `the connection used last is used next`() throws {
    let (go, seen) = (Journal(), Journal())
    try withRig(upstream: { connection in
      connection.serve { request in
        if request.target == "/held" {
          seen.add("held")
          guard go.waits(for: "go") else { return nil }
        }
        let body = "\(connection.index)"
        return "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
      }
    }) { rig in
      let (first, second) = (rig.client(), rig.client())
      first.socket.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(seen.waits(for: "held"))
      second.socket.send(Self.request)
      #expect(second.message()?.text == "1")
      go.add("go")
      #expect(first.message()?.text == "0")
      #expect(rig.eventually { $1.idleCount == 2 })
      for _ in 0..<3 {
        second.socket.send(Self.request)
        #expect(second.message()?.text == "0")
      }
    }
  }

  @Test func `an upstream that closes after each answer is no trouble`() throws {
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    }) { rig in
      let client = rig.client()
      for i in 1...10 {
        client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        #expect(client.message()?.text == "ok")
        #expect(rig.upstream.connectionCount == i)
      }
    }
  }

  @Test func `a closed pool fails those who wait and those who come`() throws {
    let (go, seen) = (Journal(), Journal())
    try withRig(settings: { $0.maxConnections = 1 }, upstream: Self.held(go, seen)) { rig in
      let clients = (0..<3).map { _ in rig.client() }
      clients[0].socket.send(Self.request)
      #expect(seen.waits(for: "request"))
      clients[1].socket.send(Self.request)
      #expect(rig.eventually { $1.waitingCount == 1 })
      rig.with { $1.close() }
      #expect(clients[1].message()?.text == "stopping")
      clients[2].socket.send(Self.request)
      #expect(clients[2].message()?.text == "stopping")
      go.add("go")
      #expect(clients[0].message()?.text == "ok")
      #expect(rig.eventually { $1.busyCount == 0 && $1.idleCount == 0 })
    }
  }
}
