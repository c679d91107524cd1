internal import Basics
internal import HTTP

/// Writes the head of the request that goes upstream: what may pass of the client's, our own fields, the token.
///
/// Never passed: hop-by-hop and framing fields (`Wire` writes those), credentials and identity assertions in any form, forwarding
/// fields (set here), `Origin` and fetch metadata (already judged; MCP servers refuse foreign origins), cookies unless the
/// route names them.
enum UpstreamRequest {
  /// What differs from request to request besides the head itself.
  struct Additions {
    /// The access token, where the route wants one.
    var token: Secret?
    /// `X-Forwarded-For: …\r\n` and `Forwarded: …\r\n` of this connection, or empty when they must be built from a chain.
    var forwarding: [UInt8]
    var requestID: UInt64
    /// What follows the route's prefix in the path of the request.
    var pathRest: Range<Int>
    /// Instead of the request's own target.
    var target: String?
    /// Revisions since 2026-07-28 have no sessions.
    var dropsMCPSessionID: Bool
  }

  /// - Parameter out: receives request line and field lines, without the empty line.
  static func write(
    to out: inout Buffer, head: borrowing RequestHead, input: borrowing Buffer, route: Route,
    additions: borrowing Additions
  ) {
    writeLine(to: &out, head: head, input: input, route: route, additions: additions)
    out.append(route.fixedFields)
    out.append(additions.forwarding)
    out.append("X-Request-ID: ")
    out.append(hex: additions.requestID)
    out.append("\r\n")
    let choosesCoding = route.isMCP && route.authorization == .bearer
    let lines = head.lines
    for i in lines.indices where passes(lines[i]) {
      let slot = lines[i]
      if slot.id == .acceptEncoding && choosesCoding { continue }
      if slot.id == .mcpSessionID && additions.dropsMCPSessionID { continue }
      if slot.id == .maxForwards && head.method == .options {
        MaxForwards.appendNext(to: &out, head, input)
        continue
      }
      // Name, colon, value as they came: a field the proxy does not know passes byte for byte.
      out.append(from: input, slot.name)
      out.append(": ")
      out.append(from: input, slot.value)
      out.append("\r\n")
    }
    if choosesCoding, head.contains(.acceptEncoding) {
      // Only what can be looked into: an answer in another coding could hide a demand for consent.
      let takesGzip = Negotiation.quality(ofCoding: "gzip", in: head, input) > 0
      out.append((takesGzip ? "Accept-Encoding: gzip\r\n" : "Accept-Encoding: identity\r\n") as StaticString)
    }
    if !route.passCookies.isEmpty {
      writeCookies(to: &out, head: head, input: input, names: route.passCookies)
    }
    if let token = additions.token {
      out.append("Authorization: Bearer ")
      out.append(token)
      out.append("\r\n")
    }
  }

  private static func writeLine(
    to out: inout Buffer, head: borrowing RequestHead, input: borrowing Buffer, route: Route,
    additions: borrowing Additions
  ) {
    out.append(from: input, head.methodRange)
    out.append(UInt8(ascii: " "))
    if let target = additions.target {
      out.append(target)
      out.append(" HTTP/1.1\r\n")
      return
    }
    let before = out.count
    out.append(route.upstreamPath)
    if additions.pathRest.isEmpty, route.upstreamEndsWithSlash { out.append(UInt8(ascii: "/")) }
    out.append(from: input, additions.pathRest)
    if out.count == before { out.append(UInt8(ascii: "/")) }
    if let query = head.query {
      out.append(UInt8(ascii: "?"))
      out.append(from: input, query)
    }
    out.append(" HTTP/1.1\r\n")
  }

  @inline(__always)
  private static func passes(_ slot: FieldSlot) -> Bool {
    if slot.isHopByHop { return false }
    let id = slot.id
    if id == .other { return true }
    if id.isCredential || id.isForwarding || id.isRequestOverride { return false }
    switch id {
    case .host, .origin, .referer, .secFetchSite, .secFetchMode, .secFetchDest, .secFetchUser, .xRequestID,
      .accessControlRequestMethod, .accessControlRequestHeaders, .accessControlRequestPrivateNetwork:
      return false
    default:
      return true
    }
  }

  private static func writeCookies(
    to out: inout Buffer, head: borrowing RequestHead, input: borrowing Buffer, names: [[UInt8]]
  ) {
    Cookies.appendKept(of: head, input, to: &out) { buffer, name in
      names.contains { buffer.equals(name, $0) }
    }
  }
}
