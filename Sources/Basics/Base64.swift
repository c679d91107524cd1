/// Base64 with the URL-safe alphabet (RFC 4648 §5), as tickets, JWTs and PKCE use it.
public enum Base64URL {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  /// `bytes` without padding.
  public static func encode(_ bytes: [UInt8]) -> String {
    String(decoding: Base64.encode(bytes, alphabet, padded: false), as: UTF8.self)
  }

  /// The bytes of `text`, padded or not. Nil for a byte outside the URL-safe alphabet, wrong padding, or unused bits
  /// that are not zero (two texts must not mean the same bytes).
  public static func decode(_ text: String) -> [UInt8]? {
    Base64.decode(text.utf8.span, value: value)
  }

  /// The 32 bytes of an unpadded text of 43 characters, without allocation; nil for anything else.
  public static func decode32(_ text: Span<UInt8>) -> Bytes32? {
    guard text.count == 43 else { return nil }
    var words = InlineArray<4, UInt64>(repeating: 0)
    var accumulator: UInt32 = 0
    var bits: UInt32 = 0
    var written = 0
    for i in 0..<43 {
      guard let six = value(text[i]) else { return nil }
      accumulator = accumulator << 6 | UInt32(six)
      bits += 6
      if bits >= 8 {
        bits -= 8
        let byte = UInt64(accumulator >> bits & 0xFF)
        words[written >> 3] = words[written >> 3] << 8 | byte
        written += 1
      }
    }
    guard accumulator & 0b11 == 0 else { return nil }
    return Bytes32(words[0], words[1], words[2], words[3])
  }

  /// As ``decode32(_:)-(Span<UInt8>)``, for a range of a buffer: a cookie's value.
  public static func decode32(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Bytes32? {
    guard range.count == 43 else { return nil }
    return decode32(buffer.span.extracting(range))
  }

  static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 71
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte + 4
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }
}

/// Base64 with the standard alphabet (RFC 4648 §4).
public enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// `bytes` with padding.
  public static func encode(_ bytes: [UInt8]) -> String {
    String(decoding: encode(bytes, alphabet, padded: true), as: UTF8.self)
  }

  /// The bytes of `text` in either alphabet, padded or not: what claims challenges contain in practice.
  /// Nil for other bytes, wrong padding or unused bits that are not zero.
  public static func decodeLenient(_ text: String) -> [UInt8]? {
    decode(text.utf8.span) { byte in
      switch byte {
      case UInt8(ascii: "+"): 62
      case UInt8(ascii: "/"): 63
      default: Base64URL.value(byte)
      }
    }
  }

  /// The bytes of `text` in the standard alphabet, padded or not; nil as ``decodeLenient(_:)``.
  public static func decode(_ text: String) -> [UInt8]? {
    decode(text.utf8.span) { byte in
      switch byte {
      case UInt8(ascii: "+"): 62
      case UInt8(ascii: "/"): 63
      case UInt8(ascii: "-"), UInt8(ascii: "_"): nil
      default: Base64URL.value(byte)
      }
    }
  }

  static func encode(_ bytes: [UInt8], _ alphabet: [UInt8], padded: Bool) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var i = 0
    while i < bytes.count {
      let left = min(3, bytes.count - i)
      var group = UInt32(bytes[i]) << 16
      if left > 1 { group |= UInt32(bytes[i + 1]) << 8 }
      if left > 2 { group |= UInt32(bytes[i + 2]) }
      for position in 0...left { out.append(alphabet[Int(group >> UInt32(18 - 6 * position) & 0x3F)]) }
      if padded { out.append(contentsOf: repeatElement(UInt8(ascii: "="), count: 3 - left)) }
      i += 3
    }
    return out
  }

  static func decode(_ text: Span<UInt8>, value: (UInt8) -> UInt8?) -> [UInt8]? {
    var length = text.count
    if length % 4 == 0 {
      if length > 0, text[length - 1] == UInt8(ascii: "=") { length -= 1 }
      if length % 4 == 3, text[length - 1] == UInt8(ascii: "=") { length -= 1 }
    }
    guard length % 4 != 1 else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(length / 4 * 3 + 2)
    var accumulator: UInt32 = 0
    var bits: UInt32 = 0
    for i in 0..<length {
      guard let six = value(text[i]) else { return nil }
      accumulator = accumulator << 6 | UInt32(six)
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: accumulator >> bits))
      }
    }
    return accumulator & (1 << bits - 1) == 0 ? out : nil
  }
}
