internal import Basics
internal import Configuration
internal import OAuth
internal import Sessions

/// One configured provider and everything that is its alone.
struct ConfiguredProvider: Sendable {
  /// Its place in the configuration.
  let index: Int
  /// What routes and addresses call it.
  let name: String
  /// What its sessions have as ``Session/provider``; nil where the configuration gives the only provider no name.
  let sessionName: String?
  /// What people know it by.
  let title: String
  let provider: Provider
  let signIn: SignIn
  /// The table of all providers, read in this one's way.
  let slots: CredentialSlots
  /// Where a form that leads there may end.
  let origin: String
  /// Where answers to its authorization requests come in, and no others.
  let callbackPath: String
  let postLogoutRedirectURI: String
  /// What it takes to sign out by the front channel.
  let frontChannel: FrontChannel

  /// What it takes to sign out by the front channel.
  enum FrontChannel: Sendable {
    case off, sid, cookie

    init(_ configured: Configuration.OIDC.FrontChannelLogout) {
      switch configured {
      case .off: self = .off
      case .sid: self = .sid
      case .cookie: self = .cookie
      }
    }
  }

  /// Whether the session was signed in here: a token never goes to another issuer than the one it is from, whatever the
  /// configuration calls it, and a tenant that was taken from the list is out.
  func holds(_ session: Session) -> Bool {
    if let name = session.provider, name != self.name { return false }
    return provider.settings.standsFor(issuer: session.user.issuer, tenant: session.user.tenant)
  }
}

/// All providers, by whatever they are looked up by. Immutable.
struct ProviderDirectory: Sendable {
  /// In the order of the configuration; at least one.
  let all: [ConfiguredProvider]

  /// Whether a person may have to choose.
  var isSeveral: Bool { all.count > 1 }

  /// What a slot's tokens are kept under, in the sessions of every provider.
  func key(_ slot: Int) -> ResourceKey { all[0].slots.key(slot) }

  func named(_ name: String) -> ConfiguredProvider? { all.first { $0.name == name } }

  /// Those that ID tokens and logout tokens of an issuer can be from: mostly one. With several clients at one issuer the token's
  /// audience tells which.
  func of(issuer: String) -> [ConfiguredProvider] {
    all.filter { $0.provider.settings.standsFor(issuer: issuer, tenant: nil) }
  }

  /// The one whose redirect URI has this path.
  func at(callbackPath: String) -> ConfiguredProvider? { all.first { $0.callbackPath == callbackPath } }

  /// The one that a session belongs to; nil when it is not configured any more. A session without a name is from before there were
  /// several: its issuer tells, where only one has it.
  func of(_ session: Session) -> ConfiguredProvider? {
    let found = all.filter { $0.holds(session) }
    return found.count == 1 ? found.first : nil
  }

  /// The frozen form for data loops; nil when the session's provider is not configured any more.
  func snapshot(of session: Session) -> SessionSnapshot? {
    of(session).map { $0.slots.snapshot(of: session, provider: $0.index) }
  }

  /// For the log: which provider it is about, where there are several.
  func label(_ one: ConfiguredProvider) -> String { isSeveral ? one.name + ": " : "" }

  /// Which providers' metadata is at hand, by name, without asking for it.
  func states() async -> [(name: String, isKnown: Bool)] {
    var states: [(name: String, isKnown: Bool)] = []
    for one in all { states.append((one.name, await one.provider.knowsMetadata)) }
    return states
  }

  /// Asks all at once.
  ///
  /// - Returns: those whose metadata cannot be had, and why.
  func withoutMetadata() async -> [(provider: ConfiguredProvider, error: OAuthError)] {
    await withTaskGroup(of: (Int, OAuthError)?.self) { group in
      for one in all {
        group.addTask {
          do throws(OAuthError) {
            _ = try await one.provider.metadata()
            return nil
          } catch {
            return (one.index, error)
          }
        }
      }
      var missing: [(provider: ConfiguredProvider, error: OAuthError)] = []
      for await case (let index, let error)? in group { missing.append((all[index], error)) }
      return missing.sorted { $0.provider.index < $1.provider.index }
    }
  }
}

/// Fetches each session's tokens at its own provider.
struct ProviderRefreshers: TokenRefresher {
  let providers: ProviderDirectory
  /// In the order of the directory.
  let refreshers: [ProviderRefresher]

  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    guard let provider = providers.of(request.session) else {
      // Another process may know it: nothing is said against the session.
      return RefreshAnswer(.misconfigured(detail: "the session's provider is not configured"))
    }
    return await refreshers[provider.index].refresh(request)
  }

  func needsRefreshToken(for resource: ResourceKey) -> Bool {
    refreshers.first?.needsRefreshToken(for: resource) ?? true
  }
}
