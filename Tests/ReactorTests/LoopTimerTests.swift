import Basics
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct LoopTimerTests {
  @Test func `a thousand timers fire in order and none of them early`() async throws {
    try await onNewLoop { loop in
      let start = loop.now
      var fired: [Int] = []
      var early = 0
      let all = Event<Void>()
      var timers: [Timer] = []
      // Armed in a scattered order: 389 and 1000 have no common divisor.
      for step in 0..<1_000 {
        let number = step * 389 % 1_000
        let time = start + .microseconds(20_000 + number * 30)
        let timer = Timer(loop) {
          if loop.now < time { early += 1 }
          fired.append(number)
          if fired.count == 1_000 { all.set(()) }
        }
        timer.timer.arm(at: time)
        timers.append(timer)
      }
      await all.wait()
      #expect(fired == Array(0..<1_000))
      #expect(early == 0)
      #expect(timers.allSatisfy { !$0.timer.isArmed })
    }
  }

  @Test func `re-arming for later leaves one entry in the queue and fires once`() async throws {
    try await onNewLoop { loop in
      let count = loop.timers.count
      var fired: [MonotonicTime] = []
      let start = loop.now
      let done = Event<Void>()
      let timer = LoopTimer(loop: loop) {
        fired.append(loop.now)
        done.set(())
      }
      for step in 1...1_000 { timer.arm(at: start + .microseconds(step * 20)) }
      #expect(loop.timers.count == count + 1)
      await done.wait()
      try await loop.sleep(for: .milliseconds(5))
      #expect(fired.count == 1)
      #expect(fired.allSatisfy { $0 >= start + .milliseconds(20) })
    }
  }

  @Test func `re-arming for earlier fires earlier and only once`() async throws {
    try await onNewLoop { loop in
      var count = 0
      let timer = LoopTimer(loop: loop) { count += 1 }
      timer.arm(after: .milliseconds(12))
      timer.arm(after: .milliseconds(1))
      try await loop.sleep(for: .milliseconds(6))
      #expect(count == 1)
      try await loop.sleep(for: .milliseconds(20))
      #expect(count == 1)
    }
  }

  @Test func `a timer that was disarmed or released does not fire`() async throws {
    try await onNewLoop { loop in
      var count = 0
      let timer = LoopTimer(loop: loop) { count += 1 }
      timer.arm(after: .milliseconds(1))
      timer.disarm()
      var released: LoopTimer? = LoopTimer(loop: loop) { count += 1 }
      released?.arm(after: .milliseconds(1))
      released = nil
      try await loop.sleep(for: .milliseconds(5))
      #expect(count == 0)
      timer.arm(after: .zero)
      try await loop.sleep(for: .milliseconds(5))
      #expect(count == 1)
    }
  }

  @Test func `a timer that was released keeps nothing alive`() async throws {
    try await onNewLoop { loop in
      final class Thing {}
      weak var kept: Thing?
      do {
        let thing = Thing()
        kept = thing
        let timer = LoopTimer(loop: loop) { withExtendedLifetime(thing) {} }
        timer.arm(after: .seconds(3600))
      }
      #expect(kept == nil)
    }
  }

  @Test func `a timer disarmed by another of the same moment does not fire`() async throws {
    try await onNewLoop { loop in
      var fired = 0
      var timers: [Timer] = []
      let moment = loop.now + .milliseconds(1)
      for _ in 0..<2 {
        timers.append(
          Timer(loop) {
            fired += 1
            for timer in timers { timer.timer.disarm() }
          })
      }
      for timer in timers { timer.timer.arm(at: moment) }
      try await loop.sleep(for: .milliseconds(5))
      #expect(fired == 1)
      timers = []
    }
  }

  @Test func `a timer re-armed by another of the same moment waits for its new time`() async throws {
    try await onNewLoop { loop in
      var fired = 0
      var timers: [Timer] = []
      let moment = loop.now + .milliseconds(1)
      for _ in 0..<2 {
        timers.append(
          Timer(loop) {
            fired += 1
            for timer in timers { timer.timer.arm(after: .seconds(3600)) }
          })
      }
      for timer in timers { timer.timer.arm(at: moment) }
      try await loop.sleep(for: .milliseconds(5))
      #expect(fired == 1)
      timers = []
    }
  }

  @Test func `a timer that re-arms itself for now does not stop the loop`() async throws {
    try await onNewLoop { loop in
      var count = 0
      var timer: LoopTimer?
      timer = LoopTimer(loop: loop) {
        count += 1
        timer?.arm(after: .zero)
      }
      timer?.arm(after: .zero)
      for _ in 0..<50 { await Task.yield() }
      #expect(count > 1)
      timer = nil
    }
  }

  @Test func `timers that were released do not fill the queue`() async throws {
    try await onNewLoop { loop in
      for _ in 0..<10 {
        for _ in 0..<1_000 { LoopTimer(loop: loop) {}.arm(after: .seconds(3600)) }
        await Task.yield()
        await Task.yield()
      }
      #expect(loop.timers.count < 200)
      // What is left still works.
      try await loop.sleep(for: .milliseconds(1))
    }
  }

  @Test func `a timer that is armed ever earlier and later does not fill the queue`() async throws {
    try await onNewLoop { loop in
      let timer = LoopTimer(loop: loop) {}
      for step in 0..<5_000 {
        timer.arm(after: .seconds(10_000 - step))
        if step % 100 == 0 { await Task.yield() }
      }
      await Task.yield()
      await Task.yield()
      #expect(loop.timers.count < 200)
      let isArmed = timer.isArmed
      #expect(isArmed)
    }
  }

  @Test(arguments: [
    (UInt64(5), Duration.zero, UInt64(5)), (5, .nanoseconds(7), 12), (5, .seconds(-1), 5),
    (.max - 1, .seconds(1), .max), (1, .seconds(Int64.max), .max),
  ])
  func `time plus a duration saturates`(_ start: UInt64, _ step: Duration, _ sum: UInt64) {
    #expect((MonotonicTime(nanoseconds: start) + step).nanoseconds == sum)
  }

  @Test func `time minus a later time is nothing`() {
    let (early, late) = (MonotonicTime(nanoseconds: 3), MonotonicTime(nanoseconds: 10))
    #expect(late - early == .nanoseconds(7))
    #expect(early - late == .zero)
    #expect(MonotonicTime(nanoseconds: .max) - early == .nanoseconds(Int64.max))
  }
}

/// A timer that can stand in an array.
private final class Timer {
  let timer: LoopTimer

  init(_ loop: EventLoop, _ handler: @escaping () -> Void) { timer = LoopTimer(loop: loop, handler: handler) }
}
