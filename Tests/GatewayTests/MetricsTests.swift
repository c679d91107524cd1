import Basics
import Sessions
import Testing

@testable import Gateway

@Suite struct MetricsTests {
  static func filled() -> LoopMetrics {
    var metrics = LoopMetrics(routeCount: 2)
    metrics.record(route: 0, status: 200, microseconds: 400, bytesIn: 10, bytesOut: 100)
    metrics.record(route: 0, status: 204, microseconds: 500, bytesIn: 1, bytesOut: 1)
    metrics.record(route: 1, status: 503, microseconds: 30_000_000, bytesIn: 0, bytesOut: 5)
    metrics.record(route: nil, status: 303, microseconds: 501, bytesIn: 0, bytesOut: 0)
    return metrics
  }

  @Test(
    arguments: [
      (0, 0), (500, 0), (501, 1), (1_000, 1), (1_001, 2), (10_000_000, 12), (10_000_001, 13), (.max, 13),
    ]
      as [(UInt64, Int)])
  func `a duration falls into the first bucket that holds it`(microseconds: UInt64, bucket: Int) {
    var metrics = LoopMetrics(routeCount: 0)
    metrics.record(route: nil, status: 200, microseconds: microseconds, bytesIn: 0, bytesOut: 0)
    #expect(metrics.durationBuckets.enumerated().filter { $0.element == 1 }.map(\.offset) == [bucket])
    #expect(metrics.durationBuckets.reduce(0, +) == 1)
  }

  @Test(arguments: [-1, 0, 99, 100, 599, 600, 999, Int.max, Int.min]) func `no status is out of the table`(
    status: Int
  ) {
    var metrics = LoopMetrics(routeCount: 1)
    metrics.record(route: 0, status: status, microseconds: 1, bytesIn: 0, bytesOut: 0)
    metrics.record(route: 7, status: status, microseconds: 1, bytesIn: 0, bytesOut: 0)
    #expect(metrics.answers.reduce(0, +) == 1)
  }

  @Test func `the sum of two loops has everything of both`() {
    var sum = LoopMetrics(routeCount: 2)
    var one = Self.filled()
    one.replays = 2
    one.openConnections = 3
    one.cachedSessions = 4
    sum.add(one)
    sum.add(one)
    #expect(sum.answers == one.answers.map { $0 * 2 })
    #expect(sum.durationBuckets == one.durationBuckets.map { $0 * 2 })
    #expect(sum.durationCount == 8 && sum.bytesToClients == 212 && sum.bytesFromClients == 22)
    #expect(sum.replays == 4 && sum.ownEndpoints == 2 && sum.openConnections == 6 && sum.cachedSessions == 8)
  }

  @Test func `what replicas told each other is counted from both places`() {
    var one = ControlMetrics()
    one.replicaMessagesSent = 1
    one.replicaMessagesLost = 2
    one.replicaMessagesHeard = 3
    one.replicaMessagesRefused = 4
    one.add(one)
    let page = MetricsPage.render(loops: LoopMetrics(routeCount: 0), control: one, routes: [], sessions: 0)
    for (name, count) in [("sent", 2), ("lost", 4), ("heard", 6), ("refused", 8)] {
      #expect(page.contains("\ncoatcheck_replica_messages_\(name)_total \(count)\n"))
    }
  }

  static func page(_ routes: [String] = ["/mcp", "/a\"b\\c"]) -> String {
    var counts = LeaseCounts()
    counts.leasesWaited = 4
    counts.leasesLost = 3
    counts.savesFenced = 2
    counts.refreshesAdopted = 1
    return MetricsPage.render(
      loops: filled(), control: ControlMetrics(), routes: routes, sessions: 3,
      store: StoreFacts(isUp: false, isWithinGrace: true, sinceContact: .milliseconds(12_500), counts: counts)
    )
  }

  @Test func `the page tells how the store fares`() {
    let lines = Set(Self.page().split(separator: "\n"))
    for line in [
      "coatcheck_store_up 0", "coatcheck_store_sessions_usable 1", "coatcheck_store_contact_age_seconds 12.5",
      "coatcheck_lease_waits_total 4", "coatcheck_leases_lost_total 3", "coatcheck_saves_fenced_total 2",
      "coatcheck_token_refreshes_adopted_total 1",
    ] { #expect(lines.contains(Substring(line))) }
  }

  @Test func `the page is valid exposition text`() throws {
    let page = Self.page()
    #expect(page.hasSuffix("\n"))
    var types: [String: String] = [:]
    var seen: Set<String> = []
    for line in page.dropLast().split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
      if line.hasPrefix("# HELP ") {
        #expect(line.components(separatedBy: " ").count > 3)
        continue
      }
      if line.hasPrefix("# TYPE ") {
        let parts = line.components(separatedBy: " ")
        #expect(parts.count == 4 && types[parts[2]] == nil)
        types[parts[2]] = parts[3]
        continue
      }
      let space = try #require(line.lastIndex(of: " "), "\(line)")
      #expect(Double(line[line.index(after: space)...]) != nil, "\(line)")
      let series = String(line[..<space])
      #expect(seen.insert(series).inserted, "twice: \(series)")
      let name = String(series.prefix { $0 != "{" })
      #expect(name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" })
      let family = ["_bucket", "_sum", "_count"].first {
        name.hasSuffix($0) && types[String(name.dropLast($0.count))] == "histogram"
      }
      #expect(types[family.map { String(name.dropLast($0.count)) } ?? name] != nil, "no type: \(name)")
      if types[name] == "counter" { #expect(name.hasSuffix("_total")) }
    }
  }

  @Test func `the histogram counts up to all`() throws {
    let values = Self.page().components(separatedBy: "\n").filter { $0.contains("_bucket{") }
      .compactMap { Int($0.components(separatedBy: " ").last ?? "") }
    #expect(values.count == LoopMetrics.bucketBounds.count + 1)
    #expect(values == values.sorted())
    #expect(values.last == 4)
    #expect(Self.page().contains("coatcheck_request_duration_seconds_bucket{le=\"0.0005\"} 2\n"))
    #expect(Self.page().contains("coatcheck_request_duration_seconds_count 4\n"))
  }

  @Test func `answers are told by route and class`() {
    let page = Self.page()
    #expect(page.contains("coatcheck_answers_total{route=\"/mcp\",status=\"2xx\"} 2\n"))
    #expect(page.contains("coatcheck_answers_total{route=\"/a\\\"b\\\\c\",status=\"5xx\"} 1\n"))
    #expect(page.contains("coatcheck_own_answers_total 1\n"))
    #expect(page.contains("coatcheck_sessions 3\n"))
  }

  @Test func `the control loop's counts are added up`() {
    var sum = ControlMetrics()
    for outcome in [
      .success(.init(token: .init(accessToken: .init("t"), expiresIn: nil))),
      .invalidGrant(.init(error: "x")),
      .interactionRequired(.init(error: "x")), .transient(retryAfter: nil, detail: ""),
      .misconfigured(detail: ""),
    ] as [RefreshOutcome] { sum.count(outcome) }
    sum.add(sum)
    #expect(sum.refreshes == 2 && sum.refreshesRefused == 4)
    #expect(sum.refreshFailuresTransient == 2 && sum.providerMisconfigured == 2)
  }
}
