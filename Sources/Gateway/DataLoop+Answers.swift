internal import Basics
internal import Consent
internal import HTTP
internal import JSON
internal import MCP
internal import Wire

/// Answers the proxy makes itself, in the caller's own way: a redirect for a page that navigates, a page for a person, JSON for the rest.
extension DataLoop {
  /// Ends a request with a denial.
  func deny(_ x: Exchange, _ call: Call, _ denial: Denial) {
    let plain = DenialAnswer(denial)
    if case .loginRequired = denial { metrics.loginRequired &+= 1 }
    metrics.refusals.count(denial)
    call.outcome = "denied"
    if let redirect = navigationTarget(of: denial, x, call) { return answer(x, call, .seeOther(redirect)) }
    if navigates(call) {
      let action = plain.status == 401 ? ("Sign in", loginURL(x, call, isAbsolute: false)) : nil
      let page = OwnResponse.page(
        plain.status,
        Pages.problem(
          title: plain.title, explanation: plain.explanation, requestID: hex(call.requestID), action: action))
      return answer(x, call, page.retrying(after: plain.retryAfter))
    }
    if denial.isAboutConsent {
      let (status, body) = consentAnswer(denial, id: messageID(x, call), x, call)
      return answer(x, call, challenged(.json(status, bytes: body)))
    }
    var response = challenged(.json(plain.status, bytes: denialBody(denial, call: call, x)))
    if plain.status == 405 { response.fields.append(("Allow", "GET, POST, DELETE, OPTIONS")) }
    answer(x, call, response.retrying(after: plain.retryAfter))
  }

  /// A 401 names a scheme (RFC 9110 §11.6.1).
  private func challenged(_ response: OwnResponse) -> OwnResponse {
    guard response.status == 401 else { return response }
    return response.adding("WWW-Authenticate", shared.cookies.challenge(realm: shared.publicURL))
  }

  /// A page that navigates is taken to where the way goes on. On an MCP route only what the browser itself declared a navigation
  /// counts: an MCP client must never meet a redirect.
  private func navigationTarget(of denial: Denial, _ x: Exchange, _ call: Call) -> String? {
    if case .noRoute = denial, navigates(call), x.requestBytes.equals(x.request.path, "/") {
      // The provider sends people here after sign-out, and brings back the `state` it was given.
      let query = x.request.query.map { PercentEncoding.parseQuery(x.requestBytes.string($0)) } ?? []
      return query.contains { $0.0 == "state" } ? ControlPlane.signedOutPage : "/auth/"
    }
    guard case .loginRequired = denial else { return nil }
    return navigates(call) ? loginURL(x, call, isAbsolute: false) : nil
  }

  /// Whether a page is being opened, which may be taken elsewhere.
  func navigates(_ call: Call) -> Bool {
    call.route?.isMCP == true ? call.evidence.isDeclaredNavigation : call.evidence.isNavigation
  }

  /// The JSON-RPC shaped body of a denial, with the request's own id where it has one.
  ///
  /// - Parameter id: the id as JSON text; nil for that of the request.
  func denialBody(_ denial: Denial, id: [UInt8]? = nil, call: Call, _ x: Exchange) -> [UInt8] {
    let plain = DenialAnswer(denial)
    var data: [(String, JSONValue)] = [("reason", .string(plain.reason))]
    if case .loginRequired = denial {
      data.append(("login_url", .string(loginURL(x, call, isAbsolute: true))))
    }
    data.append(("request_id", .string(hex(call.requestID))))
    return JSONRPC.error(
      id: id ?? messageID(x, call), code: plain.code, message: plain.explanation, data: JSONObject(data))
  }

  /// The id of the request's message as JSON text.
  func messageID(_ x: Exchange, _ call: Call) -> [UInt8] {
    call.kept?.id ?? x.withBody { buffer, _ in call.message?.idBytes(buffer) } ?? JSONRPC.nullID
  }

  /// Where a person signs in; comes back to the page for navigations and for scripts to the page they run on.
  private func loginURL(_ x: Exchange, _ call: Call, isAbsolute: Bool) -> String {
    let returnTo = PercentEncoding.encode(
      navigates(call) ? x.requestBytes.string(x.request.target) : refererPath(x) ?? "/auth/")
    var url = ""
    url.reserveCapacity(shared.publicURL.utf8.count + returnTo.utf8.count + 80)
    if isAbsolute { url += shared.publicURL }
    url += "/auth/login?"
    url += providerParameter(call)
    url += "return_to="
    url += returnTo
    return url
  }

  /// Names the provider where it is known which one: that of the route, or of the session that has to be renewed.
  private func providerParameter(_ call: Call) -> String {
    let providers = shared.control.providers
    guard providers.isSeveral,
      let index = call.route?.provider?.index ?? call.session?.snapshot.provider
    else { return "" }
    return "provider=\(providers.all[index].name)&"
  }

  /// The path of the page that sent a script's request, if it is a page of this origin.
  func refererPath(_ x: Exchange) -> String? {
    guard let value = x.request.only(.referer) else { return nil }
    let text = x.requestBytes.string(value)
    guard text.hasPrefix(shared.publicURL + "/") else { return nil }
    let path = String(text.dropFirst(shared.publicURL.count))
    return ReturnTarget.accept(path)
  }

  /// Hands over a complete answer.
  func answer(_ x: Exchange, _ call: Call, _ response: OwnResponse) {
    call.phase = .answered
    if x.isLocalStream {
      x.sendStream(EventLines.message(response.body))
      return x.endStream()
    }
    let crossOrigin = shared.crossOrigin.lines(for: call.evidence.origin)
    let isSecure = shared.isSecure
    x.respond(
      status: response.status,
      fields: { out in
        for (name, value) in response.fields {
          out.append(name)
          out.append(": ")
          out.append(value)
          out.append("\r\n")
        }
        out.append("X-Request-ID: ")
        out.append(hex: call.requestID)
        out.append("\r\n")
        if isSecure { out.append("Strict-Transport-Security: max-age=31536000\r\n") }
        out.append(crossOrigin)
      }, body: response.body)
  }

  /// CORS preflight: carries no cookie and asks for none (Fetch standard, CORS-preflight request).
  func preflight(_ x: Exchange, _ call: Call) {
    guard case .allowed = call.evidence.origin else {
      metrics.refusedByGuard &+= 1
      return deny(x, call, .foreignOrigin)
    }
    let requested =
      x.request.first(.accessControlRequestHeaders).map { x.requestBytes.string($0.value) } ?? ""
    let lines = shared.crossOrigin.preflight(for: call.evidence.origin, requestedFields: requested)
    call.phase = .answered
    x.respond(status: 204, fields: { $0.append(lines) }, body: [])
  }

  func hex(_ id: UInt64) -> String {
    var buffer = Buffer(capacity: 16)
    buffer.append(hex: id)
    return buffer.string()
  }
}
