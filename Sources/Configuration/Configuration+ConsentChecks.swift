// Demands that join several keys about consent and token exchange.
extension Configuration {
  func checkConsent(_ reading: inout Reading) {
    let paths = Set(routes.map(\.path))
    for (index, entry) in consent.toolScopes.enumerated() {
      let place = "consent.tool_scopes[\(index)]"
      if let route = entry.route, reading.isSound(place, "routes"), !paths.contains(route) {
        reading.note(
          "\(place).route",
          "must be the path of a route: \(paths.sorted().map { "\"\($0)\"" }.joined(separator: ", "))")
      }
      if entry.tool == nil, entry.method == nil, reading.isSound(place) {
        reading.note(place, "must name a \"tool\" or a \"method\"; scopes of the whole route stand there")
      }
    }
    for (index, route) in routes.enumerated() {
      let place = "routes[\(index)]"
      checkDownstream(route, place, &reading)
      checkExchange(route, place, &reading)
    }
  }

  private func checkDownstream(_ route: Route, _ place: String, _ reading: inout Reading) {
    guard reading.isSound("\(place).downstream_consent", "\(place).consent_link_hosts") else { return }
    if route.downstreamConsent == .upstreamLink, route.consentLinkHosts.isEmpty {
      reading.note(
        "\(place).consent_link_hosts", "is missing: \"upstream_link\" shows links to these hosts only")
    }
  }

  private func checkExchange(_ route: Route, _ place: String, _ reading: inout Reading) {
    guard let exchange = route.exchange, reading.isSound("\(place).exchange", "\(place).authorization") else {
      return
    }
    if route.authorization == .none {
      reading.note(
        "\(place).exchange", "must not be there with \"authorization\": \"none\": no token is asked for")
    }
    guard exchange.form == .onBehalfOf else { return }
    if exchange.subjectToken == .idToken {
      reading.note(
        "\(place).exchange.subject_token",
        "must be \"access_token\" with \"on_behalf_of\": Microsoft Entra ID refuses ID tokens (AADSTS240002)")
    }
    for (key, isSet) in [
      ("audience", !exchange.audience.isEmpty), ("actor_token_file", exchange.actorTokenFile != nil),
    ] where isSet {
      reading.note(
        "\(place).exchange.\(key)", "must not be there with \"on_behalf_of\", which has no such thing")
    }
    if exchange.subjectScope.isEmpty {
      reading.note(
        "\(place).exchange.subject_scope",
        "is missing: \"on_behalf_of\" exchanges a token that was made for this proxy's own scope")
    }
    if route.scope.isEmpty {
      reading.note("\(place).scope", "is missing: \"on_behalf_of\" asks for the scopes of the upstream's API")
    }
  }
}
