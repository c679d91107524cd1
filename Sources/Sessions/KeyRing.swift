/// The keys of an installation: the current one seals, it and the older ones open. Never empty, and no key twice.
public struct KeyRing: Sendable, Equatable {
  /// What seals.
  public let current: SealingKey
  /// What opens, beside the current one.
  public let older: [SealingKey]

  /// How many keys there are.
  public var count: Int { older.count + 1 }

  init(current: SealingKey, older: [SealingKey]) {
    self.current = current
    self.older = older
  }

  /// Reads key files, the current key's first. Blocks.
  /// - Throws: ``SealingKeyError/file(path:reason:)`` for the first file that is not sound, and for one that has the key of a file
  ///   before it; ``SealingKeyError/noKey`` for none at all.
  public init(files: [String]) throws(SealingKeyError) {
    var keys: [SealingKey] = []
    for file in files {
      let key = try SealingKey(file: file)
      if let same = keys.firstIndex(of: key) {
        throw .file(
          path: file,
          reason:
            "the same key as in \(files[same]); take one of the two away, or make a new one with `coatcheck key`"
        )
      }
      keys.append(key)
    }
    guard let first = keys.first else { throw .noKey }
    self.init(current: first, older: Array(keys.dropFirst()))
  }
}
