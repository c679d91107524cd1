import Testing

@testable import Gateway

/// One line of the table.
struct GuardCase: Sendable, CustomTestStringConvertible {
  var evidence: CallerEvidence
  var mcp: RequestGuard.Refusal?
  var plain: RequestGuard.Refusal?

  init(
    _ verb: CallerEvidence.Verb, _ site: CallerEvidence.FetchSite = .absent,
    _ origin: CallerEvidence.Origin = .absent, mode: CallerEvidence.FetchMode = .absent,
    content: CallerEvidence.Content = .absent, html: Bool = false, mcp: RequestGuard.Refusal? = nil,
    plain: RequestGuard.Refusal? = nil
  ) {
    evidence = CallerEvidence()
    evidence.verb = verb
    evidence.site = site
    evidence.origin = origin
    evidence.mode = mode
    evidence.content = content
    evidence.acceptsHTML = html
    self.mcp = mcp
    self.plain = plain
  }

  var testDescription: String { "\(evidence)" }
}

@Suite struct RequestGuardTests {
  @Test(
    arguments: [
      // MCP clients that are no browsers.
      GuardCase(.post, content: .json), GuardCase(.get), GuardCase(.delete), GuardCase(.options),
      GuardCase(.post, content: .absent, mcp: .notJSON), GuardCase(.post, content: .other, mcp: .notJSON),
      GuardCase(.head, mcp: .methodNotAllowed), GuardCase(.other, mcp: .methodNotAllowed),
      // Pages of this origin.
      GuardCase(.post, .sameOrigin, .own, mode: .other, content: .json),
      GuardCase(.post, .sameOrigin, .own, mode: .other, content: .other, mcp: .notJSON),
      GuardCase(.get, .sameOrigin, mode: .other), GuardCase(.get, .sameOrigin, mode: .navigate, html: true),
      GuardCase(.delete, .sameOrigin, .own, mode: .other), GuardCase(.post, .absent, .own, content: .json),
      // Other origins, with and without fetch metadata.
      GuardCase(.post, .absent, .foreign, content: .json, mcp: .foreignOrigin, plain: .foreignOrigin),
      GuardCase(.post, .absent, .hidden, content: .json, mcp: .foreignOrigin, plain: .foreignOrigin),
      GuardCase(.post, .sameOrigin, .hidden, content: .json, mcp: .foreignOrigin, plain: .foreignOrigin),
      GuardCase(.post, .sameOrigin, .foreign, content: .json, mcp: .foreignOrigin, plain: .foreignOrigin),
      GuardCase(.get, .crossSite, .foreign, mode: .other, mcp: .foreignOrigin, plain: .foreignOrigin),
      GuardCase(.get, .none, .foreign, mode: .navigate, mcp: .foreignOrigin, plain: .foreignOrigin),
      GuardCase(.options, .crossSite, .foreign, mcp: .foreignOrigin, plain: .foreignOrigin),
      GuardCase(.post, .crossSite, mode: .other, content: .json, mcp: .crossSite, plain: .crossSite),
      GuardCase(.post, .sameSite, .own, mode: .other, content: .json, mcp: .crossSite, plain: .crossSite),
      GuardCase(.post, .unknown, content: .json, mcp: .crossSite, plain: .crossSite),
      GuardCase(.get, .crossSite, mode: .other, mcp: .crossSite, plain: .crossSite),
      GuardCase(.get, .sameSite, mode: .other, html: true, mcp: .crossSite, plain: .crossSite),
      GuardCase(.delete, .crossSite, mcp: .crossSite, plain: .crossSite),
      // A form of another site that navigates here.
      GuardCase(
        .post, .crossSite, mode: .navigate, content: .other, html: true, mcp: .crossSite, plain: .crossSite),
      GuardCase(.head, .crossSite, mode: .navigate, mcp: .crossSite, plain: .crossSite),
      // A link on another site only shows a page, and only when the browser itself says so.
      GuardCase(.get, .crossSite, mode: .navigate, html: true), GuardCase(.get, .sameSite, mode: .navigate),
      GuardCase(.get, .unknown, mode: .navigate),
      GuardCase(.get, .crossSite, html: true, mcp: .crossSite, plain: .crossSite),
      // Listed origins are cross-site by nature.
      GuardCase(.post, .crossSite, .allowed(0), mode: .other, content: .json),
      GuardCase(.post, .sameSite, .allowed(1), mode: .other, content: .json),
      GuardCase(.post, .crossSite, .allowed(0), mode: .other, content: .other, mcp: .notJSON),
      GuardCase(.delete, .crossSite, .allowed(0), mode: .other),
      GuardCase(.get, .crossSite, .allowed(0), mode: .other),
      // The address bar navigates; it never posts.
      GuardCase(.get, .none, mode: .navigate, html: true), GuardCase(.get, .none, html: true),
      GuardCase(.get, .none, mode: .other, mcp: .crossSite, plain: .crossSite),
      GuardCase(.post, .none, mode: .navigate, content: .json, mcp: .crossSite, plain: .crossSite),
      GuardCase(.post, .none, .own, content: .json, mcp: .crossSite, plain: .crossSite),
      GuardCase(.delete, .none, mcp: .crossSite, plain: .crossSite),
    ]) func `a request passes by where it comes from and what it is`(_ example: GuardCase)
  {
    #expect(RequestGuard.check(example.evidence, isMCP: true) == example.mcp)
    #expect(RequestGuard.check(example.evidence, isMCP: false) == example.plain)
  }

