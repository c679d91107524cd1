internal import Basics

/// Reads one `WWW-Authenticate` field value (RFC 9110 §11.6.1), forgiving what servers do in practice: parameters that only a space
/// separates, unquoted values outside the token alphabet, raw JSON in quotes.
///
/// Whatever it meets, it moves forward and never fails: a challenge that cannot be read is left out and ends the field, because
/// nothing says where the next one begins.
struct ChallengeParser {
  private let bytes: [UInt8]
  private var position = 0

  static let maxParameters = 32

  init(_ field: String) { bytes = Array(field.utf8) }

  /// At most `limit` challenges in order.
  mutating func challenges(limit: Int) -> [Challenge] {
    var out: [Challenge] = []
    skipSeparators()
    while out.count < limit, let scheme = token() {
      guard peek == nil || peek == UInt8(ascii: ",") || isSpace(peek) else { return out }
      skipSpaces()
      if peek == nil || peek == UInt8(ascii: ",") {
        out.append(Challenge(scheme: scheme))
      } else if let value = token68() {
        out.append(Challenge(scheme: scheme, token68: value))
      } else {
        guard let parameters = parameters() else { return out }
        // A repeated parameter makes the challenge say two things: it says nothing.
        if Set(parameters.map(\.name)).count == parameters.count {
          out.append(Challenge(scheme: scheme, parameters: parameters))
        }
      }
      skipSeparators()
    }
    return out
  }

  /// Parameters up to the end or to the next scheme. Nil when they cannot be read.
  private mutating func parameters() -> [Challenge.Parameter]? {
    var out: [Challenge.Parameter] = []
    while peek != nil {
      let start = position
      guard let name = token() else { return nil }
      skipSpaces()
      guard peek == UInt8(ascii: "=") else {
        position = start
        return out.isEmpty ? nil : out
      }
      position += 1
      skipSpaces()
      let lowered = ASCII.lowercased(name)
      guard out.count < Self.maxParameters, let value = value(isClaims: lowered == "claims") else {
        return nil
      }
      out.append(Challenge.Parameter(name: lowered, value: value))
      guard peek == nil || peek == UInt8(ascii: ",") || isSpace(peek) else { return nil }
      skipSeparators()
    }
    return out
  }

  private mutating func value(isClaims: Bool) -> String? {
    guard peek == UInt8(ascii: "\"") else { return unquoted() }
    position += 1
    return isClaims && isRawJSON ? rawJSON() : quotedRest()
  }

  /// The rest of a quoted string (RFC 9110 §5.6.4).
  private mutating func quotedRest() -> String? {
    var out: [UInt8] = []
    while let byte = take() {
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
      case UInt8(ascii: "\\"):
        guard let escaped = take(), isText(escaped) else { return nil }
        out.append(escaped)
      default:
        guard isText(byte) else { return nil }
        out.append(byte)
      }
    }
    return nil
  }

  private mutating func unquoted() -> String? {
    let start = position
    while let byte = peek, byte > 0x20, byte < 0x7F, byte != UInt8(ascii: ","), byte != UInt8(ascii: "\"") {
      position += 1
    }
    guard peek != UInt8(ascii: "\"") else { return nil }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  /// Whether what follows the opening quote is `{"`: as a quoted string that would be a lone brace with rubbish behind it, so it is
  /// raw JSON, as Microsoft.Identity.Web sends it.
  private var isRawJSON: Bool {
    guard peek == UInt8(ascii: "{") else { return false }
    var next = position + 1
    while next < bytes.count, bytes[next] == 0x20 { next += 1 }
    return next < bytes.count && bytes[next] == UInt8(ascii: "\"")
  }

  /// Text from a brace to its partner and the quote behind it.
  private mutating func rawJSON() -> String? {
    let start = position
    var depth = 0
    var isInString = false
    while let byte = take() {
      guard isText(byte) else { return nil }
      switch byte {
      case UInt8(ascii: "\\") where isInString:
        guard let escaped = take(), isText(escaped) else { return nil }
      case UInt8(ascii: "\""): isInString.toggle()
      case UInt8(ascii: "{") where !isInString: depth += 1
      case UInt8(ascii: "}") where !isInString:
        depth -= 1
        guard depth == 0 else { continue }
        let end = position
        guard take() == UInt8(ascii: "\"") else { return nil }
        return String(decoding: bytes[start..<end], as: UTF8.self)
      default: break
      }
    }
    return nil
  }

  /// RFC 9110 §11.2, when nothing else follows in this challenge.
  private mutating func token68() -> String? {
    var end = position
    while end < bytes.count, isToken68(bytes[end]) { end += 1 }
    guard end > position else { return nil }
    while end < bytes.count, bytes[end] == UInt8(ascii: "=") { end += 1 }
    var next = end
    while next < bytes.count, isSpace(bytes[next]) { next += 1 }
    guard next == bytes.count || bytes[next] == UInt8(ascii: ",") else { return nil }
    defer { position = next }
    return String(decoding: bytes[position..<end], as: UTF8.self)
  }

  /// RFC 9110 §5.6.2.
  private mutating func token() -> String? {
    let start = position
    while let byte = peek, isTokenByte(byte) { position += 1 }
    return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
  }

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func take() -> UInt8? {
    guard let byte = peek else { return nil }
    position += 1
    return byte
  }

  private mutating func skipSpaces() { while isSpace(peek) { position += 1 } }

  private mutating func skipSeparators() {
    while isSpace(peek) || peek == UInt8(ascii: ",") { position += 1 }
  }

  private func isSpace(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }

  private func isText(_ byte: UInt8) -> Bool { byte == 0x09 || (byte >= 0x20 && byte != 0x7F) }

  private func isTokenByte(_ byte: UInt8) -> Bool {
    ASCII.isLetter(byte) || ASCII.isDigit(byte) || Self.tokenMarks.contains(byte)
  }

  private func isToken68(_ byte: UInt8) -> Bool {
    ASCII.isLetter(byte) || ASCII.isDigit(byte) || Self.token68Marks.contains(byte)
  }

  private static let tokenMarks = Array("!#$%&'*+-.^_`|~".utf8)
  private static let token68Marks = Array("-._~+/".utf8)
}
