internal import Configuration
internal import Consent
internal import HTTP

/// How demands for consent on one route are recognised and met.
struct RouteConsent: Sendable {
  /// What people call the server.
  var server: String
  /// Recognises demands in the upstream's messages.
  var watch: ConsentWatch
  /// What is done when the upstream lacks consent for a service behind it.
  var downstream: Configuration.DownstreamConsent
  /// Hosts that links of the upstream's may lead to, in lower case.
  var linkHosts: Set<String>
  /// Calls without all scopes they need go no further.
  var requiresPreConsent: Bool
  /// The scope that stands for all consents of the upstream's application, those for services behind it included, where the provider
  /// knows such a thing (Entra's `.default`).
  var wholeScope: String?

  /// What is done about a need that an upstream told of.
  enum Treatment {
    /// The provider is asked.
    case ask
    /// The provider is asked for ``RouteConsent/wholeScope`` instead of single scopes.
    case askWhole
    /// The person is shown this link of the upstream's.
    case show(link: String)
    /// The person is told that nothing here helps.
    case deny
    /// The upstream's answer says it best.
    case pass
  }

  /// A consent of our own is asked for. What the upstream's application lacks is met as configured: a grant to another client cannot
  /// be brought about by asking for ours.
  ///
  /// - Parameter knowsWhole: the session's provider knows ``wholeScope``.
  func treatment(of need: ConsentNeed, knowsWhole: Bool = true) -> Treatment {
    guard need.kind == .consent, need.target == .downstream else {
      return need.isRepairable ? .ask : .pass
    }
    switch downstream {
    case .combined:
      if wholeScope != nil, knowsWhole { return .askWhole }
      return need.scopes.isEmpty ? .deny : .ask
    case .upstreamLink: return need.link.flatMap(allowed).map { .show(link: $0) } ?? .deny
    case .deny: return .deny
    }
  }

  /// A link as it may be shown: to an allowed host, over TLS or on this machine.
  private func allowed(_ link: String) -> String? {
    guard let url = URLReference(link), url.isSecure || url.isLoopback, linkHosts.contains(url.host) else {
      return nil
    }
    return link
  }
}
