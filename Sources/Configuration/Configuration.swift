/// What an operator configured, checked and with every default filled in.
///
/// Shared and immutable: made once by ``load(path:)`` or ``parse(_:directory:name:)``, which report every
/// error of the file at once. Each property has the name of its key in the file (`public_url` is
/// ``publicURL``). Paths of files are resolved against the directory of the configuration file. Reading those
/// files is a separate step: ``fileProblems(environment:)`` and ``readCredential(environment:)``.
public struct Configuration: Sendable {
  /// Where clients connect to.
  public var listen = ListenAddress.unset
  /// The origin under which browsers reach the proxy: scheme, host and port, never a path.
  public var publicURL = WebURL.unset
  /// Proxies in front of this one. Their forwarding fields are believed; plain HTTP off loopback is accepted
  /// from them only.
  public var trustedProxies: [AddressBlock] = []
  /// Data loops; nil: as many as the machine has cores.
  public var workers: Int?
  /// TLS in front; nil: plain HTTP.
  public var tls: TLS?
  /// The OpenID providers that people sign in with, and this proxy's registration with each; at least one.
  public var providers = Providers()
  /// What is forwarded where; at least one, each path once, in the order of the file.
  public var routes: [Route] = []
  /// Cookie, lifetimes and storage of sessions.
  public var session = Session()
  /// Refreshing and revoking of tokens.
  public var tokens = Tokens()
  /// How missing consent is handled.
  public var consent = Consent()
  /// Which origins may call besides the proxy's own.
  public var csrf = CSRF()
  /// Server-sent events.
  public var streams = Streams()
  /// How long anything may take.
  public var timeouts = Timeouts()
  /// How large or how many anything may be.
  public var limits = Limits()
  /// The listener for health and metrics; nil: none.
  public var admin: Admin?
  /// What is logged and how.
  public var log = Log()

  /// Where values stand in the file, by path, for messages of later steps.
  var places = Places()

  /// A listener that is not for clients.
  public struct Admin: Sendable, Hashable {
    /// Where `/healthz`, `/readyz` and `/metrics` are served, without TLS and without a sign-in.
    public var listen = ListenAddress.unset
    /// File with the token that operators show for sessions; nil: nobody sees or ends them there.
    public var tokenFile: String?
  }

  /// The log.
  public struct Log: Sendable, Hashable {
    /// The least important message that is written.
    public var level = Level.info
    /// JSON lines or text for people.
    public var format = Format.json

    /// Levels of `swift-log`, with its raw values.
    public enum Level: String, Sendable, CaseIterable {
      case trace, debug, info, notice, warning, error, critical
    }

    /// Forms of a log line.
    public enum Format: String, Sendable, CaseIterable { case json, text }
  }
}
