import Basics
import Dispatch
import HTTP
import Reactor
import Synchronization
import Testing

@testable import Wire

/// Bytes wait where they come from, not in our memory.
@Suite struct BackpressureTests {
  /// What the kernel may hold on its own between two loopback sockets, generously.
  private static let kernelBytes = 16 * 1024 * 1024
  private static let total = 64 * 1024 * 1024

  final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func add(_ n: Int) { value.add(n, ordering: .relaxed) }
    var count: Int { value.load(ordering: .relaxed) }
  }

  /// Whether `counter` has stopped growing below `limit`.
  private func settles(_ counter: Counter, below limit: Int, _ rig: Rig) -> Bool {
    var last = -1
    var same = 0
    for _ in 0..<100_000 {
      let now = counter.count
      guard now < limit else { return false }
      // Each look is a round trip through the loop.
      _ = rig.with { _, _ in true }
      same = now == last ? same + 1 : 0
      if same > 2000, now > 0 { return true }
      last = now
    }
    return false
  }

  @Test(arguments: [true, false])
  func `a slow reader stops the upstream, and gets every byte in the end`(isChunked: Bool) throws {
    let sent = Counter()
    let piece = String(repeating: "0123456789abcdef", count: 4096)
    try withRig(upstream: { connection in
      _ = connection.reader.message()
      connection.socket.send(
        "HTTP/1.1 200 OK\r\n"
          + (isChunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: \(Self.total)\r\n\r\n"))
      let bytes = Array((isChunked ? "10000\r\n\(piece)\r\n" : piece).utf8)
      for _ in 0..<(Self.total / 65_536) {
        guard connection.socket.send(bytes) else { return }
        sent.add(65_536)
      }
      if isChunked { connection.socket.send("0\r\n\r\n") }
      _ = connection.reader.more()
    }) { rig in
      let client = rig.client()
      client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(settles(sent, below: Self.kernelBytes, rig))
      // Reads everything now, counting only.
      guard let head = client.head() else {
        Issue.record("no head")
        return
      }
      #expect(head.status == 200)
      var count = 0
      if isChunked {
        while let line = client.through("\r\n"), let size = Int(line.dropLast(), radix: 16), size > 0 {
          guard client.take(size) != nil, client.take(2) != nil else { break }
          count += size
        }
      } else {
        while count < Self.total, let piece = client.take(65_536) { count += piece.count }
      }
      #expect(count == Self.total)
      #expect(rig.journal.waits(for: "finished complete"))
    }
  }

  @Test func `an upstream that does not read stops the client, who is not blamed for it`() throws {
    var timeouts = ServerTimeouts()
    timeouts.bodyStall = .milliseconds(500)
    let go = Journal()
    let sent = Counter()
    try withRig(
      timeouts: timeouts,
      upstream: { connection in
        _ = connection.reader.head()
        guard go.waits(for: "go") else { return }
        var left = Self.total
        while left > 0, let piece = connection.reader.take(65_536) { left -= piece.count }
        connection.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        _ = connection.reader.more()
      }
    ) { rig in
      let client = rig.client()
      let socket = client.socket
      socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.total)\r\n\r\n")
      let sending = ScriptedUpstream.inBackground {
        let piece = [UInt8](repeating: 65, count: 65_536)
        for _ in 0..<(Self.total / 65_536) {
          guard socket.send(piece) else { return }
          sent.add(65_536)
        }
      }
      #expect(settles(sent, below: Self.kernelBytes, rig))
      let until = ContinuousClock.now + .milliseconds(800)
      while ContinuousClock.now < until { _ = rig.with { _, _ in true } }
      go.add("go")
      #expect(client.message()?.status == 200)
      sending.wait()
      #expect(sent.count == Self.total)
    }
  }
}
