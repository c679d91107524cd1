internal import Basics
internal import OAuth
internal import Reactor
internal import Sessions

/// What operators and load balancers ask.
extension ControlPlane {
  /// Ready: the store answers and the metadata of a provider is known. Those of other providers can sign in when one of several does
  /// not answer.
  func readiness() async -> (Int, String) {
    if isStopping { return (503, "stopping\n") }
    do { try await store.ping() } catch { return (503, "session store: not available\n") }
    let missing = await providers.withoutMetadata().map(\.provider.name)
    if missing.count == providers.all.count { return (503, "provider: metadata not available\n") }
    return (
      200, missing.isEmpty ? "ready\n" : "ready, without metadata of: \(missing.joined(separator: " "))\n"
    )
  }

  /// Whether requests should come here: also while a shared store is away, as long as sessions in memory may be used. A balancer that
  /// took every process out then would sign everybody out who could go on.
  func readinessForTraffic() async -> (Int, String) {
    if isStopping { return (503, "stopping\n") }
    let store = await authority.storeFacts
    if !store.isWithinGrace { return (503, "session store: not available for too long\n") }
    return (200, store.isUp ? "ready\n" : "ready for who is signed in; session store: not available\n")
  }

  func metricsPage() async -> String {
    let loops = await homes.metrics(routeCount: routes.all.count)
    var counted = counters.withLock { $0 }
    counted.add(metrics)
    counted.logLinesDropped = logLinesDropped()
    return MetricsPage.render(
      loops: loops, control: counted, routes: routes.all.map(\.path), sessions: await authority.countInMemory,
      store: await authority.storeFacts, certificates: certificates(), providers: await providers.states())
  }

  /// Fetches metadata before the first person needs it. A failure is told and tried again when needed.
  func warmUp() async {
    for (provider, error) in await providers.withoutMetadata() {
      log.providerFailed(providers.label(provider) + "\(error)", requestID: "-")
    }
  }
}

extension ControlMetrics {
  mutating func count(_ outcome: RefreshOutcome) {
    switch outcome {
    case .success: refreshes += 1
    case .invalidGrant, .subjectRefused, .interactionRequired: refreshesRefused += 1
    case .transient: refreshFailuresTransient += 1
    case .misconfigured: providerMisconfigured += 1
    }
  }

  mutating func add(_ other: ControlMetrics) {
    signIns += other.signIns
    signInsByProvider.merge(other.signInsByProvider, uniquingKeysWith: +)
    signInFailures += other.signInFailures
    signOuts += other.signOuts
    consentsGranted += other.consentsGranted
    consentsDeclined += other.consentsDeclined
    consentsRevoked += other.consentsRevoked
    refreshes += other.refreshes
    refreshFailuresTransient += other.refreshFailuresTransient
    refreshesRefused += other.refreshesRefused
    providerMisconfigured += other.providerMisconfigured
    storeErrors += other.storeErrors
    signInsRefused += other.signInsRefused
    certificateReloads += other.certificateReloads
    certificateReloadFailures += other.certificateReloadFailures
    sessionEnds.merge(other.sessionEnds) { $0 + $1 }
    logoutTokensRefused += other.logoutTokensRefused
    operatorsRefused += other.operatorsRefused
    replicaMessagesSent += other.replicaMessagesSent
    replicaMessagesLost += other.replicaMessagesLost
    replicaMessagesHeard += other.replicaMessagesHeard
    replicaMessagesRefused += other.replicaMessagesRefused
  }
}
