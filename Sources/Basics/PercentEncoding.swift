/// Percent-encoding of URLs (RFC 3986 §2) and of `application/x-www-form-urlencoded`.
public enum PercentEncoding {
  /// `text` with everything but the unreserved characters (RFC 3986 §2.3) percent-encoded. Safe as a path segment,
  /// a query value, and as OAuth's form-encoded client id and secret (RFC 6749 §2.3.1).
  public static func encode(_ text: String) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
      switch byte {
      case _ where ASCII.isLetter(byte) || ASCII.isDigit(byte): out.append(byte)
      case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): out.append(byte)
      default: out += [UInt8(ascii: "%"), hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 0xF)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// `name=value&…`, each part encoded; also a valid URL query.
  public static func formEncode(_ pairs: [(String, String)]) -> String {
    pairs.map { encode($0.0) + "=" + encode($0.1) }.joined(separator: "&")
  }

  /// `text` with `%xx` decoded. Nil for an incomplete or wrong escape or when the result is not UTF-8.
  /// A plus sign stays a plus sign unless `plusIsSpace`.
  public static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count)
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = bytes.next().flatMap(ASCII.hexValue), let low = bytes.next().flatMap(ASCII.hexValue)
        else {
          return nil
        }
        out.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: out.append(UInt8(ascii: " "))
      default: out.append(byte)
      }
    }
    return String(validating: out, as: UTF8.self)
  }

  /// The pairs of a query or form in order, decoded; a plus sign is a space. Pairs that cannot be decoded are left
  /// out, and so is everything after `maxPairs`.
  public static func parseQuery(_ query: String, maxPairs: Int = 256) -> [(String, String)] {
    query.split(separator: "&", maxSplits: maxPairs, omittingEmptySubsequences: true).prefix(maxPairs)
      .compactMap { part in
        let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = halves.first.flatMap({ decode($0, plusIsSpace: true) }),
          let value = decode(halves.count > 1 ? halves[1] : "", plusIsSpace: true)
        else { return nil }
        return (name, value)
      }
  }

  private static let hexDigits = Array("0123456789ABCDEF".utf8)
}
