internal import Consent
internal import Wire

/// Everything that ends a request here instead of at the upstream's own answer.
///
/// `DenialAnswer` is the one place that turns a denial into a status and words.
enum Denial: Error {
  /// No session, or one whose tokens are gone and need the person to sign in.
  case loginRequired
  /// The provider or the upstream wants the person to agree to something; it is told in the caller's own way.
  case consentRequired(ConsentQuestion)
  /// The person did what was asked, and the upstream still refuses: asking again would only go round in circles.
  case consentExhausted(scopes: [String])
  /// Only an administrator can grant it, or policy forbids it: no sign-in would help.
  case consentBlocked(detail: String)
  /// The person said no.
  case consentDeclined
  /// The consent came while the call waited, and the call may have been carried out before: it is the caller's to repeat.
  case consentGiven
  /// The upstream lacks consent for a service behind it, and nothing here can bring that about.
  case downstreamConsent
  /// The upstream refuses without saying what would help.
  case upstreamForbids
  /// `requestState` that is not ours, too old, or made for somebody or something else.
  case badRequestState(RequestState.Problem)
  /// The answer of a kept call was asked for before the person has decided, or a second time.
  case notKept
  case foreignOrigin
  case crossSite
  case notJSON
  case methodNotAllowed
  case noRoute
  /// The path could be read in two ways (dot segments, encoded slashes…).
  case ambiguousPath
  /// Header and body of an MCP request do not say the same; the text names the field.
  case headerMismatch(String)
  case invalidMessage(String)
  /// `Mcp-Session-Id` that this user did not open.
  case unknownMCPSession
  case bodyTooLarge
  /// The provider cannot be asked at the moment; seconds to wait, if it said so.
  case providerUnavailable(retryAfter: Int?)
  /// The provider refuses this installation, not this person.
  case providerMisconfigured
  case upstreamUnreachable
  case upstreamTimeout
  case upstreamBroken
  case upstreamOverloaded
  /// A redirect that must not be followed with a token.
  case upstreamRedirect
  case storeUnavailable
  /// Descriptors or memory ran out here.
  case outOfResources(RefusalReason)
  /// The user has as many event streams open as one may.
  case tooManyStreams
  /// Sign-ins or consents were begun too often from there; seconds until the next may.
  case tooManyAttempts(retryAfter: Int)
  /// The proxy is shutting down.
  case stopping
  /// The request broke off or broke the grammar after its head; the status says which.
  case malformedRequest(Int)
}

extension Denial {
  /// How a failure of `Wire` is told to the client: the detail stays in the log.
  init(_ failure: UpstreamFailure) {
    switch failure.kind {
    case .resolve, .connect, .tls, .timeoutConnect: self = .upstreamUnreachable
    case .timeoutHeaders: self = .upstreamTimeout
    case .closedEarly, .badResponse: self = .upstreamBroken
    case .overloaded: self = .upstreamOverloaded
    case .exhausted: self = .outOfResources(.descriptors)
    case .outOfMemory: self = .outOfResources(.memory)
    case .stopping: self = .stopping
    case .requestMalformed: self = .malformedRequest(400)
    case .requestTimeout: self = .malformedRequest(408)
    case .requestTooLong: self = .bodyTooLarge
    }
  }

  /// How a verdict of the guard is told.
  init(_ refusal: RequestGuard.Refusal) {
    switch refusal {
    case .foreignOrigin: self = .foreignOrigin
    case .crossSite: self = .crossSite
    case .notJSON: self = .notJSON
    case .methodNotAllowed: self = .methodNotAllowed
    }
  }
}

extension UpstreamFailure {
  /// Whether the upstream is to blame, and not the client's own request or our stopping.
  var isUpstreams: Bool {
    switch kind {
    case .stopping, .outOfMemory, .requestMalformed, .requestTimeout, .requestTooLong: false
    default: true
    }
  }
}
