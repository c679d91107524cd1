internal import Basics
internal import Consent
internal import HTTP
internal import OAuth
internal import Sessions

/// The endpoints that begin and end a walk to the provider.
extension ControlPlane {
  /// `GET /auth/login?return_to=&provider=`. Where there are several providers and none is named, the person chooses.
  func login(_ request: OwnRequest) async -> OwnResponse {
    let returnTo = safeReturn(request.parameter("return_to"), otherwise: "/auth/")
    let chosen: ConfiguredProvider
    if let name = request.parameter("provider") {
      guard let named = providers.named(name) else {
        return problem(
          400, "This sign-in service is not known", "Nobody signs in there any more, or the link is wrong.",
          request, retry: returnTo)
      }
      chosen = named
    } else if let only = providers.all.first, !providers.isSeveral {
      chosen = only
    } else {
      return choice(returnTo)
    }
    return await begin(
      chosen, chosen.signIn.signInDemand, purpose: .signIn, returnTo: returnTo, request: request)
  }

  /// A page with one button for each provider.
  private func choice(_ returnTo: String) -> OwnResponse {
    .page(
      200,
      Pages.choice(
        providers.all.map { (title: $0.title, href: loginPath(returnTo: returnTo, provider: $0)) }))
  }

  func loginPath(returnTo: String, provider: ConfiguredProvider?) -> String {
    let named = providers.isSeveral ? provider.map { "provider=\($0.name)&" } ?? "" : ""
    return "/auth/login?" + named + "return_to=" + PercentEncoding.encode(returnTo)
  }

  /// `GET /auth/callback`: the redirect URI of one provider.
  func callback(_ home: ConfiguredProvider, _ request: OwnRequest) async -> OwnResponse {
    if let refusal = await tooOften(request) { return refusal }
    do throws(SignIn.Failure) {
      return await complete(try await home.signIn.arrive(request), home, request)
    } catch {
      return await callbackFailed(error, home, request)
    }
  }

  /// Begins a walk, or tells the person why it cannot begin.
  func begin(
    _ home: ConfiguredProvider, _ demand: SignIn.Demand, purpose: SignInAttempt.Purpose, returnTo: String,
    request: OwnRequest
  ) async -> OwnResponse {
    if let refusal = await tooOften(request) { return refusal }
    do {
      return try await home.signIn.begin(demand, purpose: purpose, returnTo: returnTo, request: request)
    } catch let error as OAuthError {
      return providerFailed(error, home, request)
    } catch let error as StoreError {
      return storeFailed(error, request)
    } catch {
      return unavailable(request)
    }
  }

  // MARK: Arrival

  private func complete(
    _ arrival: SignIn.Arrival, _ home: ConfiguredProvider, _ request: OwnRequest
  ) async -> OwnResponse {
    let user = home.slots.user(of: arrival.claims)
    let previous = await currentSession(request).any
    // Nothing is carried over from one provider to another, be it the same person.
    let kin = previous.flatMap { providers.of($0)?.index == home.index ? $0 : nil }
    var landing = OwnResponse.seeOther(arrival.attempt.returnTo)
    let ticket: Ticket?
    if case .consent(let consent) = arrival.attempt.purpose, user.digest == consent.user {
      let asker = await askersSession(consent, user: user)
      let holder = asker.flatMap { providers.of($0)?.index == home.index ? $0 : nil } ?? kin
      ticket = await widen(arrival, consent, home, user: user, holder: holder, browser: kin)
      if ticket != nil, let previous, kin == nil { _ = await end(previous.hash) }
      noteRound(consent, user: user)
      if !(await concluded(consent, arrival, home, user: user, before: holder, request)) {
        landing = declinedPage(request)
      }
    } else {
      if case .consent(let consent) = arrival.attempt.purpose {
        log.userChanged(requestID: request.requestID)
        // The link is used up: those who wait for its user wait in vain.
        await settle(consent, .declined)
      }
      let grant = home.slots.grant(
        arrival, user: user, provider: home.sessionName, previous: kin,
        consentSlot: consentSlot(arrival.attempt))
      let result = await signedIn(grant, replacing: previous?.hash, overlap: .seconds(30))
      guard result.isKnownToAll else {
        // At any other process the next request would be told to sign in: better to be told to try again.
        _ = await end(result.session.hash)
        return unavailable(request)
      }
      ticket = result.ticket
      metrics.signIns += 1
      metrics.signInsByProvider[home.name, default: 0] += 1
      forgetRounds(of: user)
      log.signedIn(user, requestID: request.requestID)
    }
    let response = landing.adding("Set-Cookie", cookies.expiredAttempt(arrival.attempt.cookieName))
    return ticket.map { response.adding("Set-Cookie", cookies.session(Secret($0.reveal()))) } ?? response
  }

