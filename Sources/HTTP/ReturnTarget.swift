internal import Basics

/// Where a browser may be sent back to after signing in: a path on our own origin and nothing that any browser could
/// read as another place.
public enum ReturnTarget {
  /// Longest accepted text in bytes.
  public static let maxBytes = 2048

  /// `text` when it is a safe path with an optional query and fragment, else nil.
  ///
  /// It must begin with exactly one slash, hold printable ASCII only, no backslash, no empty, `.` or `..` segment, no
  /// escaped slash, backslash, dot segment or control character, and no broken escape. Browsers strip tabs and newlines
  /// and read `\` as `/` (WHATWG URL), hence the strictness.
  public static func accept(_ text: String) -> String? {
    guard !text.isEmpty, text.utf8.count <= maxBytes else { return nil }
    let bytes = text.utf8.span
    guard bytes[0] == UInt8(ascii: "/") else { return nil }
    var pathEnd = bytes.count
    for i in 0..<bytes.count {
      switch bytes[i] {
      case 0...0x20, 0x7F..., UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"),
        UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
        return nil
      case UInt8(ascii: "?"), UInt8(ascii: "#"): pathEnd = min(pathEnd, i)
      case UInt8(ascii: "%"):
        guard let byte = PathRules.escape(bytes, i, bytes.count), byte >= 0x20, byte != 0x7F else {
          return nil
        }
      default: break
      }
    }
    return PathRules.problem(bytes, 0..<pathEnd) == nil ? text : nil
  }
}
