internal import Basics
internal import Consent
internal import Reactor

/// What all loops share: immutable after start, but for two small guarded tables.
///
/// Why shared: a user's connections spread over the loops, so what one loop learns about an MCP session or about a consent that
/// keeps failing must be known to the others at once.
final class SharedState: Sendable {
  let routes: RouteTable
  let origins: OriginPolicy
  let crossOrigin: CrossOrigin
  let cookies: CookieJar
  let publicURL: String
  let publicAuthority: String
  let isSecure: Bool
  let trustedProxies: [CIDRBlock]
  let limits: InspectionLimits
  let mcpSessions: MCPSessionBindings
  let consentRounds: ConsentRounds
  let watch: ConsentWatch
  let requiresPreConsent: Bool
  let control: ControlPlane

  init(
    routes: RouteTable, origins: OriginPolicy, crossOrigin: CrossOrigin, cookies: CookieJar,
    publicURL: String,
    publicAuthority: String, isSecure: Bool, trustedProxies: [CIDRBlock], limits: InspectionLimits,
    mcpSessions: MCPSessionBindings,
    consentRounds: ConsentRounds, watch: ConsentWatch, requiresPreConsent: Bool,
    control: ControlPlane
  ) {
    self.routes = routes
    self.origins = origins
    self.crossOrigin = crossOrigin
    self.cookies = cookies
    self.publicURL = publicURL
    self.publicAuthority = publicAuthority
    self.isSecure = isSecure
    self.trustedProxies = trustedProxies
    self.limits = limits
    self.mcpSessions = mcpSessions
    self.consentRounds = consentRounds
    self.watch = watch
    self.requiresPreConsent = requiresPreConsent
    self.control = control
  }
}

/// How much of a message may be held to look into it.
struct InspectionLimits: Sendable {
  /// Bytes of a request body that is collected; longer ones stream through unseen.
  var requestBody: Int
  /// Bytes of a JSON answer that is collected.
  var answerBody: Int
  /// Bytes of one server-sent event.
  var event: Int
  /// When nothing was sent on an event stream for so long, a comment is.
  var keepAlive: Duration
  /// Bytes of any request body.
  var maxRequestBody: UInt64
}
