/// Decides whether a request may act with the cookie it carries, before anything is looked up or forwarded.
///
/// The defence against forged cross-site requests has layers that do not depend on each other: the cookie is `SameSite=Lax`,
/// browsers declare where a request comes from (`Sec-Fetch-Site`, `Origin`), and JSON-RPC needs `application/json`, which
/// a foreign page cannot send without a preflight. A request with neither `Sec-Fetch-Site` nor `Origin` does not come
/// from a browser page and passes: MCP clients send neither.
enum RequestGuard {
  /// Why a request ends here.
  enum Refusal: Equatable, Sendable {
    /// `Origin` is `null` or not allowed (MCP transport security: 403).
    case foreignOrigin
    /// `Sec-Fetch-Site` says the request was made by another site.
    case crossSite
    /// A JSON-RPC message must be `application/json`.
    case notJSON
    /// The MCP endpoint knows POST, GET and DELETE.
    case methodNotAllowed
  }

  /// Rules for a configured route.
  ///
  /// - Parameter isMCP: the route speaks JSON-RPC.
  static func check(_ evidence: CallerEvidence, isMCP: Bool) -> Refusal? {
    if evidence.origin == .foreign || evidence.origin == .hidden { return .foreignOrigin }
    switch evidence.site {
    case .absent, .sameOrigin: break
    case .sameSite, .crossSite, .unknown:
      // An allowed origin is cross-site by nature. A navigation by GET only shows a page; it cannot call a tool.
      let isShownPage = evidence.isDeclaredNavigation && evidence.verb == .get
      if !isShownPage && !evidence.hasAllowedOrigin { return .crossSite }
    case .none:
      // The address bar: a person, but only ever by GET navigation.
      if !evidence.isNavigation { return .crossSite }
    }
    guard isMCP else { return nil }
    switch evidence.verb {
    case .post: return evidence.content == .json ? nil : .notJSON
    case .get, .delete, .options: return nil
    case .head, .other: return .methodNotAllowed
    }
  }

  /// Rules for own endpoints that change something (`POST /auth/logout`): only pages of this very origin, or no page at all. (The answer of a kept call is for those who may make calls: see `OwnEndpoints`.)
  static func checkOwnEndpoint(_ evidence: CallerEvidence) -> Refusal? {
    if evidence.origin == .foreign { return .foreignOrigin }
    // A form on a page of ours that sends no referrer: the browser hides the origin, and still says that it is the same.
    if evidence.origin == .hidden && evidence.site != .sameOrigin { return .foreignOrigin }
    if evidence.hasAllowedOrigin { return evidence.verb == .get ? nil : .foreignOrigin }
    switch evidence.site {
    case .absent, .sameOrigin: return nil
    case .none: return evidence.verb == .get ? nil : .crossSite
    case .sameSite, .crossSite, .unknown: return .crossSite
    }
  }
}
