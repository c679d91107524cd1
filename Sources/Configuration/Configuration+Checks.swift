internal import Basics

// Demands that join several keys. Each is made only when the keys it joins are sound by themselves, so that
// one mistake is reported once.
extension Configuration {
  func check(_ reading: inout Reading) {
    checkFront(&reading)
    checkProviders(&reading)
    checkRoutes(&reading)
    checkConsent(&reading)
    checkSession(&reading)
    checkStore(&reading)
  }

  private func checkFront(_ reading: inout Reading) {
    if reading.isSound("listen", "tls", "trusted_proxies"), tls == nil, !listen.isLoopback,
      trustedProxies.isEmpty
    {
      reading.note(
        "listen",
        """
        must be a loopback address while there is neither "tls" nor a proxy in "trusted_proxies": \
        tickets must not cross a network in the clear
        """
      )
    }
    if reading.isSound("public_url", "tls"), tls != nil, !publicURL.isSecure {
      reading.note(
        "public_url", "must be https when there is \"tls\": browsers send the ticket to https only")
    }
    if reading.isSound("listen", "admin"), let admin, admin.listen.port == listen.port,
      admin.listen.bytes == listen.bytes || admin.listen.isUnspecified || listen.isUnspecified
    {
      reading.note("admin.listen", "must not be the address that clients connect to")
    }
  }

  private func checkRoutes(_ reading: inout Reading) {
    var seen: [String: Int] = [:]
    for (index, route) in routes.enumerated() {
      let place = "routes[\(index)]"
      if reading.isSound("\(place).path") {
        if let first = seen[route.path] {
          reading.note("\(place).path", "is the path of routes[\(first)] already: each path has one route")
        }
        seen[route.path] = seen[route.path] ?? index
      }
      checkProvider(of: route, place, &reading)
      checkToken(route, place, &reading)
      checkUpstream(route, place, &reading)
    }
  }

  private func checkToken(_ route: Route, _ place: String, _ reading: inout Reading) {
    guard reading.isSound("\(place).authorization", "\(place).session") else { return }
    if route.authorization == .none {
      for (key, isSet) in [("scope", !route.scope.isEmpty), ("resource", route.resource != nil)] where isSet {
        reading.note(
          "\(place).\(key)", "must not be there with \"authorization\": \"none\": no token is asked for")
      }
      return
    }
    if route.session == .optional {
      reading.note(
        "\(place).session",
        "must be \"required\" unless \"authorization\" is \"none\": without a session there is no token")
    }
    if reading.isSound("\(place).scope", "\(place).resource", "oidc"), route.scope.isEmpty,
      route.resource == nil, !providers(of: route).allSatisfy(\.namesAnAPI)
    {
      reading.note(
        "\(place).scope",
        """
        is missing: a route with a token needs the scopes of its API here, or a "resource", or an API's \
        scope in oidc.scope; without a token it has "authorization": "none"
        """
      )
    }
  }

  private func checkUpstream(_ route: Route, _ place: String, _ reading: inout Reading) {
    if reading.isSound("\(place).upstream", "\(place).ca_file"), route.caFile != nil, !route.upstream.isSecure
    {
      reading.note(
        "\(place).ca_file", "must not be there with an http upstream: there is no certificate to check")
    }
    checkClientCertificate(route, place, &reading)
    guard reading.isSound("\(place).upstream", "listen", "public_url") else { return }
    let isListener =
      route.upstream.port == listen.port
      && (IPLiteral(route.upstream.host)?.bytes == listen.bytes
        || route.upstream.isLoopback && (listen.isLoopback || listen.isUnspecified))
    if isListener || route.upstream.origin == publicURL.origin {
      reading.note("\(place).upstream", "must not be the proxy itself: requests would go round in circles")
    }
    if reading.isSound("\(place).pass_cookies", "session.cookie_name") {
      let own = ["__Host-coatcheck", "coatcheck", session.cookieName]
      for (index, name) in route.passCookies.enumerated() where own.contains(where: name.hasPrefix) {
        reading.note(
          "\(place).pass_cookies[\(index)]",
          "must not be a cookie of the proxy: an upstream never sees the ticket")
      }
    }
  }

