import Basics
import HTTP
import Reactor
import Testing

@testable import Wire

/// What all connections of a server hold together is counted, bounded, and let go.
@Suite struct MemoryTests {
  private static func limits(_ held: Int) -> ServerLimits {
    var limits = ServerLimits()
    limits.heldBytes = held
    return limits
  }

  private static var collecting: Script {
    var script = Script()
    script.received = { x, _ in x.collectBody(limit: 1 << 20) }
    return script
  }

  private static func post(_ count: Int) -> String {
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(count)\r\n\r\n"
  }

  private func settles(_ rig: Rig, _ condition: @escaping @Sendable (Int) -> Bool) -> Bool {
    for _ in 0..<100_000 where rig.with({ server, _ in condition(server.heldBytes) }) { return true }
    return false
  }

  @Test func `a body that grows beyond what all may hold fails, and small ones go on`() throws {
    try withRig(script: Self.collecting, limits: Self.limits(100_000), upstream: echo) { rig in
      // Stalled in the middle.
      let hogs = [rig.client(), rig.client()]
      for hog in hogs {
        hog.socket.send(Self.post(200_000))
        hog.socket.send([UInt8](repeating: 65, count: 48_000))
      }
      #expect(settles(rig) { $0 == 96_000 })
      let large = rig.client()
      // More than comes with the head in one read.
      large.socket.send(Self.post(150_000))
      large.socket.send([UInt8](repeating: 66, count: 150_000))
      let refused = large.message()
      #expect(refused?.text == "outOfMemory" && refused?.field("Connection") == "close")
      let small = rig.client()
      small.socket.send(Self.post(5))
      small.socket.send("hello")
      #expect(small.message()?.text == "/ hello")
      // The end of one makes room.
      hogs[0].socket.shutdownBoth()
      #expect(settles(rig) { $0 == 48_000 })
      let next = rig.client()
      next.socket.send(Self.post(40_000))
      next.socket.send([UInt8](repeating: 67, count: 40_000))
      #expect(next.message()?.status == 200)
      #expect(settles(rig) { $0 == 48_000 })
      hogs[1].socket.shutdownBoth()
      #expect(settles(rig) { $0 == 0 })
    }
  }

  @Test func `answers that wait are counted, and while memory is short an upstream is read piece by piece`()
    throws
  {
    let piece = [UInt8](repeating: 65, count: 1 << 20)
    try withRig(
      limits: Self.limits(100_000),
      upstream: { connection in
        _ = connection.reader.message()
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(32 << 20)\r\n\r\n")
        for _ in 0..<32 { guard connection.socket.send(piece) else { return } }
        _ = connection.reader.more()
      }
    ) { rig in
      var clients = (0..<4).map { _ in rig.client(receiveBuffer: 4096) }
      for client in clients { client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
      // Those that come after the bound is passed hold at most a piece of 64 KiB and what it was read with.
      #expect(settles(rig) { $0 > 100_000 })
      #expect(rig.with { server, _ in server.heldBytes } <= 4 * 128 * 1024)
      #expect(rig.with { server, _ in server.highWaterBytes } == 1)
      clients.removeSubrange(1...)
      let answer = clients[0].message()
      #expect(answer?.isComplete == true && answer?.body.count == 32 << 20)
      #expect(settles(rig) { $0 == 0 })
      #expect(rig.with { server, _ in server.highWaterBytes } == ServerLimits().highWaterBytes)
    }
  }

  @Test func `a body that streams on is counted only while it is held`() throws {
    var script = Self.collecting
    script.received = { x, _ in x.collectBody(limit: 10_000) }
    try withRig(script: script, limits: Self.limits(1 << 20), upstream: echo) { rig in
      let client = rig.client()
      client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
      client.socket.send("7530\r\n" + String(repeating: "x", count: 30_000) + "\r\n")
      #expect(rig.journal.waits(for: "collected false"))
      #expect(settles(rig) { $0 == 0 })
      client.socket.send("0\r\n\r\n")
      #expect(client.message()?.body.count == 30_002)
    }
  }
}
