/// Why a store could not do what was asked.
public enum StoreError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The row is not at the generation that was to be replaced; `current` is what it has, nil when it is gone.
  case conflict(current: UInt64?)
  /// The lease that was saved under is over: another one was given since.
  case fenced
  /// The store cannot be reached or written for now: disk full, locked, read-only, closed.
  case unavailable(String)
  /// The file is not a database of this product, or is damaged.
  case corrupt(String)
  /// What is stored has the form of a newer program, which this one does not know. Nothing was changed.
  /// - Parameters:
  ///   - found: version of what is stored.
  ///   - known: the latest version that this program knows.
  case newer(found: Int, known: Int)
  /// What was to be kept is longer than `limit` bytes; nothing was written.
  case tooLarge(limit: Int)
  /// No sealing key opens what is stored.
  case sealed(SealError)

  /// One sentence for the log.
  public var description: String {
    switch self {
    case .conflict(let current):
      "the stored session changed meanwhile (\(current.map { "generation \($0)" } ?? "gone"))"
    case .fenced: "another process was given the session's lease meanwhile"
    case .unavailable(let detail): "the session store is unavailable: \(detail)"
    case .corrupt(let detail): "the session store is damaged: \(detail)"
    case .newer(let found, let known):
      """
      the session store is of version \(found), this program knows versions up to \(known): run the program that wrote it or a \
      newer one, or give this one another store, which signs everybody out
      """
    case .tooLarge(let limit): "a value to be kept is longer than \(limit) bytes"
    case .sealed(let error): "a stored value cannot be opened: \(error)"
    }
  }
}

/// Why a sealed value does not open.
public enum SealError: Error, Sendable, Hashable, CustomStringConvertible {
  /// It is not an envelope of this product.
  case malformed
  /// It was sealed under a key that is not in the ring.
  case unknownKey
  /// It was changed, or belongs to another row.
  case notAuthentic

  /// One clause for the log.
  public var description: String {
    switch self {
    case .malformed: "not a sealed value"
    case .unknownKey: "sealed under a key that is not configured"
    case .notAuthentic: "changed, or moved from another row"
    }
  }
}
