internal import Basics
internal import OAuth
internal import Reactor
internal import Sessions

/// What operators and load balancers ask.
extension ControlPlane {
  /// Ready: the store answers and the provider's metadata is known.
  func readiness() async -> (Int, String) {
    if isStopping { return (503, "stopping\n") }
    do { try await store.ping() } catch { return (503, "session store: not available\n") }
    do { _ = try await provider.metadata() } catch { return (503, "provider: metadata not available\n") }
    return (200, "ready\n")
  }

  func metricsPage() async -> String {
    let loops = await homes.metrics(routeCount: routes.all.count)
    var counted = counters.withLock { $0 }
    counted.add(metrics)
    counted.logLinesDropped = logLinesDropped()
    return MetricsPage.render(
      loops: loops, control: counted, routes: routes.all.map(\.path), sessions: await authority.countInMemory,
      certificates: certificates())
  }

  /// Fetches metadata before the first person needs it. A failure is told and tried again when needed.
  func warmUp() async {
    do { _ = try await provider.metadata() } catch {
      log.providerFailed("\(error)", requestID: "-")
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
  }
}
