import Basics
import Redis
import Testing

@testable import Sessions

@Suite struct `The layout in Redis` {
  private func layout(_ steps: [(oldest: Int, journal: Journal<Int>)]) -> RedisLayout {
    RedisLayout(
      steps: steps.enumerated().map { index, step in
        RedisLayout.Step(oldest: step.oldest) { _ in step.journal.note(index + 2) }
      })
  }

  private func meta(_ place: RedisPlace, _ field: String) async throws -> String? {
    try await place.ask("HGET", [RedisKeys(prefix: place.prefix).meta], [Array(field.utf8)])[0].text
  }

  @Test func `what an older release left is brought up to date at the start, each step once`() async throws {
    let place = try RedisPlace(.single)
    await (try await place.open()).close()
    #expect(try await meta(place, "version") == "1")
    let journal = Journal<Int>()
    let newer = layout([(1, journal), (2, journal)])
    for _ in 0..<2 { await (try await place.open(layout: newer)).close() }
    #expect(journal.items == [2, 3])
    #expect(try await meta(place, "version") == "3")
    #expect(try await meta(place, "oldest") == "2")
  }

  @Test func `an older release goes on where the newer one says that it may`() async throws {
    let place = try RedisPlace(.single)
    let old = try await place.open()
    let session = Session.sample(now: .now())
    try await old.insert(session, removing: nil, aliasUntil: nil)
    let new = try await place.open(layout: layout([(1, Journal())]))
    expectSame(try await new.load(session.hash), session)
    expectSame(try await old.load(session.hash), session)
    let again = try await place.open()
    expectSame(try await again.load(session.hash), session)
    #expect(try await meta(place, "version") == "2")
    for store in [old, new, again] { await store.close() }
  }

  @Test func `a layout that needs a newer release is refused with what to do`() async throws {
    let place = try RedisPlace(.single)
    await (try await place.open(layout: layout([(1, Journal()), (3, Journal())]))).close()
    await #expect(throws: StoreError.newer(found: 3, known: 2)) {
      try await place.open(layout: layout([(1, Journal())]))
    }
  }

  @Test func `what fails in a step is done at the next start`() async throws {
    let place = try RedisPlace(.single)
    await (try await place.open()).close()
    let failing = RedisLayout(steps: [
      RedisLayout.Step(oldest: 1) { _ throws(StoreError) in throw .unavailable("gone") }
    ])
    await #expect(throws: StoreError.unavailable("gone")) { try await place.open(layout: failing) }
    let journal = Journal<Int>()
    await (try await place.open(layout: layout([(1, journal)]))).close()
    #expect(journal.items == [2])
  }

  @Test func `keys of something else are not touched`() async throws {
    let place = try RedisPlace(.single)
    let meta = RedisKeys(prefix: place.prefix).meta
    _ = try await place.ask("HSET", [meta], [Array("theirs".utf8), Array("x".utf8)])
    do throws(StoreError) {
      await (try await place.open()).close()
      Issue.record("opened")
    } catch {
      guard case .corrupt = error else {
        Issue.record("\(error)")
        return
      }
    }
    #expect(try await place.keys() == [meta])
  }
}
