internal import Basics
internal import Configuration
internal import Consent
internal import HTTP
internal import Logging
internal import OAuth
internal import Reactor
internal import Sessions
internal import Wire

/// What `Gateway.start` builds once and everything else refers to.
struct Parts: Sendable {
  let shared: SharedState
  let control: ControlPlane
  let homes: LoopDirectory
  let clients: ClientAddresses
  let tls: TLSParts
  let certificateWatch: CertificateWatch
  /// Nil where no key is from a file.
  let keyRingWatch: KeyRingWatch?
  let serverLimits: ServerLimits
  let serverTimeouts: ServerTimeouts
  let logFormat: LogFormat
  let configuration: Configuration

  /// Settings of one loop's pool for a route: the loops share the configured number of connections evenly.
  func upstreamSettings(_ route: Route, share: Int) -> UpstreamSettings {
    let configured = configuration.routes[route.index]
    let url = route.upstream
    var settings = UpstreamSettings(
      host: url.host, port: url.port, tls: url.isSecure ? tls.upstreams[TLSParts.Trust(configured)] : nil)
    settings.connectTimeout = configuration.timeouts.connect
    settings.responseHeadersTimeout = configuration.timeouts.responseHeaders
    settings.bodyStallTimeout = configuration.timeouts.responseHeaders
    settings.idleTimeout = configuration.timeouts.upstreamIdle
    settings.maxConnections = max(
      1, (configured.maxConnections ?? configuration.limits.upstreamConnections) / share)
    settings.maxWaiting = max(1, configuration.limits.upstreamWaiting / share)
    settings.headLimits.headBytes = configuration.limits.headerBytes.bytes
    settings.headLimits.fieldCount = configuration.limits.headerFields
    return settings
  }
}

extension Gateway {
  /// Builds everything that does not listen yet.
  func assemble() async throws(StartError) -> Parts {
    let log = EventLog(logger: logger)
    let homes = LoopDirectory()
    var slots = CredentialSlots(scopeNamesResource: false, sessionClaims: configuration.session.claims)
    let routes = makeRoutes(&slots)
    let cookies = CookieJar(
      isSecure: configuration.publicURL.isSecure, sessionName: configuration.session.cookieName,
      sameSite: SetCookie.SameSite(rawValue: configuration.session.sameSite.rawValue) ?? .lax,
      attemptLifetime: SignInAttempt.lifetime)
    let settings = try providerSettings()
    let tls = try makeTLS(settings)
    let (opened, sealer) = try await openStore(tls)
    // What is known to be down is not waited for.
    let store = SessionAuthority.watched(opened)
    let providers = makeProviders(settings, tls, slots: slots, routes: routes, cookies: cookies, store: store)
    for one in providers.all where one.slots.scopeNamesResource {
      for slot in one.slots.used { log.unqualifiedScopes(EntraScope.unqualified(slots.slots[slot].scope)) }
    }
    let control = makeControl(
      log: log, homes: homes, routes: routes, cookies: cookies, providers: providers, store: store,
      sealer: sealer, tls: tls)
    await control.restoreToolScopes()
    let publicURL = configuration.publicURL
    let shared = SharedState(
      routes: routes,
      origins: OriginPolicy(own: publicURL.origin, allowed: configuration.csrf.allowedOrigins),
      crossOrigin: CrossOrigin(allowed: configuration.csrf.allowedOrigins), cookies: cookies,
      publicURL: publicURL.origin, publicAuthority: publicURL.authority, isSecure: publicURL.isSecure,
      trustedProxies: configuration.trustedProxies.compactMap { CIDRBlock(text: $0.text) },
      limits: InspectionLimits(
        requestBody: configuration.limits.bufferedBody.bytes,
        answerBody: configuration.limits.inspectedBody.bytes,
        event: configuration.streams.maxEventBytes.bytes, keepAlive: configuration.streams.keepAlive,
        maxRequestBody: UInt64(configuration.limits.requestBody.bytes)),
      mcpSessions: MCPSessionBindings(), streams: UserStreams(limit: configuration.limits.streamsPerUser),
      consentRounds: control.rounds, desk: control.desk,
      toolScopes: control.toolScopes, learnsToolScopes: configuration.consent.learnToolScopes,
      scriptAnswer: ScriptAnswer(rawValue: configuration.consent.scriptStatus) ?? .forbidden,
      hold: configuration.consent.hold, linkLifetime: configuration.consent.linkLifetime,
      keptCalls: KeptCallLimits(
        perUser: configuration.consent.keptCalls, maxBody: configuration.consent.keptCallSize.bytes),
      stateSealer: sealer, control: control)
    return Parts(
      shared: shared, control: control, homes: homes,
      clients: ClientAddresses(limit: configuration.limits.connectionsPerAddress), tls: tls,
      certificateWatch: makeCertificateWatch(tls, log, control.counters),
      keyRingWatch: makeKeyRingWatch(store, sealer, log, control.counters),
      serverLimits: makeServerLimits(), serverTimeouts: makeServerTimeouts(),
      logFormat: configuration.log.format == .json ? .json : .text, configuration: configuration)
  }

