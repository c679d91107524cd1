extension Provider {
  /// Exchanges a token that the proxy was handed for one that fits an upstream: Entra's on-behalf-of flow or RFC 8693. Of the latter
  /// only an answer with an access token or JWT of type `Bearer` is accepted.
  ///
  /// - Throws: ``OAuthError/credential(_:)`` with the text of ``ExchangeRequest/fault`` before anything is sent; what the token
  ///   endpoint refuses as ``OAuthError/tokenEndpoint(_:)`` with the grant.
  public func exchange(_ request: ExchangeRequest) async throws(OAuthError) -> TokenResponse {
    if let fault = request.fault { throw .credential(fault.description) }
    if request.form == .tokenExchange, settings.profile == .entra {
      throw .credential(ExchangeFault.noTokenExchange.description)
    }
    return try await requestTokens(
      request.form.grant, request.parameters(claims: settings.shaped(claims: request.claims)))
  }
}
