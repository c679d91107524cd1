internal import Basics

/// Texts of a provider's errors, made fit for logs.
enum ErrorText {
  /// Whether `text` is short and of the letters that error codes have.
  static func isCode(_ text: String) -> Bool {
    (1...128).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        ASCII.isLetter($0) || ASCII.isDigit($0)
          || [UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains($0)
      }
  }

  /// `text` without control characters, at most `limit` bytes; nil when nothing remains.
  static func clean(_ text: String, limit: Int = 1024) -> String? {
    var out = String.UnicodeScalarView()
    var length = 0
    for scalar in text.unicodeScalars {
      let isControl =
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        || (0x2028...0x202E).contains(scalar.value)
      length += UTF8.width(scalar)
      guard length <= limit else { break }
      out.append(isControl ? " " : scalar)
    }
    return out.isEmpty ? nil : String(out)
  }
}
