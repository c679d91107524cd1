internal import Basics
internal import Configuration
internal import HTTP
internal import OAuth
internal import Reactor
internal import Sessions
internal import Wire

/// From the `oidc` section to what the provider module wants, once for each provider.
extension Gateway {
  /// How a provider behaves beyond the standards.
  func profile(of oidc: Configuration.OIDC) -> ProviderProfile {
    switch oidc.profile {
    case .auto: .of(issuer: oidc.issuer.text)
    case .standard: .standard
    case .entra: .entra
    }
  }

  /// The settings of all providers, in the order of the configuration.
  func providerSettings() throws(StartError) -> [ProviderSettings] {
    var all: [ProviderSettings] = []
    for (index, oidc) in configuration.providers.all.enumerated() {
      let credential: ClientCredential
      do {
        credential = try configuration.readCredential(ofProvider: index, environment: environment)
      } catch {
        throw StartError(description: error.description)
      }
      var settings = ProviderSettings(
        issuer: oidc.issuer.text, clientID: oidc.clientID,
        authentication: try authentication(credential, oidc, configuration.providers.place(index)))
      settings.profile = profile(of: oidc)
      settings.clockSkew = oidc.clockSkew
      settings.allowedTenants = Set(oidc.allowedTenants)
      settings.extraAuthorizationParameters = oidc.extraAuthorizationParams.map { ($0.name, $0.value) }
      all.append(settings)
    }
    return all
  }

  private func authentication(
    _ credential: ClientCredential, _ oidc: Configuration.OIDC, _ place: String
  ) throws(StartError) -> ClientAuthentication {
    switch credential {
    case .secret(let secret):
      return oidc.tokenEndpointAuthMethod == .clientSecretPost
        ? .clientSecretPost(secret) : .clientSecretBasic(secret)
    case .assertionFile(let file): return WorkloadIdentity.authentication(file: file, reader: readFile)
    case .clientCertificate: return .mutualTLS
    case .privateKey(let pem, let certificate):
      do {
        return .privateKeyJWT(
          try ClientAssertionKey(
            pem: pem, algorithm: oidc.signingAlg.flatMap { SigningAlgorithm(rawValue: $0.rawValue) },
            keyID: oidc.keyID, certificatePEM: certificate))
      } catch {
        throw StartError(description: "\(place).private_key_file: \(error)")
      }
    }
  }

  /// All providers with what is theirs alone.
  func makeProviders(
    _ settings: [ProviderSettings], _ tls: TLSParts, slots: CredentialSlots, routes: RouteTable,
    cookies: CookieJar, store: any SessionStore
  ) -> ProviderDirectory {
    var all: [ConfiguredProvider] = []
    let isOnly = configuration.providers.all.count == 1
    for (index, oidc) in configuration.providers.all.enumerated() {
      let provider = makeProvider(settings[index], tls.providers[index])
      let own = CredentialSlots(
        slots, scopeNamesResource: settings[index].profile == .entra, used: used(by: index, slots, routes))
      let signIn = SignIn(
        provider: provider, store: store,
        settings: SignIn.Settings(
          provider: oidc.name, redirectURI: configuration.redirectURI(of: oidc), issuer: oidc.issuer.text,
          scope: oidc.scope, routeScopes: own.routeScopes,
          resource: own.firstRefreshed.flatMap { own.askedResource($0) }, acrValues: oidc.acrValues,
          prompt: oidc.prompt, cookies: cookies), clock: Timestamp.now)
      all.append(
        ConfiguredProvider(
          index: index, name: oidc.name,
          sessionName: isOnly && oidc.name == Configuration.OIDC.defaultName ? nil : oidc.name,
          title: oidc.displayName ?? oidc.issuer.host, provider: provider, signIn: signIn, slots: own,
          origin: oidc.issuer.origin, callbackPath: oidc.redirectPath,
          postLogoutRedirectURI: configuration.postLogoutRedirectURI(of: oidc),
          frontChannel: ConfiguredProvider.FrontChannel(oidc.frontChannelLogout)))
    }
    return ProviderDirectory(all: all)
  }

  /// The slots of the routes that people of a provider may use, with those whose tokens are exchanged for them.
  private func used(by index: Int, _ slots: CredentialSlots, _ routes: RouteTable) -> Set<Int> {
    var used: Set<Int> = []
    for route in routes.all where route.provider == nil || route.provider?.index == index {
      guard let slot = route.credentialSlot else { continue }
      used.insert(slot)
      if let subject = slots.slots[slot].exchange?.subject { used.insert(subject) }
    }
    return used
  }

  private func makeProvider(_ settings: ProviderSettings, _ tls: TLSClientContext) -> Provider {
    var client = HTTPClientSettings(tls: tls)
    client.connectTimeout = configuration.timeouts.connect
    client.timeout = configuration.tokens.refreshTimeout
    let connector = Connector(loop: controlLoop, blocking: blocking)
    let transport = HTTPClient(loop: controlLoop, settings: client, connector: connector)
    return Provider(
      settings: settings, transport: transport, executor: controlLoop, clock: Timestamp.now)
  }
}
