import Basics
import Consent
import Testing
import Wire

@testable import Gateway

@Suite struct DenialTests {
  static let question = ConsentQuestion(
    consent: SignInAttempt.Consent(
      session: hash(1), user: Bytes32(1, 0, 0, 0), route: "/mcp0", scopes: ["a", "b"], claims: nil,
      acrValues: [], maxAge: nil, prompt: nil),
    server: "Files", id: "x", url: "https://proxy.test/auth/continue?i=x")

  static let all: [Denial] = [
    .loginRequired, .consentRequired(question),
    .consentExhausted(scopes: []),
    .consentBlocked(detail: "d"), .consentDeclined, .consentGiven, .downstreamConsent, .upstreamForbids,
    .badRequestState(.expired), .notKept, .foreignOrigin, .crossSite, .notJSON, .methodNotAllowed, .noRoute,
    .ambiguousPath,
    .headerMismatch("Mcp-Method differs"), .invalidMessage("no"), .unknownMCPSession, .bodyTooLarge,
    .providerUnavailable(retryAfter: nil), .providerMisconfigured, .upstreamUnreachable, .upstreamTimeout,
    .upstreamBroken,
    .upstreamOverloaded, .upstreamRedirect, .storeUnavailable, .stopping, .malformedRequest(400),
    .outOfResources(.memory), .tooManyStreams, .tooManyAttempts(retryAfter: 7),
  ]

  @Test func `every denial has a status, a code and words of its own`() {
    let answers = Self.all.map { DenialAnswer($0) }
    #expect(Set(answers.map(\.reason)).count == answers.count)
    #expect(Set(answers.map(\.code)).count == answers.count)
    for answer in answers {
      #expect((400...599).contains(answer.status), "\(answer.reason)")
      #expect(answer.status != 500)
      // The range of JSON-RPC and MCP is theirs; only what they define there is used.
      #expect(answer.code > 0 || [-32020, -32600, -32602].contains(answer.code), "\(answer.reason)")
      #expect(!answer.title.isEmpty && !answer.explanation.isEmpty)
      #expect(answer.reason.allSatisfy { $0.isLowercase || $0 == "_" })
    }
  }

  @Test(
    arguments: [
      (.loginRequired, 401), (.consentRequired(question), 403), (.notKept, 410), (.foreignOrigin, 403),
      (.crossSite, 403), (.notJSON, 415), (.methodNotAllowed, 405), (.noRoute, 404), (.ambiguousPath, 400),
      (.unknownMCPSession, 404), (.bodyTooLarge, 413), (.headerMismatch(""), 400),
      (.providerMisconfigured, 502),
      (.upstreamTimeout, 504), (.upstreamUnreachable, 502), (.storeUnavailable, 503), (.stopping, 503),
      (.malformedRequest(408), 408), (.outOfResources(.descriptors), 503), (.tooManyStreams, 429),
      (.tooManyAttempts(retryAfter: 1), 429),
    ] as [(Denial, Int)]) func `a denial has the status that its rule names`(denial: Denial, status: Int)
  {
    #expect(DenialAnswer(denial).status == status)
  }

  @Test func `what may work later says when`() {
    for denial in Self.all where [429, 503].contains(DenialAnswer(denial).status) {
      #expect(DenialAnswer(denial).retryAfter ?? 0 > 0)
    }
    #expect(DenialAnswer(.providerUnavailable(retryAfter: 17)).retryAfter == 17)
    #expect(DenialAnswer(.tooManyAttempts(retryAfter: 17)).retryAfter == 17)
    for denial in Self.all where ![429, 503].contains(DenialAnswer(denial).status) {
      #expect(DenialAnswer(denial).retryAfter == nil)
    }
  }

  @Test(
    arguments: [
      (.resolve, "upstream_unreachable"), (.connect, "upstream_unreachable"), (.tls, "upstream_unreachable"),
      (.timeoutConnect, "upstream_unreachable"), (.timeoutHeaders, "upstream_timeout"),
      (.closedEarly, "upstream_broken"),
      (.badResponse, "upstream_broken"), (.overloaded, "upstream_overloaded"), (.stopping, "stopping"),
      (.requestMalformed, "malformed_request"), (.requestTimeout, "malformed_request"),
      (.requestTooLong, "body_too_large"),
    ] as [(UpstreamFailure.Kind, String)])
  func `a failed upstream is told without its detail`(kind: UpstreamFailure.Kind, reason: String) {
    let answer = DenialAnswer(Denial(UpstreamFailure(kind, "10.0.0.1 secret detail")))
    #expect(answer.reason == reason)
    #expect(!answer.explanation.contains("secret") && !answer.title.contains("secret"))
  }

  @Test func `a verdict of the guard keeps its name`() {
    #expect(DenialAnswer(Denial(RequestGuard.Refusal.foreignOrigin)).reason == "origin_not_allowed")
    #expect(DenialAnswer(Denial(RequestGuard.Refusal.crossSite)).reason == "cross_site_request")
    #expect(DenialAnswer(Denial(RequestGuard.Refusal.notJSON)).reason == "content_type_not_json")
    #expect(DenialAnswer(Denial(RequestGuard.Refusal.methodNotAllowed)).reason == "method_not_allowed")
  }
}
