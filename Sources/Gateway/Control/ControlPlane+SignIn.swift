internal import Basics
internal import Consent
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
    do {
      let arrival = try await signIn.arrive(request)
      return try await complete(arrival, request)
    } catch let failure as SignIn.Failure {
      return await callbackFailed(failure, request)
    } catch {
      metrics.storeErrors += 1
      log.storeFailed("\(error)")
      return unavailable(request)
    }
  }

  /// Begins a walk, or tells the person why it cannot begin.
  func begin(
    _ demand: SignIn.Demand, purpose: SignInAttempt.Purpose, returnTo: String, request: OwnRequest
  ) async -> OwnResponse {
    do {
      return try await signIn.begin(demand, purpose: purpose, returnTo: returnTo, request: request)
    } catch let error as OAuthError {
      return providerFailed(error, request)
    } catch {
      metrics.storeErrors += 1
      log.storeFailed("\(error)")
      return unavailable(request)
    }
  }

  // MARK: Arrival

  private func complete(_ arrival: SignIn.Arrival, _ request: OwnRequest) async throws -> OwnResponse {
    let previous = try await currentSession(request)
    let user = slots.user(of: arrival.claims)
    var carried: Session?
    if case .consent(let consent) = arrival.attempt.purpose {
      let isSamePerson = user.issuer == consent.issuer && user.subject == consent.subject
      if let previous, previous.user == user, isSamePerson { carried = previous }
      // Somebody else came back from the provider: a new session of that person, nothing of the old one.
      if !isSamePerson { log.userChanged(from: consent.subject, to: user, requestID: request.requestID) }
    } else if let previous, previous.user == user {
      carried = previous
    }
    let ticket = Ticket.make()
    let session = slots.session(
      ticket: ticket.hash, user: user, claims: arrival.claims, tokens: arrival.tokens, attempt: arrival.attempt,
      carrying: carried, policy: policy, now: clock())
    try await authority.create(session)
    if let previous { try await replace(previous, by: session) }
    if case .consent(let consent) = arrival.attempt.purpose, carried != nil {
      metrics.consentsGranted += 1
      rounds.completed(user: user, route: consent.routeIndex, scopes: consent.scopes, now: clock())
      log.consentGranted(user, scopes: consent.scopes, requestID: request.requestID)
    } else {
      metrics.signIns += 1
      log.signedIn(user, requestID: request.requestID)
    }
    return OwnResponse.seeOther(arrival.attempt.returnTo)
      .adding("Set-Cookie", cookies.session(ticket.secret))
      .adding("Set-Cookie", cookies.expiredAttempt(arrival.attempt.cookieName))
  }

  /// A new id at every sign-in and step-up. When the same person only gave more consent, the old ticket goes on to lead to the
  /// session: an MCP client that carries it must be able to repeat its call. Otherwise it is worth nothing from now on.
  private func replace(_ previous: Session, by session: Session) async throws {
    await end(previous.hash)
    guard previous.user == session.user, session.createdAt == previous.createdAt else { return }
    try await store.put(
      kind: .ticketAlias, key: previous.hash.bytes, payload: session.hash.bytes.bytes,
      expiresAt: session.createdAt + policy.absoluteTimeout)
  }

  // MARK: Failures

  private func callbackFailed(_ failure: SignIn.Failure, _ request: OwnRequest) async -> OwnResponse {
    switch failure {
    case .noAttempt:
      // A second tab, or the back button: with a session there is nothing left to do.
      if let session = try? await currentSession(request), !session.needsSignIn { return .seeOther("/auth/") }
      metrics.signInFailures += 1
      return problem(
        400, "This sign-in cannot be completed",
        "It was started too long ago, in another browser, or was completed already.", request, retry: "/auth/")
    case .wrongIssuer:
      metrics.signInFailures += 1
      log.signInFailed("issuer mismatch in the authorization response", requestID: request.requestID)
      return problem(
        400, "This sign-in cannot be completed", "The answer came from another sign-in service than the one asked.",
        request, retry: "/auth/")
    case .refused(let error, let attempt):
      return refused(error, attempt, request)
    case .token(let error, let attempt):
      metrics.signInFailures += 1
      return providerFailed(error, request).adding("Set-Cookie", cookies.expiredAttempt(attempt.cookieName))
    case .store:
      metrics.storeErrors += 1
      return unavailable(request)
    }
  }

  /// The person or the provider said no. That is the end of it: no second walk begins by itself.
  private func refused(_ error: String, _ attempt: SignInAttempt, _ request: OwnRequest) -> OwnResponse {
    let isConsent = attempt.purpose != .signIn
    if isConsent { metrics.consentsDeclined += 1 } else { metrics.signInFailures += 1 }
    log.signInFailed("provider answered \(error)", requestID: request.requestID)
    let title: String
    let explanation: String
    switch error {
    case "access_denied" where isConsent:
      title = "You did not agree"
      explanation = "Nothing has changed. The server cannot do what it was asked without your consent."
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
    switch need {
    case .transient(let retryAfter):
      let answer = DenialAnswer(.providerUnavailable(retryAfter: retryAfter.map { Int($0.components.seconds) }))
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
        400, "This sign-in cannot be completed", "The sign-in service's answer could not be accepted.", request,
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
      status, Pages.problem(title: title, explanation: explanation, requestID: request.requestID, action: action))
  }

  func safeReturn(_ path: String?, otherwise: String) -> String {
    guard let path, ReturnTo.isSafe(path) else { return otherwise }
    return path
  }
}
