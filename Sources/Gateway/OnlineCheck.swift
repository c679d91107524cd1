internal import Basics
public import Configuration
internal import HTTP
internal import JSON
internal import Reactor
internal import Wire

/// Talks to everything the configuration names and tells what would go wrong, before anybody else finds out.
///
/// Nothing is changed anywhere: one discovery request, one empty request to the token endpoint, one GET for each upstream, and a look
/// into Redis.
public struct OnlineCheck: Sendable {
  public enum Level: String, Sendable { case ok, warning, error }

  /// One thing looked at.
  public struct Finding: Sendable, CustomStringConvertible {
    public let level: Level
    public let subject: String
    public let text: String
    public var description: String { "\(level.rawValue.uppercased()) \(subject): \(text)" }

    /// The same with the provider's name in front.
    func about(_ provider: String) -> Finding {
      Finding(level: level, subject: "\(provider): \(subject)", text: text)
    }
  }

  let configuration: Configuration

  public init(configuration: Configuration) { self.configuration = configuration }

  /// Runs all checks, one after the other.
  public func run() async -> [Finding] {
    let loop = EventLoop(name: "check")
    loop.start()
    let blocking = BlockingPool()
    var findings: [Finding] = []
    for (index, oidc) in configuration.providers.all.enumerated() {
      let place = configuration.providers.place(index)
      var found: [Finding] = [redirectURI(oidc)]
      do {
        found += await provider(
          oidc, place, try client(loop, blocking, TLSParts.Trust(caFile: oidc.caFile)))
      } catch {
        found.append(Finding(level: .error, subject: "\(place).ca_file", text: "\(error)"))
      }
      findings += configuration.providers.all.count > 1 ? found.map { $0.about(oidc.name) } : found
    }
    for (index, route) in configuration.routes.enumerated() {
      do {
        findings.append(await upstream(index, route, try client(loop, blocking, TLSParts.Trust(route))))
      } catch {
        findings.append(Finding(level: .error, subject: "routes[\(index)]", text: "\(error)"))
      }
    }
    if let redis = configuration.session.store.redis { findings += await store(redis, loop, blocking) }
    await loop.stop()
    return findings
  }

  private func client(
    _ loop: EventLoop, _ blocking: BlockingPool, _ trust: TLSParts.Trust
  ) throws(ReactorError) -> HTTPClient {
    var settings = HTTPClientSettings(
      tls: try TLSClientContext(caFile: trust.caFile, identity: trust.identity))
    settings.connectTimeout = configuration.timeouts.connect
    settings.timeout = .seconds(10)
    return HTTPClient(loop: loop, settings: settings, connector: Connector(loop: loop, blocking: blocking))
  }

  private func redirectURI(_ oidc: Configuration.OIDC) -> Finding {
    let uri = configuration.redirectURI(of: oidc)
    let isFit = configuration.publicURL.isSecure || configuration.publicURL.isLoopback
    return Finding(
      level: isFit ? .ok : .error, subject: "redirect URI",
      text: isFit ? "register \(uri) at the provider (type: web)" : "\(uri) is not https: providers refuse it"
    )
  }

  // MARK: Provider

