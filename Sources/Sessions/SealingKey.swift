internal import Basics
internal import Crypto
internal import FoundationEssentials
internal import Glibc

/// A key for sealing: 32 random bytes. Its file holds them as base64 (either alphabet) on one line.
public struct SealingKey: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
  let bytes: [UInt8]

  /// A new key from the kernel's random numbers.
  public static func make() -> SealingKey {
    while true {
      let key = SealingKey(bytes: RandomBytes.make(byteCount))
      // One in 10⁷ looks like a weak one.
      if KeyWeakness.of(key.bytes, text: key.reveal()) == nil { return key }
    }
  }

  /// From the text of a key file; blanks and line ends around it do not count.
  /// - Throws: ``SealingKeyError/notAKey`` or ``SealingKeyError/guessable(_:)``.
  public init(text: String) throws(SealingKeyError) {
    let line = text.utf8.drop(while: Self.isBlank).reversed().drop(while: Self.isBlank).reversed()
    let word = String(decoding: Array(line), as: UTF8.self)
    guard let bytes = Base64.decodeLenient(word), bytes.count == Self.byteCount else { throw .notAKey }
    if let weakness = KeyWeakness.of(bytes, text: word) { throw .guessable(weakness) }
    self.init(bytes: bytes)
  }

  /// Reads a key file. It may be readable by its owner and its group (as secrets mounted into containers are)
  /// but by nobody else, and writable by its owner only.
  public init(file path: String) throws(SealingKeyError) {
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .file(path: path, reason: Self.reason(errno)) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .file(path: path, reason: Self.reason(errno)) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .file(path: path, reason: "not a regular file") }
    guard status.st_mode & 0o027 == 0 else {
      throw .file(
        path: path, reason: "other users can read it or its group can write it; use mode 0600 or 0640")
    }
    guard status.st_size <= 1024 else { throw .file(path: path, reason: "too long for a key") }
    var text = [UInt8](repeating: 0, count: Int(status.st_size))
    let count = unsafe text.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
    guard count == text.count else { throw .file(path: path, reason: "changed while it was read") }
    do {
      try self.init(text: String(decoding: text, as: UTF8.self))
    } catch {
      throw .file(path: path, reason: error.description)
    }
  }

  /// Writes the key to a new file with mode 0600 and waits until it is on disk. A file that exists is never
  /// overwritten.
  public func write(newFile path: String) throws(SealingKeyError) {
    let descriptor = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .file(path: path, reason: Self.reason(errno)) }
    defer { close(descriptor) }
    let text = Array((Base64URL.encode(bytes) + "\n").utf8)
    let written = unsafe text.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    guard written == text.count, fsync(descriptor) == 0 else {
      let reason = Self.reason(errno)
      unsafe unlink(path)
      throw .file(path: path, reason: reason)
    }
  }

  /// The content of a key file without the line end. This is the key itself.
  public func reveal() -> String { Base64URL.encode(bytes) }

  /// Names the key in envelopes. Reveals nothing usable: 32 bits of a hash.
  var id: UInt32 {
    let digest = Fingerprint.sha256 { hash in
      hash.update(data: Array("coatcheck sealing key".utf8))
      hash.update(data: bytes)
    }
    return UInt32(truncatingIfNeeded: digest.a >> 32)
  }

  /// Never the key.
  public var description: String { "<redacted>" }
  /// Never the key.
  public var customMirror: Mirror { Mirror(self, children: []) }

  private static let byteCount = 32

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  private static func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}

/// Why a key cannot be used.
public enum SealingKeyError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file cannot be read, written or trusted.
  case file(path: String, reason: String)
  /// Not 32 bytes in base64.
  case notAKey
  /// Anybody can guess it, for this reason.
  case guessable(KeyWeakness)
  /// No file was named.
  case noKey

  /// One clause for a message; never contains the key.
  public var description: String {
    switch self {
    case .file(let path, let reason): "\(path): \(reason)"
    case .notAKey: "not a key of 32 bytes in base64; make one with `coatcheck key`"
    case .guessable(let weakness): "a key that can be guessed: \(weakness); make one with `coatcheck key`"
    case .noKey: "no key file is named; make a key with `coatcheck key`"
    }
  }
}
