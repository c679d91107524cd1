internal import Basics
internal import Consent
internal import Crypto
internal import JSON
internal import MCP
internal import Sessions
internal import Wire

/// `requestState` (MCP 2026-07-28, patterns, *Multi Round-Trip Requests*): made when consent is asked for, checked and taken out
/// when the client brings it back. An upstream sees its own only.
extension DataLoop {
  /// States are sealed for this place; nothing else opens as one.
  private static let place = SealPlace(table: "request-state", row: [], field: "state")

  /// The state for the call at hand, with the upstream's own input inside; nil when the call is not known well enough.
  func makeRequestState(_ x: Exchange, _ call: Call) -> String? {
    guard let route = call.route, let user = call.session?.snapshot.userDigest, let digest = digest(x, call)
    else { return nil }
    let input = call.upstreamInput
    guard input?.isComplete != false else { return nil }
    let state = RequestState(
      user: user, route: route.identity, call: digest,
      expiresAt: Timestamp.now() + shared.linkLifetime, upstreamState: input?.requestState,
      upstreamResponses: input?.inputResponses)
    guard state.fits else { return nil }
    return RequestState.text(sealed: shared.stateSealer.seal(state.encoded(), for: Self.place))
  }

  /// The digest of the call, made while its body is at hand.
  func digest(_ x: Exchange, _ call: Call) -> Bytes32? {
    if let digest = call.digest { return digest }
    guard call.kept == nil, let message = call.message else { return nil }
    let bytes = x.withBody { body, range in CallDigest.canonical(body, range, message) }
    let digest = Bytes32(Array(SHA256.hash(data: bytes)))
    call.digest = digest
    return digest
  }

  /// Whether the call may go on. What is ours of a retry's input is checked and taken out; what is the upstream's goes back into it.
  func checkRetry(_ x: Exchange, _ call: Call, _ route: Route) -> Denial? {
    guard call.isModern, let message = call.message, message.isRetryWithInput,
      let input = x.withBody({ body, _ in RetryInput.read(body, message) })
    else { return nil }
    let responses = input.inputResponses.flatMap { RequestState.withoutOurs($0) }
    let hadOurs = responses?.count != input.inputResponses?.count
    guard let text = input.requestState, RequestState.isOurs(text) else {
      guard hadOurs else {
        call.upstreamInput = input
        return nil
      }
      // What was not read cannot be put back: better no call than one without its state.
      guard input.isComplete else { return .badRequestState(.malformed) }
      return forwardInput(
        RetryInput(requestState: input.requestState, inputResponses: responses), message, x, call)
    }
    guard let user = call.session?.snapshot.userDigest, let digest = digest(x, call) else {
      return .badRequestState(.malformed)
    }
    guard let sealed = RequestState.sealed(text),
      let plain = try? shared.stateSealer.open(sealed, for: Self.place),
      let state = RequestState(encoded: plain)
    else { return .badRequestState(.malformed) }
    if let problem = state.problem(user: user, route: route.identity, call: digest, now: Timestamp.now()) {
      return .badRequestState(problem)
    }
    if input.inputResponses.map(RequestState.isDeclined) == true, let session = call.session?.snapshot {
      // Nobody will open that link: a call that comes again is asked about anew, not held.
      let subject = subject(x, call, route, session)
      shared.desk.withdraw(subject)
      let withdrawn = ReplicaMessage.withdrawn(ReplicaMessage.Subject(subject, route: route))
      let (user, requestID) = (session.user, hex(call.requestID))
      let what = ConsentSubject(scopes: [], route: route.path, tool: toolName(x, call))
      tellControl { control in
        await control.clientDeclined(user, what, requestID: requestID)
        await control.tell(withdrawn)
      }
      return .consentDeclined
    }
    call.isBack = true
    return forwardInput(
      RetryInput(requestState: state.upstreamState, inputResponses: state.upstreamResponses), message, x, call
    )
  }

  /// Sends the upstream its own input, and remembers it for the next round.
  private func forwardInput(
    _ input: RetryInput, _ message: MessageEnvelope, _ x: Exchange, _ call: Call
  ) -> Denial? {
    let body = x.withBody { body, range in
      RetryInput.rewrite(
        body, range, message, requestState: input.requestState, inputResponses: input.inputResponses)
    }
    guard let body, x.replaceBody(body) else { return .badRequestState(.malformed) }
    call.message = x.withBody { buffer, range in MessageEnvelope.scan(buffer, range) }
    call.upstreamInput =
      input.requestState == nil && input.inputResponses == nil ? nil : input
    return nil
  }
}
