import Basics
import Dispatch
import Glibc
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct EventLoopTests {
  @Test func `work from many threads runs once each and in the order of its sender`() async throws {
    let loop = EventLoop(name: "test")
    loop.start()
    let seen = Locked<[Int: [Int]]>([:])
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        DispatchQueue.concurrentPerform(iterations: 8) { sender in
          for number in 0..<1_000 {
            loop.execute { seen.withLock { $0[sender, default: []].append(number) } }
          }
        }
        continuation.resume()
      }
    }
    await loop.stop()
    let result = seen.withLock { $0 }
    #expect(result.count == 8)
    for (_, numbers) in result { #expect(numbers == Array(0..<1_000)) }
  }

  @Test func `a batch of work costs one wake-up`() async throws {
    let loop = EventLoop(name: "test")
    for _ in 0..<500 { loop.execute {} }
    loop.start()
    _ = await on(loop) { loop in #expect(loop.wakeups <= 2) }
    await loop.stop()
  }

  @Test func `work sent before the stop is done`() async throws {
    let loop = EventLoop(name: "test")
    loop.start()
    let count = Locked(0)
    for _ in 0..<100 { loop.execute { loop.execute { count.withLock { $0 += 1 } } } }
    await loop.stop()
    #expect(count.withLock { $0 } == 100)
    await loop.stop()
  }

  @Test func `only the loop's thread is current`() async throws {
    try await onNewLoop { loop in #expect(loop.isCurrent) }
    let loop = EventLoop(name: "test")
    #expect(!loop.isCurrent)
  }

  @Test func `what was carried to another thread traps there`() async {
    await #expect(processExitsWith: .failure) {
      let loop = EventLoop(name: "test")
      loop.start()
      let bound = LoopBound(1, on: loop)
      print(bound.value)
    }
  }

  @Test func `a task comes back to the loop after every await`() async throws {
    let pool = BlockingPool()
    try await onNewLoop { loop in
      let thread = pthread_self()
      func check(_ place: String) { #expect(pthread_self() == thread && loop.isCurrent, "\(place)") }
      check("start")
      await Task.yield()
      check("yield")
      try await loop.sleep(for: .milliseconds(1))
      check("sleep")
      let other = try await pool.run { pthread_self() }
      #expect(other != thread)
      check("blocking work")
      _ = await Elsewhere().value()
      check("another actor")
      let helper = LoopActor(loop)
      #expect(await helper.thread() == thread)
      check("an actor of this loop")
      #expect(await Task { await helper.thread() }.value == thread)
      check("a child task")
    }
  }

  @Test func `an actor of the loop may be entered without waiting while on the loop`() async throws {
    try await onNewLoop { loop in
      let helper = LoopActor(loop)
      func enter() -> Int { helper.assumeIsolated { $0.increment() } }
      #expect(enter() == 1)
    }
  }

  @Test func `a sleep that is cancelled ends at once`() async throws {
    try await onNewLoop { loop in
      let before = MonotonicTime.read()
      let sleeper = Task { try await loop.sleep(for: .seconds(3600)) }
      await Task.yield()
      sleeper.cancel()
      let result = await sleeper.result
      #expect(throws: CancellationError.self) { try result.get() }
      #expect(MonotonicTime.read() - before < .seconds(30))
    }
  }

  @Test func `a task that was cancelled before does not sleep`() async throws {
    try await onNewLoop { loop in
      let sleeper = Task {
        while !Task.isCancelled { await Task.yield() }
        try await loop.sleep(for: .seconds(3600))
      }
      sleeper.cancel()
      let result = await sleeper.result
      #expect(throws: CancellationError.self) { try result.get() }
    }
  }

  @Test func `work that sends itself again does not keep the loop from its timers`() async throws {
    try await onNewLoop { loop in
      let done = Locked(false)
      @Sendable func again() { if !done.withLock({ $0 }) { loop.execute { again() } } }
      again()
      try await loop.sleep(for: .milliseconds(5))
      done.withLock { $0 = true }
    }
  }

  @Test func `events of a descriptor that was closed and opened anew in the same turn are dropped`()
    async throws
  {
    try await onNewLoop { loop in
      let (a, aPeer) = socketPair()
      let (b, bPeer) = socketPair()
      let first = Recorder()
      let second = Recorder()
      let fresh = Recorder()
      let (c, cPeer) = socketPair()
      for (socket, recorder) in [(a, first), (b, second)] { #expect(loop.register(socket, recorder)) }
      await Task.yield()
      await Task.yield()
      first.events = []
      second.events = []
      // Whoever is called first closes the other's descriptor and puts a new socket in its place.
      func replace(_ other: Int32) -> () -> Void {
        {
          guard fresh.descriptor < 0 else { return }
          loop.deregister(other)
          dup2(c, other)
          fresh.descriptor = other
          #expect(loop.register(other, fresh))
        }
      }
      first.onEvent = replace(b)
      second.onEvent = replace(a)
      // Both events are there before the loop looks again.
      for peer in [aPeer, bPeer] { put("x", on: peer) }
      while fresh.events.isEmpty { await Task.yield() }
      #expect(first.events.count + second.events.count == 1)
      #expect(fresh.events == [.writable])
      for socket in [a, b] { loop.deregister(socket) }
      for socket in [a, b, c, aPeer, bPeer, cPeer] { close(socket) }
    }
  }
}

private final class Recorder: Pollable {
  var events: [PollEvents] = []
  var descriptor: Int32 = -1
  var onEvent: (() -> Void)?

  func ready(_ events: PollEvents) {
    self.events.append(events)
    onEvent?()
  }
}

private actor Elsewhere {
  func value() -> Int { 1 }
}

private actor LoopActor {
  nonisolated let loop: EventLoop
  var count = 0

  init(_ loop: EventLoop) { self.loop = loop }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  func thread() -> pthread_t { pthread_self() }

  func increment() -> Int {
    count += 1
    return count
  }
}
