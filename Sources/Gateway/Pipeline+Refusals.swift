internal import Basics
internal import Consent
internal import HTTP
internal import OAuth
internal import Reactor
internal import Wire

/// Refusals and redirects of an upstream, told by the head of its answer.
extension DataLoop {
  /// 401 or 403 of a bearer route: a stale token is refreshed and the request sent once more, a demand is turned into one of ours.
  func refused(_ x: Exchange, _ call: Call, _ route: Route) -> AnswerPlan? {
    let need = ConsentNeed.from(
      challenges: Challenge.parse(fields(of: x, .wwwAuthenticate)), status: x.answer.status)
    switch need?.kind {
    case .reauth where call.hasReplayed:
      // A fresh token was refused as well: a server that names scopes the token does not have wants these.
      guard let need, let slot = route.credentialSlot else { return nil }
      let second = need.afterRefresh(granted: call.session?.snapshot.credentials[slot]?.scopes ?? [])
      return after {
        second.kind == need.kind
          ? self.tokenRejectedForGood(x, call) : self.consentNeeded(x, call, route, second)
      }
    case .reauth: call.demand = need
    case nil where call.answer.map { isLookedInto($0, route) } == true:
      // Nothing in the head; the body may say more.
      return nil
    case nil where x.answer.status == 401: break
    case nil where route.isMCP && (call.answer?.content != .json || call.answer?.hasBody == false):
      // A bare 403: some clients end at the mere status, and nobody can read a page there.
      return after { self.deny(x, call, .upstreamForbids) }
    case nil: return nil
    case .consent, .claims, .stepUp:
      guard let need else { return nil }
      // A demand that no authorization of ours can meet is passed on as it is.
      if case .pass = route.consent.treatment(of: need) { return nil }
      return after { self.consentNeeded(x, call, route, need) }
    case .some:
      guard let need else { return nil }
      return after { self.consentNeeded(x, call, route, need) }
    }
    return after { self.tokenRefused(x, call, route) }
  }

  /// The upstream does not take the token: it is refreshed and the request sent once more.
  func tokenRefused(_ x: Exchange, _ call: Call, _ route: Route) {
    guard let slot = route.credentialSlot, let rejected = call.credential?.token, !call.hasReplayed,
      x.canReplay
    else { return tokenRejectedForGood(x, call) }
    call.hasReplayed = true
    metrics.replays &+= 1
    obtainToken(x, call, slot: slot, rejected: rejected)
  }

  private func tokenRejectedForGood(_ x: Exchange, _ call: Call) {
    // A session this young was made for this very request: signing in once more would go round in circles.
    let isNew = call.session.map { Timestamp.now() - $0.snapshot.createdAt < .seconds(60) } ?? false
    deny(
      x, call,
      isNew && call.hasReplayed && navigates(call) ? .consentExhausted(scopes: []) : .loginRequired
    )
    call.outcome = "token_rejected"
  }

  /// Forgets the upstream's answer and goes on.
  func after(_ next: () -> Void) -> AnswerPlan {
    next()
    return .discard
  }

  /// A redirect: a server that wants a trailing slash is followed once on its own origin; everything else would carry a token away
  /// or send an MCP client somewhere it must not go.
  func redirected(_ x: Exchange, _ call: Call, _ route: Route) -> AnswerPlan? {
    guard let location = x.answer.only(.location) else { return nil }
    let target = x.answerBytes.string(location)
    if !route.isMCP && route.authorization == .none { return nil }
    if [307, 308].contains(x.answer.status), !call.hasFollowed, x.canReplay,
      let path = route.localTarget(of: target)
    {
      call.hasFollowed = true
      return after { self.forward(x, call, route, target: path) }
    }
    return after { self.deny(x, call, .upstreamRedirect) }
  }

  private func fields(of x: Exchange, _ id: FieldID) -> [String] {
    x.answer.fields.filter { $0.id == id }.map { x.answerBytes.string($0.value) }
  }
}
