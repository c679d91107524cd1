internal import Configuration
internal import Reactor
internal import Sessions

/// Sealing keys that change while the proxy runs.
extension Gateway {
  /// Nil where nothing is sealed under a key from a file.
  func makeKeyRingWatch(
    _ store: any SessionStore, _ sealer: Sealer, _ log: EventLog, _ counters: Locked<ControlMetrics>
  ) -> KeyRingWatch? {
    let ownFile = configuration.session.store.keyFile(environment: environment)
    let files = Self.keyFiles(configuration, ownFile: ownFile)
    guard configuration.session.store.type != .memory, !files.isEmpty else { return nil }
    let source = KeyRingWatch.Source(
      files: { [configurationFile] () throws(KeyRingWatch.Unreadable) in
        guard let configurationFile else { return files }
        do throws(ConfigurationError) {
          return Self.keyFiles(try Configuration.load(path: configurationFile), ownFile: ownFile)
        } catch {
          throw KeyRingWatch.Unreadable(reason: error.description)
        }
      }, namedIn: configurationFile)
    return KeyRingWatch(
      loop: controlLoop, source: source, files: files, sealer: sealer, store: store, blocking: blocking,
      log: log, count: { event in counters.withLock { $0.sealing.count(event) } })
  }

  /// The key files that a configuration names; without any, the one beside the store.
  private static func keyFiles(_ configuration: Configuration, ownFile: String?) -> [String] {
    let named = configuration.session.encryptionKeyFiles
    return named.isEmpty ? [ownFile].compactMap { $0 } : named
  }
}
