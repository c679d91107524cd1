internal import Basics
internal import Logging
internal import Sessions

/// What somebody agreed to, or did not: for the log.
struct ConsentSubject: Sendable {
  var scopes: [String]
  /// Path of the route.
  var route: String
  /// What was called; nil: not known.
  var tool: String?
}

/// What the gateway tells its operator, one method an event, so that a message is written in one place only.
///
/// Messages are constants, the rest is metadata. People appear as a short fingerprint: enough to follow one, not enough to name one.
/// Texts of providers and upstreams go into the log only, never to a client; tokens, codes and cookies go nowhere.
struct EventLog: Sendable {
  let logger: Logger

  func signedIn(_ user: UserKey, requestID: String) {
    logger.info(
      "signed in", metadata: ["user": .string(fingerprint(user)), "request_id": .string(requestID)])
  }

  func signedOut(_ user: UserKey, requestID: String) {
    logger.info(
      "signed out", metadata: ["user": .string(fingerprint(user)), "request_id": .string(requestID)])
  }

  /// Every end of a session that is in memory. Timeouts are many and expected.
  func sessionOver(_ session: TicketHash, _ reason: EndReason) {
    logger.log(
      level: reason == .timedOut || reason == .expired ? .debug : .info, "session over",
      metadata: ["session": .string(session.description), "reason": .string(reason.rawValue)])
  }

  /// The provider signed somebody out.
  func signedOutByProvider(_ ended: [Session], _ reason: EndReason, requestID: String) {
    logger.info(
      "the provider ended sessions",
      metadata: [
        "channel": .string(reason.rawValue), "sessions": .string(sessions(ended)),
        "users": .string(Set(ended.map { fingerprint($0.user) }).sorted().joined(separator: " ")),
        "request_id": .string(requestID),
      ])
  }

  func logoutTokenRefused(_ reason: String, requestID: String) {
    logger.notice(
      "a logout token was refused", metadata: ["reason": .string(reason), "request_id": .string(requestID)])
  }

  /// An operator ended sessions: those named, or all.
  func endedByOperator(_ ended: [Session], count: Int, what: String, from peer: String) {
    logger.notice(
      "an operator ended sessions",
      metadata: [
        "what": .string(what), "count": .string(String(count)), "sessions": .string(sessions(ended)),
        "users": .string(Set(ended.map { fingerprint($0.user) }).sorted().joined(separator: " ")),
        "from": .string(peer),
      ])
  }

  func operatorRefused(_ path: String, from peer: String) {
    logger.warning(
      "somebody asked for sessions without the token of admin.token_file",
      metadata: ["path": .string(path), "from": .string(peer)])
  }

  /// The first few, by what the rest of the log calls them.
  private func sessions(_ ended: [Session]) -> String {
    let names = ended.prefix(20).map(\.hash.description).joined(separator: " ")
    return ended.count > 20 ? names + " …" : names
  }

  func consentGranted(_ user: UserKey, _ what: ConsentSubject, requestID: String) {
    logger.info("consent granted", metadata: consent(user, what, requestID))
  }

  func consentDeclined(_ user: UserKey, _ what: ConsentSubject, requestID: String) {
    logger.info("consent declined", metadata: consent(user, what, requestID))
  }

  func consentRevoked(_ user: UserKey, _ what: ConsentSubject, requestID: String) {
    logger.info("consent revoked", metadata: consent(user, what, requestID))
  }

  func toolScopesLearned(route: String, scopes: [String]) {
    logger.info(
      "learned what a tool needs",
      metadata: ["route": .string(route), "scopes": .string(scopes.joined(separator: " "))])
  }

  func consentNarrowed(_ user: UserKey, missing: [String], route: String, requestID: String) {
    logger.notice(
      "the provider granted less than before: what was granted is asked for again",
      metadata: consent(user, ConsentSubject(scopes: missing, route: route, tool: nil), requestID))
  }

