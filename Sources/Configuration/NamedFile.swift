internal import Basics

/// A file that a key of the configuration names, and what must be in it.
struct NamedFile {
  /// What must be in a file.
  enum Kind {
    case secret, token, privateKey, certificate, sealingKey, adminToken

    /// Completes "the file x": what is wrong when the content is not that.
    var demand: String {
      switch self {
      case .secret: "must hold a secret: one line of text, not empty"
      case .token: "must hold one token, such as a JWT"
      case .privateKey: "must hold a private key in PEM form, without a password"
      case .certificate: "must hold certificates in PEM form"
      case .sealingKey: "must hold a key as \"coatcheck key\" prints it"
      case .adminToken:
        "must hold one line of at least 32 letters, digits and signs that nobody can guess: make one with \"coatcheck key\""
      }
    }
  }

  /// Why a file cannot be used.
  struct Failure: Error {
    let path: String
    let message: String
    let isMissing: Bool
  }

  /// Path of the key.
  let path: String
  let file: String
  let kind: Kind

  /// The checked content.
  func read() throws(Failure) -> [UInt8] {
    let content: [UInt8]
    do {
      content = try FileReader.read(file, limit: Configuration.maxFileBytes, isPrivate: kind == .adminToken)
    } catch {
      throw Failure(path: path, message: "the file \(file) \(error.message)", isMissing: error.isMissing)
    }
    guard holds(content) else {
      throw Failure(path: path, message: "the file \(file) \(kind.demand)", isMissing: false)
    }
    return content
  }

  /// The secret in the bytes of a file: without line ends behind it; nil when nothing or several lines
  /// remain.
  static func secret(_ content: [UInt8]) -> Secret? {
    let end = content.lastIndex { $0 != 0x0A && $0 != 0x0D }.map { $0 + 1 } ?? 0
    let bytes = Array(content[..<end])
    let isLine = !bytes.isEmpty && bytes.count <= 4096 && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    return isLine && String(validating: bytes, as: UTF8.self) != nil ? Secret(bytes: bytes) : nil
  }

  /// The token in the bytes of a file; nil when it is none, too short, or one that can be guessed.
  static func adminToken(_ content: [UInt8]) -> Secret? {
    guard let secret = secret(content) else { return nil }
    let isStrong = secret.withBytes { bytes in
      var seen: Set<UInt8> = []
      for i in bytes.indices {
        guard (0x21...0x7E).contains(bytes[i]) else { return false }
        seen.insert(bytes[i])
      }
      // Of random letters so few are alike; what is typed or repeated has fewer kinds.
      return bytes.count >= 32 && seen.count >= 12
    }
    return isStrong ? secret : nil
  }

  /// Platforms' tokens have one or two thousand.
  private static let maxTokenBytes = 16 << 10

  private func holds(_ content: [UInt8]) -> Bool {
    switch kind {
    case .secret: return Self.secret(content) != nil
    case .token:
      let words = content.split { $0 <= 0x20 }
      return words.count == 1 && content.count <= Self.maxTokenBytes && words[0].allSatisfy { $0 < 0x7F }
    case .privateKey:
      let text = String(decoding: content, as: UTF8.self)
      return text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----")
        && !text.contains("ENCRYPTED")
    case .certificate: return String(decoding: content, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----")
    case .adminToken: return Self.adminToken(content) != nil
    case .sealingKey:
      let line = content.filter { $0 > 0x20 }
      return Base64.decodeLenient(String(decoding: line, as: UTF8.self))?.count == 32
    }
  }
}