  private func provider(
    _ oidc: Configuration.OIDC, _ place: String, _ client: HTTPClient
  ) async -> [Finding] {
    let issuer = oidc.issuer.text
    let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
    guard let url = URLReference(base + "/.well-known/openid-configuration") else {
      return [Finding(level: .error, subject: "\(place).issuer", text: "\(issuer) is no URL")]
    }
    let response: FetchResponse
    do {
      response = try await client.send(
        FetchRequest(method: "GET", url: url, fields: [("Accept", "application/json")], body: []))
    } catch {
      return [Finding(level: .error, subject: "discovery", text: "\(url): \(error)")]
    }
    guard response.status == 200, let document = try? JSONValue.parse(response.body) else {
      return [
        Finding(
          level: .error, subject: "discovery", text: "\(url) answered \(response.status) without a document")
      ]
    }
    var findings = [clock(response, oidc)]
    let named = document["issuer"]?.string ?? ""
    let isTemplate = named.contains("{tenantid}")
    findings.append(
      named == issuer || isTemplate
        ? Finding(level: .ok, subject: "discovery", text: "issuer \(named)")
        : Finding(
          level: .error, subject: "discovery",
          text: "the document names the issuer \(named), configured is \(issuer)"))
    findings += features(document, oidc, place)
    if let text = document["token_endpoint"]?.string, let endpoint = URLReference(text) {
      findings.append(await tokenEndpoint(endpoint, client))
    } else {
      findings.append(Finding(level: .error, subject: "discovery", text: "no token_endpoint"))
    }
    return findings
  }

  private func features(_ document: JSONValue, _ oidc: Configuration.OIDC, _ place: String) -> [Finding] {
    var findings: [Finding] = []
    let methods = document["code_challenge_methods_supported"]?.strings
    if let methods, !methods.contains("S256") {
      findings.append(Finding(level: .warning, subject: "PKCE", text: "S256 is not among \(methods)"))
    }
    if let scopes = document["scopes_supported"]?.strings {
      for scope in oidc.scope where !scopes.contains(scope) {
        findings.append(
          Finding(
            level: .warning, subject: "\(place).scope",
            text: "the provider does not list \(scope) as supported"))
      }
    }
    let method = oidc.tokenEndpointAuthMethod.rawValue
    if let supported = document["token_endpoint_auth_methods_supported"]?.strings, !supported.contains(method)
    {
      findings.append(
        Finding(
          level: .error, subject: "\(place).token_endpoint_auth_method",
          text: "\(method) is not among \(supported.joined(separator: ", "))"))
    }
    return findings
  }

  /// Tokens are judged by time: more than the allowed skew apart, sign-ins fail.
  private func clock(_ response: FetchResponse, _ oidc: Configuration.OIDC) -> Finding {
    guard let text = response.first("Date"), let theirs = Timestamp(httpDate: text) else {
      return Finding(level: .warning, subject: "clock", text: "the provider sends no Date to compare with")
    }
    let apart = abs((Timestamp.now() - theirs).components.seconds)
    let allowed = oidc.clockSkew.components.seconds
    return Finding(
      level: apart > max(allowed, 1) ? .error : .ok, subject: "clock",
      text: "\(apart) s apart from the provider, \(allowed) s allowed")
  }

  /// Any answer below 500 shows that it is there; an empty request has to be refused.
  private func tokenEndpoint(_ url: URLReference, _ client: HTTPClient) async -> Finding {
    do {
      let response = try await client.send(
        FetchRequest(
          method: "POST", url: url, fields: [("Content-Type", "application/x-www-form-urlencoded")], body: [])
      )
      let isThere = response.status < 500
      return Finding(
        level: isThere ? .ok : .error, subject: "token endpoint", text: "\(url) answers \(response.status)")
    } catch {
      return Finding(level: .error, subject: "token endpoint", text: "\(url): \(error)")
    }
  }

  // MARK: Upstreams

  private func upstream(_ index: Int, _ route: Configuration.Route, _ client: HTTPClient) async -> Finding {
    let subject = "routes[\(index)].upstream"
    guard let url = URLReference(route.upstream.text) else {
      return Finding(level: .error, subject: subject, text: "\(route.upstream) is no URL")
    }
    do {
      let response = try await client.send(
        FetchRequest(
          method: "GET", url: url, fields: [("Accept", "application/json, text/event-stream")], body: []))
      return Finding(
        level: response.status < 500 ? .ok : .warning, subject: subject,
        text: "\(url) answers \(response.status)")
    } catch {
      return Finding(level: .error, subject: subject, text: "\(url): \(error)")
    }
  }
}