  private func consent(_ user: UserKey, _ what: ConsentSubject, _ requestID: String) -> Logger.Metadata {
    var metadata: Logger.Metadata = [
      "user": .string(fingerprint(user)), "route": .string(what.route),
      "scopes": .string(what.scopes.joined(separator: " ")), "request_id": .string(requestID),
    ]
    if let tool = what.tool { metadata["tool"] = .string(tool) }
    return metadata
  }

  func userChanged(requestID: String) {
    logger.notice(
      "another person came back from the provider: a new session, nothing carried over",
      metadata: ["request_id": .string(requestID)])
  }

  func signInFailed(_ reason: String, requestID: String) {
    logger.notice(
      "sign-in not completed", metadata: ["reason": .string(reason), "request_id": .string(requestID)])
  }

  func providerFailed(_ detail: String, requestID: String) {
    logger.error("provider failed", metadata: ["detail": .string(detail), "request_id": .string(requestID)])
  }

  func providerMisconfigured(_ detail: String) {
    logger.critical(
      "the provider refuses this installation: check client id, credential and clock",
      metadata: ["detail": .string(detail)])
  }

  /// Scopes without a resource, at start: hardly what was meant.
  func unqualifiedScopes(_ scopes: [String]) {
    if scopes.isEmpty { return }
    logger.warning(
      "scopes without a resource mean Microsoft Graph: write them as api://<application>/<scope>",
      metadata: ["scopes": .string(scopes.joined(separator: " "))])
  }

  func refreshFailed(_ detail: String) {
    logger.warning("token refresh failed for now", metadata: ["detail": .string(detail)])
  }

  func refreshRefused(_ detail: String, user: UserKey) {
    logger.notice(
      "token refresh refused", metadata: ["detail": .string(detail), "user": .string(fingerprint(user))])
  }

  func revocationFailed(_ detail: String) {
    logger.notice("refresh token could not be revoked at the provider", metadata: ["detail": .string(detail)])
  }

  func storeFailed(_ detail: String) {
    logger.error("session store failed", metadata: ["detail": .string(detail)])
  }

  func storeReachable(_ isReachable: Bool) {
    if isReachable {
      logger.notice("session store answers again: sessions in memory are used as before")
    } else {
      logger.error("session store is away for too long: sessions in memory are not used until it answers")
    }
  }

  func certificatesReloaded(_ files: Int) {
    logger.notice("certificates read again", metadata: ["files": .string(String(files))])
  }

  func certificateRefused(_ detail: String) {
    logger.error(
      "a certificate was not taken: the one before stays in use", metadata: ["detail": .string(detail)])
  }

  func sealingKeysRead(_ keys: Int) {
    logger.notice("sealing keys read again", metadata: ["keys": .string(String(keys))])
  }

  func sealingKeysRefused(_ detail: String) {
    logger.error(
      "the sealing keys were not taken: those before stay in use", metadata: ["detail": .string(detail)])
  }

  func resealed(_ count: Int, unreadable: Int) {
    if unreadable == 0 {
      logger.notice(
        "everything stored is sealed under the first key: older keys can be taken away",
        metadata: ["sealed_again": .string(String(count))])
    } else {
      logger.warning(
        "stored values open under none of the sealing keys: put the missing key back, or leave them until they expire",
        metadata: ["sealed_again": .string(String(count)), "unreadable": .string(String(unreadable))])
    }
  }

  func certificateOutOfTime(_ file: String, from: Timestamp, to: Timestamp) {
    logger.warning(
      "a certificate is not valid now",
      metadata: [
        "file": .string(file), "not_before": .string(from.rfc3339), "not_after": .string(to.rfc3339),
      ])
  }

  func notStapled(_ detail: String) {
    logger.warning("an OCSP response is not shown to clients", metadata: ["detail": .string(detail)])
  }

  func upstreamFailed(route: String, kind: String, detail: String, requestID: String) {
    logger.warning(
      "upstream gave no answer",
      metadata: [
        "route": .string(route), "kind": .string(kind), "detail": .string(detail),
        "request_id": .string(requestID),
      ])
  }

  private func fingerprint(_ user: UserKey) -> String {
    user.digest.bytes.prefix(6).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }
}
