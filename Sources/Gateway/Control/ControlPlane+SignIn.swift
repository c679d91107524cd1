internal import Basics
internal import Consent
internal import HTTP
internal import OAuth
internal import Sessions

/// The endpoints that begin and end a walk to the provider.
extension ControlPlane {
  /// `GET /auth/login?return_to=`.
  func login(_ request: OwnRequest) async -> OwnResponse {
    let returnTo = safeReturn(request.parameter("return_to"), otherwise: "/auth/")
    return await begin(signIn.signInDemand, purpose: .signIn, returnTo: returnTo, request: request)
  }

  /// `GET /auth/callback`.
  func callback(_ request: OwnRequest) async -> OwnResponse {
    if let refusal = await tooOften(request) { return refusal }
    do throws(SignIn.Failure) {
      return await complete(try await signIn.arrive(request), request)
    } catch {
      return await callbackFailed(error, request)
    }
  }

  /// Begins a walk, or tells the person why it cannot begin.
  func begin(
    _ demand: SignIn.Demand, purpose: SignInAttempt.Purpose, returnTo: String, request: OwnRequest
  ) async -> OwnResponse {
    if let refusal = await tooOften(request) { return refusal }
    do {
      return try await signIn.begin(demand, purpose: purpose, returnTo: returnTo, request: request)
    } catch let error as OAuthError {
      return providerFailed(error, request)
    } catch let error as StoreError {
      return storeFailed(error, request)
    } catch {
      return unavailable(request)
    }
  }

  // MARK: Arrival

  private func complete(_ arrival: SignIn.Arrival, _ request: OwnRequest) async -> OwnResponse {
    let user = slots.user(of: arrival.claims)
    let previous = await currentSession(request).session
    var landing = OwnResponse.seeOther(arrival.attempt.returnTo)
    let ticket: Ticket?
    if case .consent(let consent) = arrival.attempt.purpose, user.digest == consent.user {
      let holder = await askersSession(consent, user: user) ?? previous
      ticket = await widen(arrival, consent, user: user, holder: holder, browser: previous)
      noteRound(consent, user: user)
      if !(await concluded(consent, arrival, user: user, before: holder, request)) {
        landing = declinedPage(request)
      }
    } else {
      if case .consent(let consent) = arrival.attempt.purpose {
        log.userChanged(requestID: request.requestID)
        // The link is used up: those who wait for its user wait in vain.
        settle(consent, .declined)
      }
      let grant = slots.grant(
        arrival, user: user, previous: previous, consentSlot: consentSlot(arrival.attempt))
      ticket = await signedIn(grant, replacing: previous?.hash, overlap: .seconds(30))
      metrics.signIns += 1
      rounds.forget(user: user.digest)
      log.signedIn(user, requestID: request.requestID)
    }
    let response = landing.adding("Set-Cookie", cookies.expiredAttempt(arrival.attempt.cookieName))
    return ticket.map { response.adding("Set-Cookie", cookies.session(Secret($0.reveal()))) } ?? response
  }

  /// Gives what a consent brought to the session that holds the tokens.
  ///
  /// - Parameters:
  ///   - holder: the session whose call asked, or what took its place.
  ///   - browser: the session of the browser in which the consent was given.
  /// - Returns: the new ticket for that browser; nil when it keeps its own.
  private func widen(
    _ arrival: SignIn.Arrival, _ consent: SignInAttempt.Consent, user: UserKey, holder: Session?,
    browser: Session?
  ) async -> Ticket? {
    let grant = slots.grant(
      arrival, user: user, previous: holder, consentSlot: consentSlot(arrival.attempt))
    var replaced = holder?.user == user ? holder?.hash : consent.session
    if let browser, browser.user == user, browser.hash != replaced {
      // The other session keeps its ticket, since nobody is there to take a new one, and so does this browser's.
      if let holder, await authority.extend(holder.hash, with: grant) != nil { return nil }
      // It ended meanwhile: this browser's gets what was granted.
      replaced = browser.hash
    }
    // An MCP client that carries the old ticket must be able to repeat its call.
    return await signedIn(grant, replacing: replaced, overlap: policy.absoluteTimeout)
  }

  private func signedIn(_ grant: SignInGrant, replacing old: TicketHash?, overlap: Duration) async -> Ticket {
    let result = await authority.signIn(grant, replacing: old, overlap: overlap)
    if let gone = result.previous, result.userChanged {
      await homes.forget(gone.hash)
      await dropPending(of: gone.user)
    }
    return result.ticket
  }

  /// What came of a consent: a provider may let the person untick what was asked, and come back with less, or nothing, of it.
  ///
  /// - Returns: whether anything was granted.
  private func concluded(
    _ asked: SignInAttempt.Consent, _ arrival: SignIn.Arrival, user: UserKey, before: Session?,
    _ request: OwnRequest
  ) async -> Bool {
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
    settle(asked, .granted)
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

  private func callbackFailed(_ failure: SignIn.Failure, _ request: OwnRequest) async -> OwnResponse {
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
      return await refused(error, attempt, request)
    case .token(let error, let attempt):
      metrics.signInFailures += 1
      walkFailed(attempt)
      return providerFailed(error, request).adding("Set-Cookie", cookies.expiredAttempt(attempt.cookieName))
    case .store(let error):
      return storeFailed(error, request)
    }
  }

  /// The person or the provider said no. That is the end of it: no second walk begins by itself.
  private func refused(_ error: String, _ attempt: SignInAttempt, _ request: OwnRequest) async -> OwnResponse
  {
    let isConsent = attempt.purpose != .signIn
    if error == "access_denied", case .consent(let consent) = attempt.purpose,
      let session = await currentSession(request).session, session.user.digest == consent.user
    {
      await declined(consent, user: session.user, request)
    } else {
      if !isConsent { metrics.signInFailures += 1 }
      walkFailed(attempt)
    }
    log.signInFailed("provider answered \(error)", requestID: request.requestID)
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
    return problem(403, title, explanation, request, retry: attempt.returnTo)
      .adding("Set-Cookie", cookies.expiredAttempt(attempt.cookieName))
  }

  /// The provider cannot be reached or refuses this installation.
  func providerFailed(_ error: OAuthError, _ request: OwnRequest) -> OwnResponse {
    let need = ConsentNeed.from(error)
    log.providerFailed("\(error)", requestID: request.requestID)
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
    _ status: Int, _ title: String, _ explanation: String, _ request: OwnRequest, retry: String?
  ) -> OwnResponse {
    let action = retry.map {
      (label: "Try again", href: "/auth/login?return_to=" + PercentEncoding.encode($0))
    }
    return .page(
      status,
      Pages.problem(title: title, explanation: explanation, requestID: request.requestID, action: action))
  }

  func safeReturn(_ path: String?, otherwise: String) -> String {
    path.flatMap { ReturnTarget.accept($0) } ?? otherwise
  }
}
