internal import Basics
internal import Crypto
internal import HTTP

/// One configured route, resolved to what a request needs: prefix bytes, target, token slot.
///
/// Owner: shared and immutable, made once at start.
final class Route: Sendable {
  enum Authorization: Sendable { case bearer, none }

  /// The provider whose people may come here.
  struct Provider: Sendable, Equatable {
    /// Its place in the configuration.
    let index: Int
    let name: String
  }

  let index: Int
  /// Stands for the path in what outlives this process, whatever its place in the configuration.
  let identity: Int
  /// The prefix as configured: `/mcp`, or `/` for everything.
  let path: String
  let prefix: RoutePath
  let upstream: URLReference
  let authorization: Authorization
  /// A session is needed, or only used when there is one.
  let needsSession: Bool
  /// JSON-RPC is spoken here: bodies are looked into, refusals are JSON-RPC shaped, navigations are not expected.
  let isMCP: Bool
  /// Sessions of this provider alone count here; nil: those of all.
  let provider: Provider?
  /// The place of ``provider``: asked of every request, and nothing to count references of.
  let onlyProvider: Int?
  /// Which of a session's tokens goes upstream; nil where none does.
  let credentialSlot: Int?
  /// The scopes that the route's token is asked with.
  let scope: [String]
  let resource: String?
  /// Names of cookies that may pass to the upstream.
  let passCookies: [[UInt8]]
  /// Names of upstream response fields that may reach the client although they are withheld by default. Lower case.
  let passResponseFields: [String]
  /// How demands for consent on this route are recognised and met.
  let consent: RouteConsent
  /// Written on every upstream request of the route: `Host` and `Via`.
  let fixedFields: [UInt8]
  /// What the path prefix is replaced by, without a trailing slash.
  let upstreamPath: [UInt8]
  /// The configured path ended with a slash: kept where nothing follows the prefix.
  let upstreamEndsWithSlash: Bool
  /// What the hash of an MCP session's id begins with: with the path, since processes that share a store may have other routes before it.
  let mcpSessionPlace: [UInt8]

  init(
    index: Int, path: String, prefix: RoutePath, upstream: URLReference, authorization: Authorization,
    needsSession: Bool, isMCP: Bool, provider: Provider? = nil,
    credentialSlot: Int?, scope: [String], resource: String?, passCookies: [String],
    passResponseFields: [String], consent: RouteConsent
  ) {
    self.index = index
    identity = SHA256.hash(data: Array(path.utf8)).prefix(7).reduce(0) { $0 << 8 | Int($1) }
    self.path = path
    self.prefix = prefix
    self.upstream = upstream
    self.authorization = authorization
    self.needsSession = needsSession
    self.isMCP = isMCP
    self.provider = provider
    onlyProvider = provider?.index
    self.credentialSlot = credentialSlot
    self.scope = scope
    self.resource = resource
    self.passCookies = passCookies.map { Array($0.utf8) }
    self.passResponseFields = passResponseFields.map { ASCII.lowercased($0) }
    self.consent = consent
    fixedFields = Array("Host: \(upstream.authority)\r\nVia: 1.1 coatcheck\r\n".utf8)
    upstreamEndsWithSlash = upstream.path.hasSuffix("/")
    mcpSessionPlace = Array("mcp-session\n\(path)\n".utf8)
    var prefix = upstream.path
    while prefix.hasSuffix("/") { prefix.removeLast() }
    upstreamPath = Array(prefix.utf8)
  }

  /// The request target of a redirect, if it stays on the upstream's own origin.
  func localTarget(of location: String) -> String? {
    if let url = URLReference(location) { return url.hasSameOrigin(as: upstream) ? url.requestTarget : nil }
    guard location.hasPrefix("/"), !location.hasPrefix("//"),
      location.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else {
      return nil
    }
    return String(location.prefix { $0 != "#" })
  }
}
