internal import Basics
internal import Consent
internal import MCP

/// What a denial looks like from outside: the one table from failures to statuses and words.
struct DenialAnswer: Sendable {
  var status: Int
  /// `error.data.reason` of the JSON answer, stable for programs.
  var reason: String
  /// `error.code`: positive, because JSON-RPC and MCP keep the negative ones to themselves.
  var code: Int
  /// For people: a heading and what to do.
  var title: String
  var explanation: String
  var retryAfter: Int?

  init(_ denial: Denial) {
    switch denial {
    case .loginRequired:
      self.init(401, "login_required", 1001, "Please sign in", "Sign in to go on.")
    case .consentRequired(let question):
      self.init(
        403, "consent_required", 1002, "Your consent is needed", question.message
      )
    case .consentExhausted(let scopes):
      self.init(
        403, "consent_failed", 1003, "The server still refuses",
        "You gave your consent, and the server refuses all the same.\(ConsentMessage.stillWanted(scopes)) Ask its operator."
      )
    case .consentBlocked(let detail):
      self.init(
        403, "consent_blocked", 1004, "An administrator has to allow this",
        "You cannot allow this yourself. \(detail)")
    case .consentDeclined:
      self.init(
        403, "consent_declined", 1005, "You did not agree",
        "You were asked for your consent and declined. Nothing was done.")
    case .consentGiven:
      self.init(
        403, "consent_given", 1006, "Please try again",
        "You have given your consent. Repeat the call: this time it can go through.")
    case .downstreamConsent:
      self.init(
        403, "downstream_consent_required", 1007, "The server lacks a permission of its own",
        "The server needs consent for a service behind it, which cannot be given here. Ask its operator.")
    case .upstreamForbids:
      self.init(
        403, "upstream_forbids", 1008, "The server refuses",
        "The server refuses this call and names nothing that would change it. You may lack a role there: ask its operator."
      )
    case .badRequestState(let problem):
      let why =
        switch problem {
        case .malformed: "is not one that was given out here"
        case .expired: "is too old"
        case .foreignUser: "was given to another user"
        case .otherCall: "was given for another call"
        }
      self.init(
        400, "invalid_request_state", JSONRPC.invalidParams, "Invalid request state",
        "The requestState \(why). Make the call anew, without it.")
    case .notKept:
      self.init(
        410, "not_kept", 1009, "Nothing is kept here",
        "There is no refused call under this link: it was fetched already, is too old, or was not kept. Repeat it."
      )
    case .foreignOrigin:
      self.init(
        403, "origin_not_allowed", 1010, "Not allowed from there", "This origin may not call this server.")
    case .crossSite:
      self.init(
        403, "cross_site_request", 1011, "Not allowed from there",
        "The request was made by another site, so your session was not used for it.")
    case .notJSON:
      self.init(
        415, "content_type_not_json", 1012, "Unsupported content type", "Send JSON-RPC as application/json.")
    case .methodNotAllowed:
      self.init(
        405, "method_not_allowed", 1013, "Method not allowed", "This address does not know that method.")
    case .noRoute:
      self.init(404, "no_route", 1014, "Nothing here", "No server is configured for this address.")
    case .ambiguousPath:
      self.init(
        400, "ambiguous_path", 1015, "Bad address",
        "The path has dot segments, doubled or encoded slashes, or broken escapes.")
    case .headerMismatch(let field):
      self.init(400, "header_mismatch", -32020, "Header mismatch", field)
    case .invalidMessage(let detail):
      self.init(400, "invalid_message", -32600, "Invalid message", detail)
    case .unknownMCPSession:
      self.init(
        404, "session_not_found", 1016, "Session not found", "Start a new MCP session with initialize.")
    case .bodyTooLarge:
      self.init(
        413, "body_too_large", 1017, "Too large", "The request body is larger than this server takes.")
    case .providerUnavailable(let retryAfter):
      self.init(
        503, "provider_unavailable", 1020, "The sign-in service does not answer",
        "Your session is kept. Try again in a moment.")
      self.retryAfter = retryAfter ?? 5
    case .providerMisconfigured:
      self.init(
        502, "provider_misconfigured", 1021, "The sign-in service refuses this server",
        "This is not about you. The operator finds the cause in the log.")
    case .upstreamUnreachable:
      self.init(502, "upstream_unreachable", 1030, "The server cannot be reached", "Try again in a moment.")
    case .upstreamTimeout:
      self.init(
        504, "upstream_timeout", 1031, "The server does not answer", "It took too long. Try again later.")
    case .upstreamBroken:
      self.init(
        502, "upstream_broken", 1032, "The server's answer was broken",
        "It is not known whether the call was carried out.")
    case .upstreamOverloaded:
      self.init(503, "upstream_overloaded", 1033, "The server is busy", "Try again in a moment.")
      retryAfter = 1
    case .upstreamRedirect:
      self.init(
        502, "upstream_redirect", 1034, "The server pointed elsewhere", "Its redirect was not followed.")
    case .storeUnavailable:
      self.init(
        503, "session_store_unavailable", 1040, "Sessions cannot be read at the moment",
        "Your session is kept. Try again in a moment.")
      retryAfter = 5
    case .outOfResources:
      self.init(503, "server_busy", 1043, "This server is busy", "Try again in a moment.")
      retryAfter = 1
    case .tooManyStreams:
      self.init(
        429, "too_many_streams", 1044, "Too many open streams",
        "You have as many event streams open as one user may. Close some, then try again.")
      retryAfter = 5
    case .tooManyAttempts(let seconds):
      self.init(
        429, "too_many_attempts", 1045, "Too many attempts",
        "Sign-ins were begun too often from where you are. Wait a little, then try again.")
      retryAfter = max(1, seconds)
    case .stopping:
      self.init(503, "stopping", 1041, "This server is restarting", "Try again in a moment.")
      retryAfter = 1
    case .malformedRequest(let status):
      self.init(
        status, "malformed_request", 1042, "Bad request", "The request was broken or came too slowly.")
    }
  }

  private init(_ status: Int, _ reason: String, _ code: Int, _ title: String, _ explanation: String) {
    self.status = status
    self.reason = reason
    self.code = code
    self.title = title
    self.explanation = explanation
  }
}
