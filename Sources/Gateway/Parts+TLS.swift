internal import Basics
internal import Configuration
internal import OAuth
internal import Reactor

/// All that speaks TLS. Shared by all loops; certificates are replaced inside.
struct TLSParts: Sendable {
  /// Whom an upstream is trusted for, and as whom it is met. Routes that agree in it share the sessions to resume, never those
  /// that do not.
  struct Trust: Hashable, Sendable {
    var caFile: String?
    var identity: TLSIdentityFiles?

    init(caFile: String?) { self.caFile = caFile }

    init(_ route: Configuration.Route) {
      caFile = route.caFile
      if let certificate = route.clientCertificateFile, let key = route.clientPrivateKeyFile {
        identity = TLSIdentityFiles(certificateFile: certificate, privateKeyFile: key)
      }
    }
  }

  /// In front; nil for plain HTTP.
  var front: TLSServerContext?
  /// In the order of the configuration; none is shared, nor are its sessions to resume.
  var providers: [TLSClientContext]
  var upstreams: [Trust: TLSClientContext] = [:]
  /// For the session store; nil: it needs none.
  var store: TLSClientContext?

  /// All that meet others as clients.
  var clients: [TLSClientContext] { providers + upstreams.values + [store].compactMap { $0 } }

  /// Of every certificate in use, a file once.
  var facts: [TLSCertificateFacts] {
    var seen: Set<String> = []
    return ((front?.facts ?? []) + clients.compactMap(\.facts))
      .filter { seen.insert($0.file).inserted }.sorted { $0.file < $1.file }
  }
}

extension Gateway {
  func makeTLS(_ providers: [ProviderSettings]) throws(StartError) -> TLSParts {
    var tls = TLSParts(front: try makeServerTLS(), providers: [])
    for (index, settings) in providers.enumerated() {
      tls.providers.append(try makeProviderTLS(settings, index))
    }
    for (index, route) in configuration.routes.enumerated() where route.upstream.isSecure {
      let trust = TLSParts.Trust(route)
      guard tls.upstreams[trust] == nil else { continue }
      do {
        tls.upstreams[trust] = try TLSClientContext(caFile: trust.caFile, identity: trust.identity)
      } catch {
        throw StartError(description: "routes[\(index)]: \(error)")
      }
    }
    if let redis = configuration.session.store.redis {
      do { tls.store = try RedisParts.tls(redis) } catch {
        throw StartError(description: "session.store.redis: \(error)")
      }
    }
    return tls
  }

  private var identities: [TLSIdentityFiles] {
    guard let tls = configuration.tls else { return [] }
    let first = TLSIdentityFiles(
      certificateFile: tls.certificateFile, privateKeyFile: tls.privateKeyFile,
      ocspResponseFile: tls.ocspResponseFile)
    return [first]
      + tls.certificates.map {
        TLSIdentityFiles(
          certificateFile: $0.certificateFile, privateKeyFile: $0.privateKeyFile,
          ocspResponseFile: $0.ocspResponseFile)
      }
  }

  private func makeServerTLS() throws(StartError) -> TLSServerContext? {
    guard let tls = configuration.tls else { return nil }
    do {
      return try TLSServerContext(identities: identities, minimum: tls.minVersion == .tls13 ? .tls13 : .tls12)
    } catch {
      throw StartError(description: "tls: \(error)")
    }
  }

  private func makeProviderTLS(_ settings: ProviderSettings, _ index: Int) throws(StartError)
    -> TLSClientContext
  {
    let oidc = configuration.providers.all[index]
    let place = configuration.providers.place(index)
    do {
      return try TLSClientContext(caFile: oidc.caFile, identity: providerIdentity(settings, oidc))
    } catch {
      throw StartError(description: "\(place).ca_file, \(place).certificate_file: \(error)")
    }
  }

  private func providerIdentity(
    _ settings: ProviderSettings, _ oidc: Configuration.OIDC
  ) -> TLSIdentityFiles? {
    guard case .mutualTLS = settings.authentication, let certificate = oidc.certificateFile,
      let key = oidc.privateKeyFile
    else { return nil }
    return TLSIdentityFiles(certificateFile: certificate, privateKeyFile: key)
  }

  func makeCertificateWatch(
    _ tls: TLSParts, _ log: EventLog, _ counters: Locked<ControlMetrics>
  ) -> CertificateWatch {
    let clients = tls.clients
    let all = identities + clients.compactMap(\.identity)
    let files =
      all.flatMap { [$0.certificateFile, $0.privateKeyFile] + [$0.ocspResponseFile].compactMap { $0 } }
      + clients.compactMap(\.caFile)
    return CertificateWatch(
      loop: controlLoop, front: tls.front, clients: clients, files: Array(Set(files)), blocking: blocking,
      log: log, clock: Timestamp.now,
      count: { worked in
        counters.withLock { counted in
          if worked { counted.certificateReloads += 1 } else { counted.certificateReloadFailures += 1 }
        }
      })
  }
}
