internal import Basics

/// The field names the proxy treats specially, as one byte. Everything else is ``other`` and passes by its bytes.
public enum FieldID: UInt8, Sendable, CaseIterable {
  case other = 0
  // Framing and connection (RFC 9110 §7.6.1, RFC 9112).
  case connection, contentLength, transferEncoding, te, trailer, upgrade, keepAlive, proxyConnection
  case proxyAuthenticate, proxyAuthorization, proxyAuthenticationInfo, http2Settings, expect, host
  // Credentials.
  case authorization, authenticationInfo, wwwAuthenticate, cookie, setCookie, setCookie2, dpop
  case clientCert, clientCertChain
  /// Any field by which some gateway asserts an identity: `Remote-User`, `X-Auth-Request-*`, `X-MS-CLIENT-PRINCIPAL`…
  case identityAssertion
  /// Fields that make some servers act on another method or path than the request line says.
  case requestOverride
  // Forwarding.
  case forwarded, xForwardedFor, xForwardedHost, xForwardedProto, xForwardedPort, xForwardedPrefix
  case xForwardedServer, xRealIP, via
  /// Any other `X-Forwarded-*`.
  case xForwardedOther
  // Content and its negotiation.
  case contentType, contentEncoding, contentDisposition, contentLanguage, contentLocation, contentRange
  case accept, acceptEncoding, acceptLanguage, acceptRanges, range
  // Conditional requests and caching.
  case ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince, ifRange
  case cacheControl, pragma, expires, age, etag, lastModified, vary, date
  // Where a request comes from, and what a browser may do with the answer.
  case origin, referer, userAgent, maxForwards, xRequestedWith, secFetchSite, secFetchMode, secFetchDest,
    secFetchUser
  case accessControlRequestMethod, accessControlRequestHeaders, accessControlRequestPrivateNetwork
  case accessControlAllowOrigin, accessControlAllowCredentials, accessControlAllowMethods
  case accessControlAllowHeaders, accessControlExposeHeaders, accessControlMaxAge
  case contentSecurityPolicy, strictTransportSecurity, xContentTypeOptions, xFrameOptions, referrerPolicy
  case clearSiteData
  // MCP and event streams.
  case mcpMethod, mcpName, mcpProtocolVersion, mcpSessionID, lastEventID
  /// Any `Mcp-Param-*`.
  case mcpParam
  // The rest.
  case location, server, serverTiming, retryAfter, link, allow, traceparent, tracestate, xRequestID,
    xPoweredBy