  /// Every combination there is.
  static var everything: [CallerEvidence] {
    var all: [CallerEvidence] = []
    for verb in [CallerEvidence.Verb.get, .head, .post, .delete, .options, .other] {
      for site in [CallerEvidence.FetchSite.absent, .sameOrigin, .sameSite, .crossSite, .none, .unknown] {
        for mode in [CallerEvidence.FetchMode.absent, .navigate, .other] {
          for origin in [CallerEvidence.Origin.absent, .own, .allowed(0), .hidden, .foreign] {
            for content in [CallerEvidence.Content.absent, .json, .other] {
              for flags in 0..<4 {
                var evidence = CallerEvidence()
                (evidence.verb, evidence.site, evidence.mode) = (verb, site, mode)
                (evidence.origin, evidence.content) = (origin, content)
                (evidence.acceptsHTML, evidence.isScripted) = (flags & 1 == 1, flags & 2 == 2)
                all.append(evidence)
              }
            }
          }
        }
      }
    }
    return all
  }

  @Test func `no combination lets a foreign origin in`() {
    for evidence in Self.everything where evidence.origin == .foreign {
      #expect(RequestGuard.check(evidence, isMCP: true) == .foreignOrigin)
      #expect(RequestGuard.check(evidence, isMCP: false) == .foreignOrigin)
      #expect(RequestGuard.checkOwnEndpoint(evidence) == .foreignOrigin)
    }
  }

  @Test func `a hidden origin calls nothing, and ends only its own session where the browser vouches for it`()
  {
    for evidence in Self.everything where evidence.origin == .hidden {
      #expect(RequestGuard.check(evidence, isMCP: true) == .foreignOrigin)
      #expect(RequestGuard.check(evidence, isMCP: false) == .foreignOrigin)
      #expect((RequestGuard.checkOwnEndpoint(evidence) == nil) == (evidence.site == .sameOrigin))
    }
  }

  @Test func `no combination lets another site change anything`() {
    let elsewhere: [CallerEvidence.FetchSite] = [.sameSite, .crossSite, .unknown]
    for evidence in Self.everything
    where elsewhere.contains(evidence.site) && !evidence.hasAllowedOrigin && evidence.verb != .get {
      #expect(RequestGuard.check(evidence, isMCP: true) != nil, "\(evidence)")
      #expect(RequestGuard.check(evidence, isMCP: false) != nil, "\(evidence)")
    }
  }

  @Test func `no combination gets a message through that is not JSON`() {
    for evidence in Self.everything where evidence.verb == .post && evidence.content != .json {
      #expect(RequestGuard.check(evidence, isMCP: true) != nil, "\(evidence)")
    }
  }

  @Test(
    arguments: [
      (.post, .sameOrigin, .own, nil), (.post, .absent, .own, nil), (.post, .absent, .absent, nil),
      (.post, .sameOrigin, .absent, nil), (.post, .crossSite, .absent, .crossSite),
      (.post, .sameSite, .absent, .crossSite), (.post, .none, .absent, .crossSite),
      (.post, .unknown, .own, .crossSite), (.post, .sameSite, .own, .crossSite),
      (.post, .sameOrigin, .foreign, .foreignOrigin), (.post, .sameOrigin, .hidden, nil),
      (.post, .absent, .hidden, .foreignOrigin), (.post, .crossSite, .hidden, .foreignOrigin),
      (.get, .none, .absent, nil),
      (.get, .crossSite, .absent, .crossSite),
      (.get, .crossSite, .allowed(0), nil),
    ] as [(CallerEvidence.Verb, CallerEvidence.FetchSite, CallerEvidence.Origin, RequestGuard.Refusal?)])
  func `an own endpoint that changes something is for pages of this origin`(
    verb: CallerEvidence.Verb, site: CallerEvidence.FetchSite, origin: CallerEvidence.Origin,
    expected: RequestGuard.Refusal?
  ) {
    var evidence = CallerEvidence()
    (evidence.verb, evidence.site, evidence.origin) = (verb, site, origin)
    #expect(RequestGuard.checkOwnEndpoint(evidence) == expected)
  }
}
