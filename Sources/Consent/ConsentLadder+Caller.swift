public import MCP

/// What is known of a caller when it has to be told that consent is needed: all that decides the way of telling.
public struct CallerFacts: Sendable, Hashable {
  /// What kind of program sent the request, by its Fetch metadata or what stands in for it.
  public enum Kind: Sendable, Hashable, CaseIterable {
    /// A browser that opens a page.
    case navigation
    /// A script of a page: `Sec-Fetch-Mode` other than `navigate`.
    case pageScript
    /// Anything else: an SDK, a command line.
    case program
  }

  /// The protocol version of a legacy session, as far as it matters here.
  public enum LegacyVersion: Sendable, Hashable, CaseIterable {
    /// 2025-11-25: the one version with the error -32042.
    case withURLElicitation
    /// An older version, an unknown one, or none negotiated.
    case other
  }

  /// What kind of program it is.
  public var kind: Kind
  /// Whether the request is an MCP message on an MCP route.
  public var isMCP: Bool
  /// The era of the message. The following members mean nothing without an MCP message.
  public var era: ProtocolEra
  /// The version negotiated in the session. Means nothing in the modern era.
  public var version: LegacyVersion
  /// What the client declared: in the request (modern), or when the session was opened (legacy).
  public var capabilities: ClientCapabilities
  /// Which method it is.
  public var method: MessageEnvelope.Method
  /// Whether the message is a request: notifications, responses and batches get no JSON-RPC answer.
  public var isRequest: Bool

  /// The facts of an MCP message.
  public init(
    kind: Kind, isMCP: Bool = true, era: ProtocolEra, version: LegacyVersion,
    capabilities: ClientCapabilities,
    method: MessageEnvelope.Method, isRequest: Bool
  ) {
    self.kind = kind
    self.isMCP = isMCP
    self.era = era
    self.version = version
    self.capabilities = capabilities
    self.method = method
    self.isRequest = isRequest
  }

  /// The facts of a request that is no MCP message.
  public init(_ kind: Kind) {
    self.init(
      kind: kind, isMCP: false, era: .legacy, version: .other, capabilities: [], method: .other,
      isRequest: false)
  }
}
