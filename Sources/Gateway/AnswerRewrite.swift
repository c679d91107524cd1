internal import Basics
internal import HTTP

/// Writes the head of the answer that goes to the client: what may pass of the upstream's, and what makes a per-user answer
/// safe behind a cookie.
///
/// Withheld: hop-by-hop and framing fields, `Set-Cookie` and `WWW-Authenticate` unless the route passes them (an upstream's
/// challenge would make a client start its own OAuth against a server it cannot talk to), `Access-Control-*` (ours), and
/// anything that repeats credentials.
enum AnswerRewrite {
  struct Context {
    var route: Route
    /// `Access-Control-*` lines for an allowed foreign origin, or empty.
    var crossOrigin: [UInt8]
    var isEventStream: Bool
    /// The body is delivered decoded, so its coding must not be named.
    var dropsContentCoding: Bool
    /// Protocol revisions since 2026-07-28 have no sessions: none is passed on.
    var dropsMCPSessionID: Bool
    /// To tell our own cookies; nil where the route passes none.
    var cookies: CookieJar?
    /// Pages of other origins may call: the answer differs by `Origin`.
    var variesByOrigin: Bool
    /// `https` in front: tell browsers to keep it so.
    var strictTransport: Bool
  }

  static func write(
    to out: inout Buffer, head: borrowing ResponseHead, input: borrowing Buffer, context: borrowing Context
  ) {
    writeStatusLine(to: &out, head: head, input: input)
    let isPersonal = context.route.needsSession
    let lines = head.lines
    for i in lines.indices where passes(lines[i], input, context, isPersonal) {
      let slot = lines[i]
      out.append(from: input, slot.name)
      out.append(": ")
      out.append(from: input, slot.value)
      out.append("\r\n")
    }
    if isPersonal {
      // An answer made with a user's token is that user's alone, whatever the upstream says of caching.
      out.append(
        context.isEventStream
          ? "Cache-Control: no-store, no-transform\r\nVary: Cookie, Origin\r\n"
          : "Cache-Control: no-store\r\nVary: Cookie, Origin\r\n")
    }
    if !isPersonal && context.variesByOrigin { out.append("Vary: Origin\r\n") }
    if context.isEventStream { out.append("X-Accel-Buffering: no\r\n") }
    if !head.contains(.xContentTypeOptions) { out.append("X-Content-Type-Options: nosniff\r\n") }
    if context.strictTransport { out.append("Strict-Transport-Security: max-age=31536000\r\n") }
    out.append(context.crossOrigin)
  }

  /// Fields that act on the whole origin, which is ours.
  private static let originWide: [StaticString] = ["Alt-Svc", "NEL", "Report-To", "Reporting-Endpoints"]

  private static func writeStatusLine(
    to out: inout Buffer, head: borrowing ResponseHead, input: borrowing Buffer
  ) {
    out.append("HTTP/1.1 ")
    out.append(decimal: UInt64(head.status))
    out.append(UInt8(ascii: " "))
    out.append(from: input, head.reason)
    out.append("\r\n")
  }

  private static func passes(
    _ slot: FieldSlot, _ input: borrowing Buffer, _ context: borrowing Context, _ isPersonal: Bool
  ) -> Bool {
    if slot.isHopByHop { return false }
    switch slot.id {
    case .other:
      if input.equalsIgnoringCase(slot.name, "X-Accel-Buffering") { return !context.isEventStream }
      return !AnswerRewrite.originWide.contains { input.equalsIgnoringCase(slot.name, $0) }
    case .setCookie, .setCookie2, .wwwAuthenticate:
      guard !context.route.passResponseFields.isEmpty else { return false }
      let isNamed = context.route.passResponseFields.contains(ASCII.lowercased(input.string(slot.name)))
      return isNamed
        && !(slot.id != .wwwAuthenticate && context.cookies?.isOwn(input.string(slot.value)) == true)
    case .authorization, .authenticationInfo, .cookie, .dpop, .serverTiming, .via, .date, .clearSiteData,
      .strictTransportSecurity:
      return false
    case .cacheControl, .pragma, .expires, .age: return !isPersonal
    case .contentEncoding: return !context.dropsContentCoding
    case .mcpSessionID: return !context.dropsMCPSessionID
    default: return !slot.id.isCrossOriginAnswer
    }
  }
}
