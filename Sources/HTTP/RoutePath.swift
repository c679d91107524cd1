public import Basics

/// A configured path prefix that matches whole segments: `/mcp` matches `/mcp` and `/mcp/x`, never `/mcpx`.
///
/// Both sides are compared with their percent escapes decoded, so `/%6dcp` is `/mcp`. A request path must have passed
/// ``PathRules`` before. Letters are compared with case.
public struct RoutePath: Sendable, Hashable, CustomStringConvertible {
  /// The prefix as configured, without a slash at its end; empty for `/`.
  public let text: String
  private let decoded: [UInt8]

  /// Nil when `text` is not an absolute path that ``PathRules`` accepts.
  public init?(_ text: String) {
    guard PathRules.problem(text) == nil, !text.contains("?"), !text.contains("#") else { return nil }
    let trimmed = text.hasSuffix("/") ? String(text.dropLast()) : text
    guard let plain = PercentEncoding.decode(trimmed) else { return nil }
    self.text = trimmed
    decoded = Array(plain.utf8)
  }

  /// Segments-wise specific: a longer prefix wins over a shorter one.
  public var specificity: Int { decoded.count }

  public var description: String { text.isEmpty ? "/" : text }

  /// Where the rest of the path begins when the path at `range` lies under this prefix: at a `/` or at the end of the
  /// path. Nil when it does not. Allocates nothing.
  public func match(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Int? {
    match(buffer.span, range)
  }

  /// As ``match(_:_:)``, for a text.
  public func match(_ path: String) -> Int? {
    let bytes = path.utf8.span
    return match(bytes, 0..<bytes.count)
  }

  private func match(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
    var i = range.lowerBound
    for expected in decoded {
      guard i < range.upperBound else { return nil }
      if bytes[i] == UInt8(ascii: "%") {
        guard PathRules.escape(bytes, i, range.upperBound) == expected else { return nil }
        i += 3
      } else {
        guard bytes[i] == expected else { return nil }
        i += 1
      }
    }
    return i == range.upperBound || bytes[i] == UInt8(ascii: "/") ? i : nil
  }
}
