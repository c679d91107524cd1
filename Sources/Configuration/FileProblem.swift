/// Something outside the configuration file that the configuration needs and that is not as it must be.
public struct FileProblem: Sendable, Hashable, CustomStringConvertible {
  /// What and where; the message names the file.
  public let problem: ConfigurationError.Problem
  /// Whether it does not exist, rather than being wrong: natural where the configuration is checked on
  /// another machine than the one it is for.
  public let isMissing: Bool

  public var description: String { problem.description }
}

extension Configuration {
  /// Looks at everything outside the file that the configuration needs: certificates, keys, the client secret
  /// and the store's directory. Blocks.
  ///
  /// What it finds keeps the proxy from starting. A check of the form alone may pass over what
  /// ``FileProblem/isMissing``.
  /// - Parameter environment: where `client_secret_env` and `STATE_DIRECTORY` are looked up.
  public func fileProblems(environment: [String: String]) -> [FileProblem] {
    var found: [FileProblem] = []
    for file in namedFiles {
      do throws(NamedFile.Failure) {
        _ = try file.read()
      } catch {
        found.append(
          FileProblem(problem: places.problem(error.path, error.message), isMissing: error.isMissing))
      }
    }
    for (index, provider) in providers.all.enumerated() {
      guard let variable = provider.clientSecretEnv, provider.tokenEndpointAuthMethod.usesSecret else {
        continue
      }
      do throws(ConfigurationError) {
        _ = try readCredential(ofProvider: index, environment: environment)
      } catch {
        let isMissing = environment[variable] == nil
        found += error.problems.map { FileProblem(problem: $0, isMissing: isMissing) }
      }
    }
    return found + storeProblems(environment)
  }

  /// Every file that is read at start.
  private var namedFiles: [NamedFile] {
    var files: [NamedFile] = []
    func add(_ path: String, _ file: String?, _ kind: NamedFile.Kind) {
      if let file { files.append(NamedFile(path: path, file: file, kind: kind)) }
    }
    if let tls {
      add("tls.certificate_file", tls.certificateFile, .certificate)
      add("tls.private_key_file", tls.privateKeyFile, .privateKey)
      for (index, pair) in tls.certificates.enumerated() {
        add("tls.certificates[\(index)].certificate_file", pair.certificateFile, .certificate)
        add("tls.certificates[\(index)].private_key_file", pair.privateKeyFile, .privateKey)
      }
    }
    for (index, oidc) in providers.all.enumerated() {
      let place = providers.place(index)
      switch oidc.tokenEndpointAuthMethod {
      case .privateKeyJWT, .tlsClientAuth:
        add("\(place).private_key_file", oidc.privateKeyFile, .privateKey)
        add("\(place).certificate_file", oidc.certificateFile, .certificate)
      case .workloadIdentity: add("\(place).assertion_file", oidc.assertionFile, .token)
      case .clientSecretBasic, .clientSecretPost:
        add("\(place).client_secret_file", oidc.clientSecretFile, .secret)
      }
      add("\(place).ca_file", oidc.caFile, .certificate)
    }
    for (index, route) in routes.enumerated() {
      add("routes[\(index)].ca_file", route.caFile, .certificate)
      add("routes[\(index)].client_certificate_file", route.clientCertificateFile, .certificate)
      add("routes[\(index)].client_private_key_file", route.clientPrivateKeyFile, .privateKey)
      add("routes[\(index)].exchange.actor_token_file", route.exchange?.actorTokenFile, .token)
    }
    if let redis = session.store.redis {
      add("session.store.redis.ca_file", redis.caFile, .certificate)
      add("session.store.redis.certificate_file", redis.certificateFile, .certificate)
      add("session.store.redis.private_key_file", redis.privateKeyFile, .privateKey)
      add("session.store.redis.password_file", redis.passwordFile, .secret)
      add("session.store.redis.sentinel_password_file", redis.sentinelPasswordFile, .secret)
    }
    add("admin.token_file", admin?.tokenFile, .adminToken)
    for (index, file) in session.encryptionKeyFiles.enumerated() {
      add("session.encryption_key_files[\(index)]", file, .sealingKey)
    }
    return files
  }

  private func storeProblems(_ environment: [String: String]) -> [FileProblem] {
    guard let file = session.store.file(environment: environment) else { return [] }
    let directory = FilePaths.directory(of: file)
    guard let failure = FileReader.problem(directory: directory) else { return [] }
    let name = directory.isEmpty ? "." : directory
    let message = "the directory \(name) \(failure.message)"
    return [FileProblem(problem: places.problem("session.store.path", message), isMissing: failure.isMissing)]
  }
}
