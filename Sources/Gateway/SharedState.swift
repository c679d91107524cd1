internal import Basics
internal import Consent
internal import Reactor
internal import Sessions

/// What all loops share: immutable after start, but for a few small guarded tables.
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
  let streams: UserStreams
  let consentRounds: ConsentRounds
  let desk: ConsentDesk
  let toolScopes: ToolScopes
  let learnsToolScopes: Bool
  /// Status for pages' scripts.
  let scriptAnswer: ScriptAnswer
  /// How long a call is held open that came again before its consent.
  let hold: Duration
  let linkLifetime: Duration
  let keptCalls: KeptCallLimits
  /// Seals what clients are given to bring back.
  let stateSealer: Sealer
  let control: ControlPlane

  init(
    routes: RouteTable, origins: OriginPolicy, crossOrigin: CrossOrigin, cookies: CookieJar,
    publicURL: String,
    publicAuthority: String, isSecure: Bool, trustedProxies: [CIDRBlock], limits: InspectionLimits,
    mcpSessions: MCPSessionBindings, streams: UserStreams,
    consentRounds: ConsentRounds, desk: ConsentDesk, toolScopes: ToolScopes, learnsToolScopes: Bool,
    scriptAnswer: ScriptAnswer, hold: Duration, linkLifetime: Duration, keptCalls: KeptCallLimits,
    stateSealer: Sealer, control: ControlPlane
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
    self.streams = streams
    self.consentRounds = consentRounds
    self.desk = desk
    self.toolScopes = toolScopes
    self.learnsToolScopes = learnsToolScopes
    self.scriptAnswer = scriptAnswer
    self.hold = hold
    self.linkLifetime = linkLifetime
    self.keptCalls = keptCalls
    self.stateSealer = stateSealer
    self.control = control
  }
}

/// How many refused calls are kept, and how large.
struct KeptCallLimits: Sendable {
  /// For one person; zero: none.
  var perUser: Int
  /// Bytes of a body.
  var maxBody: Int
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
