import Basics
import Glibc
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct StreamTests {
  @Test func `bytes go both ways and the end is told apart`() async throws {
    try await onNewLoop { loop in
      let (a, b) = plainPair(loop)
      #expect(await a.write("hello") == .bytes(5))
      #expect(await b.text(5).0 == "hello")
      #expect(await b.write("you") == .bytes(3))
      b.stream.shutdownWrite()
      let (text, end) = await a.text()
      #expect(text == "you")
      #expect(end == .endOfStream)
      // Half-closed only: the other way still works.
      #expect(await a.write("late") == .bytes(4))
      a.stream.close()
      #expect(await b.text() == ("late", .endOfStream))
    }
  }

  @Test func `an end that came together with the last bytes is read`() async throws {
    try await onNewLoop { loop in
      let (near, far) = socketPair()
      put("bye", on: far)
      close(far)
      let end = End(Stream(loop: loop, descriptor: near, peer: nowhere, tls: nil))
      await end.event()
      let (text, outcome) = await end.text()
      #expect(text == "bye")
      #expect(outcome == .endOfStream)
      #expect(end.events.count == 1)
    }
  }

  @Test func `a short read empties the socket: the next one asks nobody`() async throws {
    try await onNewLoop { loop in
      let (near, far) = socketPair()
      let end = End(Stream(loop: loop, descriptor: near, peer: nowhere, tls: nil))
      put("ab", on: far)
      var buffer = Buffer()
      #expect(await end.read(into: &buffer, max: 10) == .bytes(2))
      // Bytes that come now are told by an event, not found by a read.
      put("cd", on: far)
      #expect(end.stream.read(into: &buffer, max: 10) == .wouldBlock)
      #expect(await end.read(into: &buffer, max: 10) == .bytes(2))
      let text = buffer.string()
      #expect(text == "abcd")
      close(far)
    }
  }

  @Test func `a reader that waits makes the writer wait, and all arrives`() async throws {
    try await onNewLoop { loop in
      let (a, b) = plainPair(loop)
      let total = 4 << 20
      var out = Buffer([UInt8](repeating: 7, count: total))
      while case .bytes = a.stream.write(from: &out) {}
      #expect(a.stream.write(from: &out) == .wouldBlock)
      var received = 0
      while received < total {
        _ = a.stream.write(from: &out)
        var into = Buffer()
        if case .bytes(let count) = await b.read(into: &into, max: 65_536) {
          received += count
        } else {
          break
        }
      }
      #expect(received == total)
      let rest = out.count
      #expect(rest == 0)
    }
  }

  @Test func `an idle connection is alive until it ends or says something`() async throws {
    try await onNewLoop { loop in
      let (a, b) = plainPair(loop)
      #expect(a.stream.isIdleAlive())
      _ = await b.write("?")
      #expect(!a.stream.isIdleAlive())
      #expect(await a.text(1).0 == "?")
      #expect(a.stream.isIdleAlive())
      b.stream.close()
      #expect(await eventually(loop) { !a.stream.isIdleAlive() })
      a.stream.close()
      #expect(!a.stream.isIdleAlive())
    }
  }

  @Test func `a closed stream answers without a descriptor`() async throws {
    try await onNewLoop { loop in
      let (a, _) = plainPair(loop)
      a.stream.close()
      a.stream.close()
      a.stream.abort()
      a.stream.shutdownWrite()
      var buffer = Buffer("x")
      #expect(a.stream.read(into: &buffer, max: 1) == .failed(0))
      #expect(a.stream.write(from: &buffer) == .failed(0))
      #expect(!a.stream.isOpen)
    }
  }

  @Test func `an aborted connection is a failure for the peer`() async throws {
    try await onNewLoop { loop in
      let accepted = Event<End>()
      let listener = try Listener(loop: loop, address: nowhere) { accepted.set(End($0)) }
      let client = dial(listener.address)
      let server = await accepted.wait()
      #expect(await server.write("partial") == .bytes(7))
      server.stream.abort()
      var byte = [UInt8](repeating: 0, count: 100)
      var count = unsafe recv(client, &byte, 100, 0)
      if count > 0 { count = unsafe recv(client, &byte, 100, 0) }
      #expect(count == -1 && errno == ECONNRESET)
      close(client)
      listener.close()
    }
  }

  @Test func `a peer's reset is told with its errno`() async throws {
    try await onNewLoop { loop in
      let accepted = Event<End>()
      let listener = try Listener(loop: loop, address: nowhere) { accepted.set(End($0)) }
      let client = dial(listener.address)
      let server = await accepted.wait()
      Syscalls.resetOnClose(client)
      close(client)
      #expect(await server.text().1 == .failed(ECONNRESET))
      listener.close()
    }
  }

  @Test func `a handler that is gone hears nothing, and its successor what is ready now`() async throws {
    try await onNewLoop { loop in
      let (near, far) = socketPair()
      let stream = Stream(loop: loop, descriptor: near, peer: nowhere, tls: nil)
      var first: End? = End(stream)
      await first?.event()
      first = nil
      put("x", on: far)
      for _ in 0..<4 { await Task.yield() }
      let second = End(stream)
      await second.event()
      #expect(second.events.first?.contains([.readable, .writable]) == true)
      stream.close()
      close(far)
    }
  }
}
