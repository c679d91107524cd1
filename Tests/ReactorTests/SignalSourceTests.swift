import Glibc
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct SignalSourceTests {
  @Test func `signals are events and end nobody`() async {
    await #expect(processExitsWith: .exitCode(7)) {
      let seen = Locked<[SignalSource.Signal]>([])
      let sources = SignalSource.Signal.allCases.map { kind in
        SignalSource(kind) { seen.withLock { $0.append(kind) } }
      }
      let loop = EventLoop(name: "test")
      loop.start()
      // Sent again and again: a source hears only what comes after Dispatch has set it up.
      while seen.withLock({ Set($0).count }) < 3 {
        for number in [SIGTERM, SIGINT, SIGHUP] { kill(getpid(), number) }
        try await loop.sleep(for: .milliseconds(5))
      }
      withExtendedLifetime(sources) {}
      exit(seen.withLock { Set($0).count == 3 } ? 7 : 1)
    }
  }

  @Test func `writing to a closed connection is no signal`() async {
    await #expect(processExitsWith: .exitCode(7)) {
      let loop = EventLoop(name: "test")
      let (near, far) = socketPair()
      close(far)
      let written = unsafe write(near, "x", 1)
      withExtendedLifetime(loop) {}
      exit(written == -1 && errno == EPIPE ? 7 : 1)
    }
  }
}