  private func makeRoutes(_ slots: inout CredentialSlots) -> RouteTable {
    var routes: [Route] = []
    for (index, configured) in configuration.routes.enumerated() {
      let isBearer = configured.authorization == .bearer
      let slot = isBearer ? self.slot(configured, &slots) : nil
      // The configuration was validated with the same rules, so both parse.
      guard let prefix = RoutePath(configured.path), let upstream = URLReference(configured.upstream.text)
      else { continue }
      routes.append(
        Route(
          index: index, path: configured.path, prefix: prefix, upstream: upstream,
          authorization: isBearer ? .bearer : .none, needsSession: configured.session == .required,
          isMCP: configured.mcp, provider: provider(of: configured), credentialSlot: slot,
          scope: configured.scope, resource: configured.resource,
          passCookies: configured.passCookies, passResponseFields: configured.passResponseHeaders,
          consent: routeConsent(configured)))
    }
    return RouteTable(routes)
  }

  private func provider(of route: Configuration.Route) -> Route.Provider? {
    guard let name = route.provider,
      let index = configuration.providers.all.firstIndex(where: { $0.name == name })
    else { return nil }
    return Route.Provider(index: index, name: name)
  }

  private func slot(_ route: Configuration.Route, _ slots: inout CredentialSlots) -> Int {
    guard let exchange = route.exchange else {
      return slots.slot(scope: route.scope, resource: route.resource)
    }
    let subject =
      exchange.subjectToken == .idToken
      ? nil : slots.slot(scope: exchange.subjectScope, resource: exchange.subjectResource)
    return slots.slot(
      scope: route.scope, resource: route.resource,
      exchange: CredentialSlots.Exchange(
        form: exchange.form == .onBehalfOf ? .onBehalfOf : .tokenExchange, subject: subject,
        audience: exchange.audience, actorTokenFile: exchange.actorTokenFile))
  }

  private func routeConsent(_ route: Configuration.Route) -> RouteConsent {
    let rules = route.consentRules.map { rule in
      ConsentRule(
        code: rule.code, values: rule.values, scopes: rule.scopes, link: rule.link, claims: rule.claims,
        unexecuted: rule.unexecuted, target: rule.target == .downstream ? .downstream : .upstream)
    }
    // `.default` is everything that the application's registration names, for itself and for what is behind it.
    let providers = configuration.providers(of: route)
    let whole =
      providers.contains { profile(of: $0) == .entra }
      ? route.scope.lazy.compactMap(EntraScope.resource).first.map { $0 + "/.default" } : nil
    return RouteConsent(
      server: route.name ?? route.path,
      watch: ConsentWatch(
        providerOrigins: providers.map(\.issuer.origin),
        maxBytes: configuration.limits.inspectedBody.bytes, consentCodes: configuration.consent.codes,
        rules: rules),
      downstream: route.downstreamConsent, linkHosts: Set(route.consentLinkHosts.map { $0.lowercased() }),
      requiresPreConsent: route.requirePreConsent ?? configuration.consent.requirePreConsent,
      wholeScope: whole)
  }

  private func makeServerLimits() -> ServerLimits {
    var limits = ServerLimits()
    limits.head.headBytes = configuration.limits.headerBytes.bytes
    limits.head.fieldCount = configuration.limits.headerFields
    let share = max(1, configuration.workers ?? Self.processorCount)
    limits.maxConnections = max(1, configuration.limits.connections / share)
    limits.heldBytes = configuration.limits.memory.bytes / share
    return limits
  }

  private func makeServerTimeouts() -> ServerTimeouts {
    var timeouts = ServerTimeouts()
    timeouts.head = configuration.timeouts.requestHeaders
    timeouts.bodyStall = configuration.timeouts.requestBody
    timeouts.idle = configuration.timeouts.idle
    timeouts.writeStall = configuration.timeouts.write
    return timeouts
  }
}
