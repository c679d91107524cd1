extension Configuration {
  /// All providers of the file: one object, or a list of them.
  public struct Providers: Sendable, Hashable {
    /// At least one, in the order of the file; names and redirect paths occur once.
    public var all: [OIDC] = [OIDC()]
    /// Whether the file has a list.
    var isList = false

    /// Where the provider at `index` of ``all`` stands in the file: `oidc`, or `oidc[1]`.
    public func place(_ index: Int) -> String { isList ? "oidc[\(index)]" : "oidc" }

    /// The provider that routes and addresses call `name`.
    public func named(_ name: String) -> OIDC? { all.first { $0.name == name } }

    /// Gives each of several providers a redirect path of its own: an answer that reaches another one's path is
    /// known to be misdirected (RFC 9700 §4.4.2.2).
    mutating func settle() {
      guard all.count > 1 else { return }
      for index in all.indices where all[index].redirectPathSetting == nil {
        all[index].redirectPath = "/auth/callback/" + all[index].name
      }
    }
  }

  /// The only provider, or the first.
  public var oidc: OIDC { providers.all.first ?? OIDC() }

  /// The providers whose people may use a route: the one it names, or all.
  public func providers(of route: Route) -> [OIDC] {
    guard let name = route.provider else { return providers.all }
    return providers.all.filter { $0.name == name }
  }
}

// Demands that join several providers, and routes with them.
extension Configuration {
  func checkProviders(_ reading: inout Reading) {
    for (index, provider) in providers.all.enumerated() {
      checkCredential(provider, providers.place(index), &reading)
      checkName(provider, index, &reading)
      checkRedirectPath(provider, index, &reading)
    }
  }

  private func checkName(_ provider: OIDC, _ index: Int, _ reading: inout Reading) {
    let place = providers.place(index) + ".name"
    guard providers.all.count > 1, reading.isSound(place) else { return }
    if !reading.places.has(place) {
      return reading.note(place, "is missing: each of several providers has a name")
    }
    if let first = providers.all.firstIndex(where: { $0.name == provider.name }), first < index {
      reading.note(place, "is the name of \(providers.place(first)) already")
    }
  }

  private func checkRedirectPath(_ provider: OIDC, _ index: Int, _ reading: inout Reading) {
    let place = providers.place(index) + ".redirect_path"
    guard reading.isSound(place) else { return }
    let path = provider.redirectPath
    if let first = providers.all.firstIndex(where: { $0.redirectPath == path }), first < index,
      provider.name != providers.all[first].name
    {
      reading.note(
        place,
        "is the path of \(providers.place(first)) already: answers of different providers are kept apart by it"
      )
    }
  }

  func checkProvider(of route: Route, _ place: String, _ reading: inout Reading) {
    guard let name = route.provider, reading.isSound("\(place).provider", "oidc") else { return }
    if providers.named(name) == nil {
      reading.note(
        "\(place).provider",
        "must be the name of a provider: \(providers.all.map { "\"\($0.name)\"" }.joined(separator: ", "))")
    }
    if route.session == .optional {
      reading.note("\(place).provider", "must not be there with \"session\": \"optional\": everybody passes")
    }
  }

  private func checkCredential(_ oidc: OIDC, _ place: String, _ reading: inout Reading) {
    guard
      reading.isSound(
        "\(place).token_endpoint_auth_method", "\(place).client_secret_file", "\(place).client_secret_env",
        "\(place).private_key_file")
    else { return }
    if oidc.clientSecretFile != nil, oidc.clientSecretEnv != nil {
      reading.note(
        "\(place).client_secret_env",
        "must not stand beside \"client_secret_file\": the secret has one place")
    }
    let method = oidc.tokenEndpointAuthMethod
    switch method {
    case .clientSecretBasic, .clientSecretPost:
      guard oidc.clientSecretFile == nil, oidc.clientSecretEnv == nil else { return }
      reading.note(
        "\(place).client_secret_file",
        """
        is missing: "\(method.rawValue)" needs it, or "client_secret_env"; or set \
        "token_endpoint_auth_method" to "private_key_jwt"
        """
      )
    case .privateKeyJWT, .tlsClientAuth:
      if oidc.privateKeyFile == nil {
        reading.note("\(place).private_key_file", "is missing: \"\(method.rawValue)\" needs it")
      }
      if method == .tlsClientAuth, oidc.certificateFile == nil {
        reading.note("\(place).certificate_file", "is missing: \"tls_client_auth\" presents it")
      }
    case .workloadIdentity: break
    }
  }
}