  private func checkClientCertificate(_ route: Route, _ place: String, _ reading: inout Reading) {
    let (certificate, key) = ("\(place).client_certificate_file", "\(place).client_private_key_file")
    guard reading.isSound(certificate, key, "\(place).upstream") else { return }
    switch (route.clientCertificateFile, route.clientPrivateKeyFile) {
    case (nil, nil): break
    case (nil, _): reading.note(certificate, "is missing: \"client_private_key_file\" is the key of one")
    case (_, nil): reading.note(key, "is missing: \"client_certificate_file\" needs it")
    case (_, _) where !route.upstream.isSecure:
      reading.note(certificate, "must not be there with an http upstream: nobody asks for it")
    case (_, _): break
    }
  }

  private func checkSession(_ reading: inout Reading) {
    if reading.isSound("session.idle_timeout", "session.absolute_timeout"),
      session.idleTimeout > session.absoluteTimeout
    {
      reading.note(
        "session.absolute_timeout",
        "must be at least session.idle_timeout, which is \(session.idleTimeout.text)")
    }
    if reading.isSound("session.cookie_name", "public_url"), publicURL.isSecure,
      !session.cookieName.hasPrefix("__Host-") || session.cookieName == "__Host-"
    {
      reading.note(
        "session.cookie_name",
        "must be a name that begins with \"__Host-\": browsers then keep other hosts from setting it")
    }
    if reading.isSound("session.same_site", "public_url"), session.sameSite == .none, !publicURL.isSecure {
      reading.note(
        "session.same_site",
        "must be \"Strict\" or \"Lax\" with an http \"public_url\": browsers drop the cookie")
    }
  }
}

extension Configuration {
  /// What is allowed and may be meant, but puts something at risk; for the log at start and for a check.
  public var cautions: [ConfigurationError.Problem] {
    var cautions: [ConfigurationError.Problem] = []
    for (index, route) in routes.enumerated()
    where route.authorization == .bearer && !route.upstream.isSecure && !route.upstream.isLoopback {
      cautions.append(
        places.problem("routes[\(index)].upstream", "is http: users' tokens cross the network in the clear"))
    }
    for (index, route) in routes.enumerated() where providers(of: route).allSatisfy(\.isEntra) {
      if route.resource != nil {
        cautions.append(
          places.problem(
            "routes[\(index)].resource", "is not sent: Microsoft Entra ID names resources in scopes"))
      }
      if route.exchange?.form == .tokenExchange {
        cautions.append(
          places.problem(
            "routes[\(index)].exchange.form",
            "will be refused: Microsoft Entra ID has \"on_behalf_of\" instead"))
      }
    }
    for (index, provider) in providers.all.enumerated()
    where provider.isEntra && provider.isForManyTenants && provider.allowedTenants.isEmpty {
      cautions.append(
        places.problem(
          providers.place(index) + ".allowed_tenants", "is empty: people of every tenant can sign in"))
    }
    let checksBefore = consent.requirePreConsent || routes.contains { $0.requirePreConsent == true }
    if !checksBefore, !consent.toolScopes.isEmpty || consent.learnToolScopes {
      cautions.append(
        places.problem(
          consent.toolScopes.isEmpty ? "consent.learn_tool_scopes" : "consent.tool_scopes",
          "has no effect: no route has \"require_pre_consent\""))
    }
    if let redis = session.store.redis, !redis.tls, redis.nodes.contains(where: { !$0.isLoopback }) {
      cautions.append(
        places.problem(
          "session.store.redis.tls",
          "is false: the password crosses the network in the clear, and whoever has it can end every session")
      )
    }
    if let admin, !admin.listen.isLoopback {
      cautions.append(
        places.problem("admin.listen", "is not a loopback address: keep everybody else away from it"))
    }
    return cautions
  }
}

extension Configuration.OIDC {
  /// Whether the provider is Microsoft Entra ID, as far as the file tells.
  var isEntra: Bool {
    profile == .entra || profile == .auto && issuer.host.hasPrefix("login.microsoftonline.")
  }

  /// Whether the issuer stands for tenants that it does not name.
  var isForManyTenants: Bool {
    ["common", "organizations"].contains(issuer.path.split(separator: "/").first ?? "")
  }

  /// Whether the sign-in alone leads to a token for some API: it asks for a scope that OpenID Connect Core
  /// 1.0 (§5.4, §11) does not define, or names an audience in the way some providers have.
  var namesAnAPI: Bool {
    let ofSignIn: Set<String> = ["openid", "profile", "email", "address", "phone", "offline_access"]
    return !ofSignIn.isSuperset(of: scope) || extraAuthorizationParams.contains { $0.name == "audience" }
  }
}

extension ListenAddress {
  /// Whether it means every address of the machine: `0.0.0.0` or `::`.
  var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
}
