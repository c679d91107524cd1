internal import Basics
internal import Crypto

/// What makes a key one that somebody could guess. Of random keys, fewer than one in a million is taken for one.
public enum KeyWeakness: Sendable, Hashable, CustomStringConvertible {
  /// Few different bytes, or many of the same in a row.
  case uniform
  /// It counts, up or down, or is a piece of an alphabet.
  case counting
  /// A part of it comes again.
  case repeating
  /// Its bytes are text, such as a password.
  case text
  /// Its base64 is made of words or a number.
  case words
  /// It stands in a document for everybody to read, or is the digest of a common word.
  case published

  /// One clause.
  public var description: String {
    switch self {
    case .uniform: "it has few different bytes"
    case .counting: "it counts"
    case .repeating: "it repeats itself"
    case .text: "it is text, such as a password, not random bytes"
    case .words: "it is written in words, not random bytes"
    case .published: "it is an example that everybody can read"
    }
  }

  /// The weakness of 32 bytes, and of the base64 that they were given in; nil: none that is seen.
  static func of(_ bytes: [UInt8], text: String) -> KeyWeakness? {
    let word = Array(text.utf8.prefix { $0 != 0x3D })
    if isUniform(bytes) { return .uniform }
    if isCounting(bytes) || isCounting(word) { return .counting }
    if isRepeating(bytes) || isRepeating(word) { return .repeating }
    if isText(bytes) { return .text }
    if isOfWords(word) { return .words }
    return publishedKeys.contains(bytes) ? .published : nil
  }

  /// Random keys have about 30 distinct bytes; fewer than 12 has a chance below 10⁻¹³, a run of six 10⁻¹⁰.
  private static func isUniform(_ bytes: [UInt8]) -> Bool {
    var run = 1
    var longest = 1
    for (a, b) in zip(bytes, bytes.dropFirst()) {
      run = a == b ? run + 1 : 1
      longest = max(longest, run)
    }
    return longest >= 6 || Set(bytes).count < 12
  }

  /// Half of all steps are the same one.
  private static func isCounting(_ bytes: [UInt8]) -> Bool {
    var steps: [UInt8: Int] = [:]
    for (a, b) in zip(bytes, bytes.dropFirst()) { steps[b &- a, default: 0] += 1 }
    return steps.values.contains { $0 >= bytes.count / 2 }
  }

  /// At some distance half of all bytes come again.
  private static func isRepeating(_ bytes: [UInt8]) -> Bool {
    (1...max(1, bytes.count / 2)).contains { distance in
      let pairs = zip(bytes, bytes.dropFirst(distance))
      return pairs.count(where: { $0 == $1 }) * 2 >= bytes.count - distance
    }
  }

  /// UTF-8 without control characters, or nearly all of it printable ASCII. A random key is that once in 10¹⁰.
  private static func isText(_ bytes: [UInt8]) -> Bool {
    if bytes.count(where: { (0x20...0x7E).contains($0) }) >= bytes.count - 2 { return true }
    guard let text = String(validating: bytes, as: UTF8.self) else { return false }
    return text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
  }

  /// Nine of ten letters of one case. Of random keys it is one in a million.
  private static func isOfWords(_ word: [UInt8]) -> Bool {
    let lower = word.count { (0x61...0x7A).contains($0) }
    let upper = word.count { (0x41...0x5A).contains($0) }
    return max(lower, upper) * 10 >= (lower + upper) * 9
  }

  /// Keys of the JOSE standards' examples, which many documents repeat, and digests of what people type when they want any key.
  private static let publishedKeys: Set<[UInt8]> = {
    let examples = [
      // RFC 7515 A.1 and RFC 7517 A.3 have longer ones, whose beginning is tempting.
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8",
      // RFC 7516 A.1 and A.4: content encryption keys.
      "saH0gFSP4XM_tAP_a5rU9ooHbltwLiJpL4LLLnrqQPw", "BNMfxVSd_P4LZJ36PyJ97mKWQFCrK_GCO1cmJXlFfWo",
      // RFC 7520 5: a symmetric key of the cookbook.
      "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
    ]
    let words = [
      "", "a", "test", "key", "secret", "password", "changeme", "example", "admin", "123456", "12345678",
      "coatcheck", "session", "session.key", "replace-me", "hello", "hello world", "foo", "default", "qwerty",
    ]
    let digests = words.flatMap { word in
      [digest(of: word), digest(of: word + "\n")]
    }
    return Set(examples.compactMap(Base64URL.decode) + digests)
  }()

  static func digest(of word: String) -> [UInt8] {
    Fingerprint.sha256 { $0.update(data: Array(word.utf8)) }.bytes
  }
}