  /// The name as it is written on the wire; empty for the cases that stand for several names.
  public var name: StaticString {
    switch self {
    case .other, .identityAssertion, .requestOverride, .xForwardedOther, .mcpParam: ""
    case .connection: "Connection"
    case .contentLength: "Content-Length"
    case .transferEncoding: "Transfer-Encoding"
    case .te: "TE"
    case .trailer: "Trailer"
    case .upgrade: "Upgrade"
    case .keepAlive: "Keep-Alive"
    case .proxyConnection: "Proxy-Connection"
    case .proxyAuthenticate: "Proxy-Authenticate"
    case .proxyAuthorization: "Proxy-Authorization"
    case .proxyAuthenticationInfo: "Proxy-Authentication-Info"
    case .http2Settings: "HTTP2-Settings"
    case .expect: "Expect"
    case .host: "Host"
    case .authorization: "Authorization"
    case .authenticationInfo: "Authentication-Info"
    case .wwwAuthenticate: "WWW-Authenticate"
    case .cookie: "Cookie"
    case .setCookie: "Set-Cookie"
    case .setCookie2: "Set-Cookie2"
    case .dpop: "DPoP"
    case .clientCert: "Client-Cert"
    case .clientCertChain: "Client-Cert-Chain"
    case .forwarded: "Forwarded"
    case .xForwardedFor: "X-Forwarded-For"
    case .xForwardedHost: "X-Forwarded-Host"
    case .xForwardedProto: "X-Forwarded-Proto"
    case .xForwardedPort: "X-Forwarded-Port"
    case .xForwardedPrefix: "X-Forwarded-Prefix"
    case .xForwardedServer: "X-Forwarded-Server"
    case .xRealIP: "X-Real-IP"
    case .via: "Via"
    case .contentType: "Content-Type"
    case .contentEncoding: "Content-Encoding"
    case .contentDisposition: "Content-Disposition"
    case .contentLanguage: "Content-Language"
    case .contentLocation: "Content-Location"
    case .contentRange: "Content-Range"
    case .accept: "Accept"
    case .acceptEncoding: "Accept-Encoding"
    case .acceptLanguage: "Accept-Language"
    case .acceptRanges: "Accept-Ranges"
    case .range: "Range"
    case .ifMatch: "If-Match"
    case .ifNoneMatch: "If-None-Match"
    case .ifModifiedSince: "If-Modified-Since"
    case .ifUnmodifiedSince: "If-Unmodified-Since"
    case .ifRange: "If-Range"
    case .cacheControl: "Cache-Control"
    case .pragma: "Pragma"
    case .expires: "Expires"
    case .age: "Age"
    case .etag: "ETag"
    case .lastModified: "Last-Modified"
    case .vary: "Vary"
    case .date: "Date"
    case .origin: "Origin"
    case .referer: "Referer"
    case .userAgent: "User-Agent"
    case .maxForwards: "Max-Forwards"
    case .xRequestedWith: "X-Requested-With"
    case .secFetchSite: "Sec-Fetch-Site"
    case .secFetchMode: "Sec-Fetch-Mode"
    case .secFetchDest: "Sec-Fetch-Dest"
    case .secFetchUser: "Sec-Fetch-User"
    case .accessControlRequestMethod: "Access-Control-Request-Method"
    case .accessControlRequestHeaders: "Access-Control-Request-Headers"
    case .accessControlRequestPrivateNetwork: "Access-Control-Request-Private-Network"
    case .accessControlAllowOrigin: "Access-Control-Allow-Origin"
    case .accessControlAllowCredentials: "Access-Control-Allow-Credentials"
    case .accessControlAllowMethods: "Access-Control-Allow-Methods"
    case .accessControlAllowHeaders: "Access-Control-Allow-Headers"
    case .accessControlExposeHeaders: "Access-Control-Expose-Headers"
    case .accessControlMaxAge: "Access-Control-Max-Age"
    case .contentSecurityPolicy: "Content-Security-Policy"
    case .strictTransportSecurity: "Strict-Transport-Security"
    case .xContentTypeOptions: "X-Content-Type-Options"
    case .xFrameOptions: "X-Frame-Options"
    case .referrerPolicy: "Referrer-Policy"
    case .clearSiteData: "Clear-Site-Data"
    case .mcpMethod: "Mcp-Method"
    case .mcpName: "Mcp-Name"
    case .mcpProtocolVersion: "MCP-Protocol-Version"
    case .mcpSessionID: "Mcp-Session-Id"
    case .lastEventID: "Last-Event-ID"
    case .location: "Location"
    case .server: "Server"
    case .serverTiming: "Server-Timing"
    case .retryAfter: "Retry-After"
    case .link: "Link"
    case .allow: "Allow"
    case .traceparent: "traceparent"
    case .tracestate: "tracestate"
    case .xRequestID: "X-Request-ID"
    case .xPoweredBy: "X-Powered-By"
    }
  }
}

// MARK: - Classes of fields

extension FieldID {
  /// Ours to write for each connection, never passed on: what RFC 9110 §7.6.1 calls hop-by-hop, the framing fields, and
  /// `Expect`, which is answered here. `Connection` may name more; see ``FieldSlot/isHopByHop``.
  public var isHopByHop: Bool {
    rawValue >= FieldID.connection.rawValue && rawValue <= FieldID.expect.rawValue
  }

  /// Carries or asks for a credential, or asserts an identity: never passed from a client to an upstream.
  public var isCredential: Bool {
    switch self {
    case .proxyAuthenticate, .proxyAuthorization, .proxyAuthenticationInfo: true
    default: rawValue >= FieldID.authorization.rawValue && rawValue <= FieldID.identityAssertion.rawValue
    }
  }

  /// Says where a request came from: set by us, never passed from a client.
  public var isForwarding: Bool {
    rawValue >= FieldID.forwarded.rawValue && rawValue <= FieldID.xForwardedOther.rawValue
  }

  /// Makes a request conditional (RFC 9110 §13.1).
  public var isConditional: Bool {
    rawValue >= FieldID.ifMatch.rawValue && rawValue <= FieldID.ifRange.rawValue
  }

  /// An answer field of the CORS protocol (Fetch standard): set by us.
  public var isCrossOriginAnswer: Bool {
    rawValue >= FieldID.accessControlAllowOrigin.rawValue && rawValue <= FieldID.accessControlMaxAge.rawValue
  }

  /// Steers a server away from the request line: never passed from a client.
  public var isRequestOverride: Bool { self == .requestOverride }

  /// Has one value in a request, no list (RFC 9110 §5.3): of two lines, one reader would take the first and another the
  /// last. `Host` and the framing fields have rules of their own, credentials and forwarding fields never pass.
  var isSingular: Bool {
    switch self {
    case .contentType, .contentRange, .contentLocation, .range, .ifRange, .ifModifiedSince,
      .ifUnmodifiedSince,
      .userAgent, .maxForwards, .lastEventID:
      true
    default: false
    }
  }
}