  /// Gives what a consent brought to the session that holds the tokens.
  ///
  /// - Parameters:
  ///   - holder: the session whose call asked, or what took its place.
  ///   - browser: the session of the browser in which the consent was given, if it is of the same provider.
  /// - Returns: the new ticket for that browser; nil when it keeps its own.
  private func widen(
    _ arrival: SignIn.Arrival, _ consent: SignInAttempt.Consent, _ home: ConfiguredProvider, user: UserKey,
    holder: Session?, browser: Session?
  ) async -> Ticket? {
    let grant = home.slots.grant(
      arrival, user: user, provider: home.sessionName, previous: holder,
      consentSlot: consentSlot(arrival.attempt))
    var replaced = holder?.user == user ? holder?.hash : consent.session
    if let browser, browser.user == user, browser.hash != replaced {
      // The other session keeps its ticket, since nobody is there to take a new one, and so does this browser's.
      if let holder, await authority.extend(holder.hash, with: grant) != nil { return nil }
      // It ended meanwhile: this browser's gets what was granted.
      replaced = browser.hash
    }
    // An MCP client that carries the old ticket must be able to repeat its call.
    return await signedIn(grant, replacing: replaced, overlap: policy.absoluteTimeout).ticket
  }

  private func signedIn(_ grant: SignInGrant, replacing old: TicketHash?, overlap: Duration) async
    -> SignInResult
  {
    let result = await authority.signIn(grant, replacing: old, overlap: overlap)
    if let gone = result.previous, result.userChanged {
      await homes.forget([gone.hash])
      await dropPending(of: gone.user)
    }
    return result
  }

  /// What came of a consent: a provider may let the person untick what was asked, and come back with less, or nothing, of it.
  ///
  /// - Returns: whether anything was granted.
  private func concluded(
    _ asked: SignInAttempt.Consent, _ arrival: SignIn.Arrival, _ home: ConfiguredProvider, user: UserKey,
    before: Session?, _ request: OwnRequest
  ) async -> Bool {
    let slots = home.slots
    let narrowed = slots.narrowed(arrival, previous: before)
    if !narrowed.isEmpty {
      log.consentNarrowed(
        user, missing: narrowed, route: asked.route, requestID: request.requestID)
    }
    var given = asked
    given.scopes = slots.granted(of: asked, arrival, slot: consentSlot(arrival.attempt))
    if given.scopes.isEmpty, !asked.scopes.isEmpty, !asked.isStepUp,
      // Some providers spell in the answer what was asked in another way: anything new is a yes.
      ScopeList.missing(arrival.tokens.scope ?? [], from: before?.grantedScopes ?? []).isEmpty
    {
      await declined(asked, user: user, request)
      return false
    }
    metrics.consentsGranted += 1
    log.consentGranted(user, given.subject, requestID: request.requestID)
    await enter(given, user: user)
    // Last: whoever hears of it finds the new session.
    await settle(asked, .granted)
    return true
  }

  /// The session whose call asked for the consent: an MCP client's is often another one than that of the browser in which its
  /// user opens the link. Nil when it is over.
  func askersSession(_ consent: SignInAttempt.Consent, user: UserKey) async -> Session? {
    guard case .found(let session) = await authority.session(for: consent.session), session.user == user
    else {
      return nil
    }
    return session
  }

  private func consentSlot(_ attempt: SignInAttempt) -> Int? {
    guard case .consent(let consent) = attempt.purpose else { return nil }
    return route(of: consent)?.credentialSlot
  }

  // MARK: Failures

