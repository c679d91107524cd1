internal import Sessions

/// What one loop counted. Plain integers, changed only on their loop; a scrape copies the whole value.
///
/// No label comes from request data, so no client can make the set grow.
struct LoopMetrics: Sendable {
  /// Upper bounds of the duration buckets, in microseconds; the last bucket is everything above.
  static let bucketBounds: [UInt64] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
  ]

  /// Answers by route index and hundreds of the status: `answers[route * 6 + status / 100]`.
  var answers: [UInt64]
  var durationBuckets: [UInt64]
  var durationCount: UInt64 = 0
  var durationMicroseconds: UInt64 = 0
  var bytesFromClients: UInt64 = 0
  var bytesToClients: UInt64 = 0
  var ownEndpoints: UInt64 = 0
  var loginRequired: UInt64 = 0
  var consentRequired: UInt64 = 0
  var callsHeld: UInt64 = 0
  var callsReplayed: UInt64 = 0
  var completionsAnnounced: UInt64 = 0
  var refusedByGuard: UInt64 = 0
  var replays: UInt64 = 0
  var upstreamFailures: UInt64 = 0
  var cacheMisses: UInt64 = 0
  var clientsGone: UInt64 = 0
  var refusals = Refusals()
  /// Counted elsewhere, and set when a scrape asks.
  var acceptPauses: UInt64 = 0
  /// Gauges, set when a scrape asks.
  var openConnections: UInt64 = 0
  var heldBytes: UInt64 = 0
  var cachedSessions: UInt64 = 0

  init(routeCount: Int) {
    answers = Array(repeating: 0, count: routeCount * 6)
    durationBuckets = Array(repeating: 0, count: LoopMetrics.bucketBounds.count + 1)
  }

  mutating func record(route: Int?, status: Int, microseconds: UInt64, bytesIn: UInt64, bytesOut: UInt64) {
    if let route {
      let index = route * 6 + min(max(status / 100, 0), 5)
      if answers.indices.contains(index) { answers[index] &+= 1 }
    } else {
      ownEndpoints &+= 1
    }
    var bucket = 0
    while bucket < LoopMetrics.bucketBounds.count && microseconds > LoopMetrics.bucketBounds[bucket] {
      bucket += 1
    }
    durationBuckets[bucket] &+= 1
    durationCount &+= 1
    durationMicroseconds &+= microseconds
    bytesFromClients &+= bytesIn
    bytesToClients &+= bytesOut
  }

  /// Adds another loop's counts.
  mutating func add(_ other: LoopMetrics) {
    for index in answers.indices where other.answers.indices.contains(index) {
      answers[index] &+= other.answers[index]
    }
    for index in durationBuckets.indices { durationBuckets[index] &+= other.durationBuckets[index] }
    durationCount &+= other.durationCount
    durationMicroseconds &+= other.durationMicroseconds
    bytesFromClients &+= other.bytesFromClients
    bytesToClients &+= other.bytesToClients
    ownEndpoints &+= other.ownEndpoints
    loginRequired &+= other.loginRequired
    consentRequired &+= other.consentRequired
    callsHeld &+= other.callsHeld
    callsReplayed &+= other.callsReplayed
    completionsAnnounced &+= other.completionsAnnounced
    refusedByGuard &+= other.refusedByGuard
    replays &+= other.replays
    upstreamFailures &+= other.upstreamFailures
    cacheMisses &+= other.cacheMisses
    clientsGone &+= other.clientsGone
    refusals.add(other.refusals)
    acceptPauses &+= other.acceptPauses
    openConnections &+= other.openConnections
    heldBytes &+= other.heldBytes
    cachedSessions &+= other.cachedSessions
  }
}

/// What the control loop counted.
struct ControlMetrics: Sendable {
  var signIns: UInt64 = 0
  /// The same by the provider's name.
  var signInsByProvider: [String: UInt64] = [:]
  var signInFailures: UInt64 = 0
  var signOuts: UInt64 = 0
  var consentsGranted: UInt64 = 0
  var consentsDeclined: UInt64 = 0
  var consentsRevoked: UInt64 = 0
  var refreshes: UInt64 = 0
  var refreshFailuresTransient: UInt64 = 0
  var refreshesRefused: UInt64 = 0
  var providerMisconfigured: UInt64 = 0
  var storeErrors: UInt64 = 0
  /// Walks to the provider that were not begun because there were too many.
  var signInsRefused: UInt64 = 0
  /// Set when a scrape asks.
  var logLinesDropped: UInt64 = 0
  var certificateReloads: UInt64 = 0
  var certificateReloadFailures: UInt64 = 0
  var sealing = SealingMetrics()
  var sessionEnds: [EndReason: UInt64] = [:]
  /// Logout tokens that were not acted on.
  var logoutTokensRefused: UInt64 = 0
  /// Requests for sessions at the admin listener without its token.
  var operatorsRefused: UInt64 = 0
  /// Messages between processes that share the store.
  var replicaMessagesSent: UInt64 = 0
  var replicaMessagesLost: UInt64 = 0
  var replicaMessagesHeard: UInt64 = 0
  var replicaMessagesRefused: UInt64 = 0
}
