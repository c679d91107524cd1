internal import Basics

/// A file that a key of the configuration names, and what must be in it.
struct NamedFile {
  /// What must be in a file.
  enum Kind {
    case secret, token, privateKey, certificate, sealingKey

    /// Completes "the file x": what is wrong when the content is not that.
    var demand: String {
      switch self {
      case .secret: "must hold a secret: one line of text, not empty"
      case .token: "must hold one token, such as a JWT"
      case .privateKey: "must hold a private key in PEM form, without a password"
      case .certificate: "must hold certificates in PEM form"
      case .sealingKey: "must hold a key as \"coatcheck key\" prints it"
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
      content = try FileReader.read(file, limit: Configuration.maxFileBytes)
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
    case .sealingKey:
      let line = content.filter { $0 > 0x20 }
      return Base64.decodeLenient(String(decoding: line, as: UTF8.self))?.count == 32
    }
  }
}