  private func callbackFailed(
    _ failure: SignIn.Failure, _ home: ConfiguredProvider, _ request: OwnRequest
  ) async -> OwnResponse {
    switch failure {
    case .noAttempt:
      // A second tab, or the back button: with a session there is nothing left to do.
      if let session = await currentSession(request).session, session.state == .active {
        return .seeOther("/auth/")
      }
      metrics.signInFailures += 1
      return problem(
        400, "This sign-in cannot be completed",
        "It was started too long ago, in another browser, or was completed already.", request, retry: "/auth/"
      )
    case .wrongIssuer:
      metrics.signInFailures += 1
      log.signInFailed("issuer mismatch in the authorization response", requestID: request.requestID)
      return problem(
        400, "This sign-in cannot be completed",
        "The answer came from another sign-in service than the one asked.",
        request, retry: "/auth/")
    case .refused(let error, let attempt):
      return await refused(error, attempt, home, request)
    case .token(let error, let attempt):
      metrics.signInFailures += 1
      walkFailed(attempt)
      return providerFailed(error, home, request).adding(
        "Set-Cookie", cookies.expiredAttempt(attempt.cookieName))
    case .store(let error):
      return storeFailed(error, request)
    }
  }

  /// The person or the provider said no. That is the end of it: no second walk begins by itself.
  private func refused(
    _ error: String, _ attempt: SignInAttempt, _ home: ConfiguredProvider, _ request: OwnRequest
  ) async -> OwnResponse {
    let isConsent = attempt.purpose != .signIn
    if error == "access_denied", case .consent(let consent) = attempt.purpose,
      let session = await currentSession(request).session, session.user.digest == consent.user
    {
      await declined(consent, user: session.user, request)
    } else {
      if !isConsent { metrics.signInFailures += 1 }
      walkFailed(attempt)
    }
    log.signInFailed(
      providers.label(home) + "provider answered \(error)", requestID: request.requestID)
    if isConsent, error == "access_denied" {
      return declinedPage(request).adding("Set-Cookie", cookies.expiredAttempt(attempt.cookieName))
    }
    let title: String
    let explanation: String
    switch error {
    case "access_denied":
      title = "You were not signed in"
      explanation = "The sign-in was cancelled, or you are not allowed to use this service."
    case "login_required", "interaction_required", "consent_required", "account_selection_required":
      title = "The sign-in service needs you once more"
      explanation = "Please sign in again."
    case "temporarily_unavailable", "server_error":
      title = "The sign-in service does not work at the moment"
      explanation = "Try again in a moment."
    default:
      title = "The sign-in service refused"
      explanation = "The operator finds the reason in the log."
    }
    return problem(403, title, explanation, request, retry: attempt.returnTo, at: home)
      .adding("Set-Cookie", cookies.expiredAttempt(attempt.cookieName))
  }

  /// The provider cannot be reached or refuses this installation.
  func providerFailed(_ error: OAuthError, _ home: ConfiguredProvider, _ request: OwnRequest) -> OwnResponse {
    let need = ConsentNeed.from(error)
    log.providerFailed(providers.label(home) + "\(error)", requestID: request.requestID)
    switch need.kind {
    case .transient(let retryAfter):
      let answer = DenialAnswer(
        .providerUnavailable(retryAfter: retryAfter.map(Self.wholeSeconds)))
      return problem(answer.status, answer.title, answer.explanation, request, retry: nil)
        .adding("Retry-After", String(answer.retryAfter ?? 5))
    case .adminConsent, .blocked:
      let answer = DenialAnswer(.consentBlocked(detail: "Ask an administrator of your organisation."))
      return problem(answer.status, answer.title, answer.explanation, request, retry: nil)
    case .config:
      metrics.providerMisconfigured += 1
      let answer = DenialAnswer(.providerMisconfigured)
      return problem(answer.status, answer.title, answer.explanation, request, retry: nil)
    default:
      return problem(
        400, "This sign-in cannot be completed", "The sign-in service's answer could not be accepted.",
        request,
        retry: "/auth/")
    }
  }

  func problem(
    _ status: Int, _ title: String, _ explanation: String, _ request: OwnRequest, retry: String?,
    at provider: ConfiguredProvider? = nil
  ) -> OwnResponse {
    let action = retry.map { (label: "Try again", href: loginPath(returnTo: $0, provider: provider)) }
    return .page(
      status,
      Pages.problem(title: title, explanation: explanation, requestID: request.requestID, action: action))
  }

  func safeReturn(_ path: String?, otherwise: String) -> String {
    path.flatMap { ReturnTarget.accept($0) } ?? otherwise
  }
}
