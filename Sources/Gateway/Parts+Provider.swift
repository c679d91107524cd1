internal import Basics
internal import Configuration
internal import OAuth

/// From the `oidc` section to what the provider module wants.
extension Gateway {
  func providerSettings() throws(StartError) -> ProviderSettings {
    let oidc = configuration.oidc
    let credential: ClientCredential
    do { credential = try configuration.readCredential(environment: environment) } catch {
      throw StartError(description: error.description)
    }
    var settings = ProviderSettings(
      issuer: oidc.issuer.text, clientID: oidc.clientID, authentication: try authentication(credential))
    settings.profile = providerProfile
    settings.clockSkew = oidc.clockSkew
    settings.allowedTenants = Set(oidc.allowedTenants)
    settings.extraAuthorizationParameters = oidc.extraAuthorizationParams.map { ($0.name, $0.value) }
    return settings
  }

  private func authentication(_ credential: ClientCredential) throws(StartError) -> ClientAuthentication {
    switch credential {
    case .secret(let secret):
      return configuration.oidc.tokenEndpointAuthMethod == .clientSecretPost
        ? .clientSecretPost(secret) : .clientSecretBasic(secret)
    case .assertionFile(let file): return WorkloadIdentity.authentication(file: file, reader: readFile)
    case .clientCertificate: return .mutualTLS
    case .privateKey(let pem, let certificate):
      do {
        return .privateKeyJWT(
          try ClientAssertionKey(
            pem: pem,
            algorithm: configuration.oidc.signingAlg.flatMap { SigningAlgorithm(rawValue: $0.rawValue) },
            keyID: configuration.oidc.keyID, certificatePEM: certificate))
      } catch {
        throw StartError(description: "oidc.private_key_file: \(error)")
      }
    }
  }
}
