internal import Basics
public import Configuration
internal import HTTP
internal import JSON
internal import Reactor
internal import Wire

/// The operator's side of `/sessions` on the admin listener, for the command line: asks, and gives back text to print.
///
/// Owner: one command. Its loop ends with ``close()``.
public final class OperatorClient: Sendable {
  /// Why there is no answer to print.
  public struct Failure: Error, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Kind: Sendable {
      /// The configuration has no admin listener or no usable token.
      case configuration
      /// Nobody answers there.
      case unreachable
      /// The token is not the running proxy's, or it has none.
      case refused
      /// There is no such session.
      case unknown
      /// The proxy's store does not answer, or its answer makes no sense.
      case failed
    }

    public let kind: Kind
    public let description: String
  }

  /// Whose sessions are meant.
  public struct Filter: Sendable {
    fileprivate let filter: SessionFilter

    /// - Parameter user: a subject, user name or e-mail address, exactly.
    public init(user: String?, issuer: String?, tenant: String?, provider: String?) {
      filter = SessionFilter(user: user, issuer: issuer, tenant: tenant, provider: provider)
    }
  }

  private let base: String
  private let token: Secret
  private let loop: EventLoop
  private let client: HTTPClient

  /// Reads the token and the listener's address. Blocks.
  public init(configuration: Configuration) throws(Failure) {
    guard let admin = configuration.admin else {
      throw Failure(
        kind: .configuration, description: "the configuration has no admin listener: set admin.listen")
    }
    do throws(ConfigurationError) {
      guard let token = try configuration.readAdminToken() else {
        throw configuration.missingAdminToken()
      }
      self.token = token
    } catch {
      throw Failure(kind: .configuration, description: error.description)
    }
    base = "http://" + Self.reachable(admin.listen)
    loop = EventLoop(name: "operator")
    loop.start()
    do throws(ReactorError) {
      var settings = HTTPClientSettings(tls: try TLSClientContext())
      // Everything may have to be looked at.
      settings.timeout = .seconds(600)
      settings.maxResponseBytes = 16 << 20
      client = HTTPClient(
        loop: loop, settings: settings, connector: Connector(loop: loop, blocking: BlockingPool()))
    } catch {
      throw Failure(kind: .failed, description: "\(error)")
    }
  }

  /// Ends its loop.
  public func close() async { await loop.stop() }

  /// Whoever listens on all addresses is reached at this machine's own.
  private static func reachable(_ listen: ListenAddress) -> String {
    guard listen.bytes.allSatisfy({ $0 == 0 }) else { return listen.description }
    return "\(listen.isIPv6 ? "[::1]" : "127.0.0.1"):\(listen.port)"
  }

  // MARK: Commands

  /// All sessions that fit, as a table, or as JSON with one session a line.
  /// - Parameter limit: of sessions; the rest is only told of.
  public func list(_ filter: Filter, limit: Int, asJSON: Bool) async throws(Failure) -> String {
    var sessions: [JSONValue] = []
    var cursor: String?
    var unreadable = 0
    repeat {
      var query = filter.filter.query + [("limit", "100")]
      if let cursor { query.append(("cursor", cursor)) }
      let answer = try await ask("GET", "/sessions", query)
      guard let page = answer["sessions"]?.array else { throw Self.nonsense }
      sessions += page
      unreadable += answer["unreadable"]?.int64.map { Int(clamping: $0) } ?? 0
      cursor = answer["next"]?.string
    } while cursor != nil && sessions.count < limit
    let shown = Array(sessions.prefix(limit))
    if asJSON { return shown.map { $0.serialized() + "\n" }.joined() }
    var text = SessionTable.text(shown)
    if sessions.count > limit || cursor != nil { text += "There are more: --limit shows them.\n" }
    if unreadable > 0 { text += "\(unreadable) more cannot be opened with the keys that the proxy has.\n" }
    return text
  }

  /// Everything about one session.
  public func show(id: String, asJSON: Bool) async throws(Failure) -> String {
    let session = try await ask("GET", "/sessions/" + PercentEncoding.encode(id), [])
    return asJSON ? session.serialized() + "\n" : SessionTable.detail(session)
  }

  /// Ends one session.
  public func revoke(id: String, asJSON: Bool) async throws(Failure) -> String {
    ended(try await ask("DELETE", "/sessions/" + PercentEncoding.encode(id), []), asJSON)
  }

  /// Ends all that fit; the filter has to name a user.
  public func revoke(_ filter: Filter, asJSON: Bool) async throws(Failure) -> String {
    ended(try await ask("DELETE", "/sessions", filter.filter.query), asJSON)
  }

  /// Ends every session.
  public func revokeAll(asJSON: Bool) async throws(Failure) -> String {
    ended(try await ask("DELETE", "/sessions", [("all", "true")]), asJSON)
  }

  private func ended(_ answer: JSONValue, _ asJSON: Bool) -> String {
    if asJSON { return answer.serialized() + "\n" }
    let count = answer["ended"]?.int64 ?? 0
    return count == 1 ? "1 session ended\n" : "\(count) sessions ended\n"
  }

  // MARK: Asking

  private static let nonsense = Failure(
    kind: .failed, description: "the admin listener's answer makes no sense")

  private func ask(_ method: String, _ path: String, _ query: [(String, String)]) async throws(Failure)
    -> JSONValue
  {
    guard let url = URLReference(base + path)?.appending(query: query) else { throw Self.nonsense }
    let request = FetchRequest(
      method: method, url: url,
      fields: [("Authorization", "Bearer " + token.reveal()), ("Accept", "application/json")])
    let response: FetchResponse
    do throws(TransportError) { response = try await client.send(request) } catch {
      throw Failure(
        kind: .unreachable,
        description:
          "the admin listener at \(base) cannot be reached (\(error)): does the proxy run with this configuration?"
      )
    }
    let body = try? JSONValue.parse(response.body, limits: JSONLimits(depth: 16, bytes: 16 << 20))
    if response.status == 200, let body { return body }
    let detail = body?["error_description"]?.string ?? "status \(response.status)"
    let kind: Failure.Kind =
      switch response.status {
      case 401, 403: .refused
      case 404: body == nil ? .failed : .unknown
      default: .failed
      }
    throw Failure(kind: kind, description: "\(base): \(detail)")
  }
}
