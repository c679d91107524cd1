public import Basics

/// What the proxy proves its identity with at the token endpoint, read from where the configuration says.
public enum ClientCredential: Sendable {
  /// A shared secret, for `client_secret_basic` and `client_secret_post`.
  case secret(Secret)
  /// For `private_key_jwt`: the key and, where configured, its certificate, both PEM.
  case privateKey(Secret, certificate: String?)
  /// For `workload_identity`: the file whose content is sent, read again for each request.
  case assertionFile(String)
  /// For `tls_client_auth`: the files are given to the TLS library.
  case clientCertificate(certificateFile: String, privateKeyFile: String)
}

/// What the proxy signs in at the session store with.
public struct StorePasswords: Sendable {
  /// Of the servers; nil: none is sent.
  public var password: Secret?
  /// Of the sentinels themselves; nil: none is sent.
  public var sentinelPassword: Secret?
}

extension Configuration {
  /// Reads the passwords that `session.store.redis` names. Blocks.
  /// - Throws: what is missing, empty or not one line; the password itself is never in a message.
  public func readStorePasswords() throws(ConfigurationError) -> StorePasswords {
    let redis = session.store.redis
    do throws(NamedFile.Failure) {
      let read = { (key: String, file: String?) throws(NamedFile.Failure) -> Secret? in
        guard let file else { return nil }
        let named = NamedFile(path: "session.store.redis.\(key)", file: file, kind: .secret)
        return NamedFile.secret(try named.read())
      }
      return StorePasswords(
        password: try read("password_file", redis?.passwordFile),
        sentinelPassword: try read("sentinel_password_file", redis?.sentinelPasswordFile))
    } catch {
      throw ConfigurationError(problems: [places.problem(error.path, error.message)])
    }
  }

  /// Reads the token that operators show at the admin listener; nil where none is configured. Blocks.
  /// - Throws: what is missing, weak or open to others; the token itself is never in a message.
  public func readAdminToken() throws(ConfigurationError) -> Secret? {
    guard let file = admin?.tokenFile else { return nil }
    do throws(NamedFile.Failure) {
      return NamedFile.adminToken(
        try NamedFile(path: "admin.token_file", file: file, kind: .adminToken).read())
    } catch {
      throw ConfigurationError(problems: [places.problem(error.path, error.message)])
    }
  }

  /// What a tool of operators is told where there is no such token.
  public func missingAdminToken() -> ConfigurationError {
    ConfigurationError(problems: [
      places.problem("admin.token_file", "is missing: sessions are seen and ended with its token only")
    ])
  }

  /// Reads what `token_endpoint_auth_method` of the provider at `index` needs. Blocks.
  /// - Parameters:
  ///   - index: place in ``Providers/all``.
  ///   - environment: where `client_secret_env` is looked up.
  /// - Throws: what is missing, empty or not what it should be; the secret itself is never in a message.
  public func readCredential(
    ofProvider index: Int, environment: [String: String]
  ) throws(ConfigurationError) -> ClientCredential {
    let (oidc, place) = (providers.all[index], providers.place(index))
    do throws(NamedFile.Failure) {
      switch oidc.tokenEndpointAuthMethod {
      case .clientSecretBasic, .clientSecretPost: return .secret(try readSecret(oidc, place, environment))
      case .privateKeyJWT:
        let key = try NamedFile(
          path: "\(place).private_key_file", file: oidc.privateKeyFile ?? "", kind: .privateKey
        ).read()
        let certificate = try oidc.certificateFile.map { file throws(NamedFile.Failure) in
          try NamedFile(path: "\(place).certificate_file", file: file, kind: .certificate).read()
        }
        return .privateKey(
          Secret(bytes: key), certificate: certificate.map { String(decoding: $0, as: UTF8.self) })
      case .workloadIdentity:
        let variable = "AZURE_FEDERATED_TOKEN_FILE"
        guard let file = oidc.assertionFile ?? environment[variable], !file.isEmpty else {
          throw NamedFile.Failure(
            path: "\(place).assertion_file",
            message: "is missing, and the environment variable \(variable) is not set", isMissing: true)
        }
        _ = try NamedFile(path: "\(place).assertion_file", file: file, kind: .token).read()
        return .assertionFile(file)
      case .tlsClientAuth:
        let certificate = NamedFile(
          path: "\(place).certificate_file", file: oidc.certificateFile ?? "", kind: .certificate)
        let key = NamedFile(
          path: "\(place).private_key_file", file: oidc.privateKeyFile ?? "", kind: .privateKey)
        _ = (try certificate.read(), try key.read())
        return .clientCertificate(certificateFile: certificate.file, privateKeyFile: key.file)
      }
    } catch {
      throw ConfigurationError(problems: [places.problem(error.path, error.message)])
    }
  }

  private func readSecret(
    _ oidc: OIDC, _ place: String, _ environment: [String: String]
  ) throws(NamedFile.Failure) -> Secret {
    if let variable = oidc.clientSecretEnv {
      let path = "\(place).client_secret_env"
      guard let text = environment[variable] else {
        throw NamedFile.Failure(
          path: path, message: "the environment variable \(variable) is not set", isMissing: true)
      }
      guard let secret = NamedFile.secret(Array(text.utf8)) else {
        throw NamedFile.Failure(
          path: path, message: "the environment variable \(variable) \(NamedFile.Kind.secret.demand)",
          isMissing: false)
      }
      return secret
    }
    let file = NamedFile(
      path: "\(place).client_secret_file", file: oidc.clientSecretFile ?? "", kind: .secret)
    return NamedFile.secret(try file.read()) ?? Secret("")
  }
}
