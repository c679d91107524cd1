/// Who is calling, judged from the request's own fields: what decides between a redirect and a structured answer, and whether
/// a cookie may act for this request at all.
///
/// Owner: any (a value). Filled from a request head by `CallerEvidence+Head.swift`; the rules live here and in `RequestGuard`.
struct CallerEvidence: Equatable, Sendable {
  /// `Sec-Fetch-Site` (Fetch Metadata §2.3). Browsers send it, scripts cannot forge it.
  enum FetchSite: Equatable, Sendable { case absent, sameOrigin, sameSite, crossSite, none, unknown }

  /// `Sec-Fetch-Mode` (Fetch Metadata §2.2).
  enum FetchMode: Equatable, Sendable { case absent, navigate, other }

  /// `Origin` against the configured ones.
  enum Origin: Equatable, Sendable {
    case absent
    /// The origin of `public_url`.
    case own
    /// Listed in `csrf.allowed_origins`; the number is its place there.
    case allowed(Int)
    /// `null`: a sandboxed or hidden origin, or a form of a page with `Referrer-Policy: no-referrer`.
    case hidden
    /// Not listed, or not well formed, or sent twice.
    case foreign
  }

  /// `Content-Type` of the request.
  enum Content: Equatable, Sendable { case absent, json, other }

  enum Verb: Equatable, Sendable { case get, head, post, delete, options, other }

  var verb: Verb = .get
  var site: FetchSite = .absent
  var mode: FetchMode = .absent
  var origin: Origin = .absent
  var content: Content = .absent
  /// `Accept` names `text/html`.
  var acceptsHTML = false
  /// `X-Requested-With: XMLHttpRequest`.
  var isScripted = false

  /// The request comes from a page of an origin that the configuration lists.
  var hasAllowedOrigin: Bool {
    if case .allowed = origin { return true }
    return false
  }

  /// A page is being opened: the answer may be a redirect to somewhere else.
  ///
  /// `Sec-Fetch-Mode` decides where it is sent. Without it (old browsers, scripts) an `Accept` that names `text/html` does;
  /// `*/*` is a script. A body that is JSON never navigates.
  var isNavigation: Bool {
    guard verb == .get || verb == .head, content != .json, !isScripted else { return false }
    switch mode {
    case .navigate: return true
    case .other: return false
    case .absent: return acceptsHTML
    }
  }

  /// Like `isNavigation`, but only what a browser itself declared: nothing an MCP client would ever send.
  var isDeclaredNavigation: Bool { isNavigation && mode == .navigate }
}
