public import Basics

/// A key for sealing: 32 random bytes, in a file as 43 characters of base64url.
public struct SealingKey: Sendable, CustomStringConvertible {
  let secret: Secret

  /// A new random key.
  public static func make() -> SealingKey { fatalError() }
  /// From the text of a key file; blanks around it do not count.
  public init(text: String) throws(SealingKeyError) { fatalError() }
  /// Reads a key file. It must be a regular file that nobody but its owner can read.
  public init(file path: String) throws(SealingKeyError) { fatalError() }
  /// Writes the key to a new file with mode 0600. An existing file is never overwritten.
  public func write(newFile path: String) throws(SealingKeyError) { fatalError() }
  /// The content of a key file: base64url and a line end.
  public func fileText() -> Secret { fatalError() }
  public var description: String { "<redacted>" }
}

/// Why a key file is not usable.
public enum SealingKeyError: Error, Sendable, Hashable, CustomStringConvertible {
  case file(path: String, reason: String)
  case notAKey
  case trivial
  public var description: String { fatalError() }
}

/// Seals values with AES-256-GCM under a ring of keys.
public struct Sealer: Sendable {
  /// The first key seals; all open.
  public init(keys: [SealingKey]) throws(SealingKeyError) { fatalError() }
  /// Seals for one place.
  public func seal(_ plain: [UInt8], for place: SealPlace) -> [UInt8] { fatalError() }
  /// Opens what was sealed for the same place.
  public func open(_ envelope: [UInt8], for place: SealPlace) throws(SealError) -> [UInt8] { fatalError() }
  /// Whether it was sealed under the first key.
  public func isCurrent(_ envelope: [UInt8]) -> Bool { fatalError() }
}

/// Where a sealed value belongs.
public struct SealPlace: Sendable, Hashable {
  public init(table: String, row: [UInt8], field: String) { fatalError() }
}
