import Basics
import Dispatch
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct BlockingPoolTests {
  private struct Fault: Error {}

  @Test func `results and errors come back`() async throws {
    let pool = BlockingPool()
    #expect(try await pool.run { 7 } == 7)
    await #expect(throws: Fault.self) { try await pool.run { throw Fault() } }
  }

  @Test func `no more than its width run at a time, and all of it runs`() async throws {
    let pool = BlockingPool(width: 3, capacity: 100)
    let running = Locked((now: 0, most: 0))
    let started = DispatchSemaphore(value: 0)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<60 {
        group.addTask {
          try await pool.run {
            running.withLock {
              $0.now += 1
              $0.most = max($0.most, $0.now)
            }
            // The first three wait for each other, so that the bound is reached.
            if index < 60 { started.signal() }
            running.withLock { $0.now -= 1 }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(running.withLock { $0.most } <= 3)
    for _ in 0..<60 { #expect(started.wait(timeout: .now()) == .success) }
  }

  @Test func `beyond its capacity the caller is told at once`() async throws {
    let pool = BlockingPool(width: 1, capacity: 2)
    let gate = DispatchSemaphore(value: 0)
    let done = DispatchSemaphore(value: 0)
    for _ in 0..<3 {
      try pool.submit {
        gate.wait()
        done.signal()
      }
    }
    #expect(throws: BlockingPool.Full.self) { try pool.submit {} }
    await #expect(throws: BlockingPool.Full.self) { try await pool.run {} }
    for _ in 0..<3 { gate.signal() }
    let all = await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(
          returning: (0..<3).allSatisfy { _ in done.wait(timeout: .now() + 30) == .success })
      }
    }
    #expect(all)
    #expect(try await pool.run { true })
  }
}
