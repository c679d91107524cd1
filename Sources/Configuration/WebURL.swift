internal import Basics

/// An absolute `http` or `https` URL (RFC 3986) without user information, query and fragment.
///
/// The path is one that nobody can read in two ways: no percent escapes, no empty or dot segments.
public struct WebURL: Sendable, Hashable, CustomStringConvertible {
  /// As it stands in the file.
  public let text: String
  /// Whether the scheme is `https`.
  public let isSecure: Bool
  /// The host in lower case; an IPv6 literal without its brackets.
  public let host: String
  /// The port, the scheme's own when the URL names none.
  public let port: UInt16
  /// The path as written; `/` when there is none.
  public let path: String

  /// Nil when `text` is no such URL.
  public init?(_ text: String) {
    guard text.utf8.count <= 2048 else { return nil }
    let start: Int
    switch ASCII.lowercased(text.prefix(8)) {
    case "https://": (isSecure, start) = (true, 8)
    case let head where head.hasPrefix("http://"): (isSecure, start) = (false, 7)
    default: return nil
    }
    let rest = text.dropFirst(start)
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    guard let (host, port) = Self.split(rest[..<slash]) else { return nil }
    let path = rest[slash...].isEmpty ? "/" : String(rest[slash...])
    guard PlainPath.isValid(path) else { return nil }
    self.text = text
    self.host = host
    self.port = port ?? (isSecure ? 443 : 80)
    self.path = path
  }

  /// `http` or `https`.
  public var scheme: String { isSecure ? "https" : "http" }

  /// Host and, unless it is the scheme's own, port, as a `Host` field carries them.
  public var authority: String {
    let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
  }

  /// Scheme and authority, as an `Origin` field carries them (RFC 6454 §6.2).
  public var origin: String { "\(scheme)://\(authority)" }

  /// Whether the host is this machine: `localhost` and names below it (RFC 6761 §6.3), 127.0.0.0/8, ::1.
  public var isLoopback: Bool {
    host == "localhost" || host.hasSuffix(".localhost") || IPLiteral(host)?.isLoopback == true
  }

  public var description: String { text }

  /// Stands in required places until the file's value does.
  static let unset = WebURL()

  private init() {
    (text, isSecure, host, port, path) = ("", true, "", 0, "/")
  }

  private static func split(_ authority: Substring) -> (host: String, port: UInt16?)? {
    let isBracketed = authority.hasPrefix("[")
    let nameEnd: Substring.Index
    if isBracketed {
      guard let bracket = authority.firstIndex(of: "]") else { return nil }
      nameEnd = authority.index(after: bracket)
    } else {
      nameEnd = authority.firstIndex(of: ":") ?? authority.endIndex
    }
    let rest = authority[nameEnd...]
    var port: UInt16?
    if !rest.isEmpty {
      guard rest.hasPrefix(":"), let number = ListenAddress.port(rest.dropFirst()) else { return nil }
      port = number
    }
    var name = authority[..<nameEnd]
    if isBracketed {
      name = name.dropFirst().dropLast()
      guard let literal = IPLiteral(name), literal.bytes.count == 16 else { return nil }
    } else {
      guard isHostName(name) else { return nil }
    }
    return (ASCII.lowercased(name), port)
  }

  /// A DNS name or an IPv4 literal. Names that end in digits only are IPv4 literals or nothing (WHATWG URL,
  /// host parser), so that `127.1` or `2130706433` is not taken for a name here and for loopback by the
  /// resolver.
  private static func isHostName(_ name: Substring) -> Bool {
    guard !name.isEmpty, name.utf8.count <= 253 else { return false }
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    let isName = labels.allSatisfy { label in
      !label.isEmpty && label.utf8.count <= 63 && label.utf8.first != UInt8(ascii: "-")
        && label.utf8.last != UInt8(ascii: "-")
        && label.utf8.allSatisfy {
          ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
    }
    guard isName, let last = labels.last else { return false }
    let isNumeric = last.utf8.allSatisfy(ASCII.isDigit) || ASCII.lowercased(last).hasPrefix("0x")
    return !isNumeric || IPLiteral(name)?.bytes.count == 4
  }
}

/// Paths that every reader takes for the same: segments of unreserved characters and a few delimiters, no
/// percent escapes, no `.`, `..` or empty segments, no path parameters.
enum PlainPath {
  /// Whether `path` begins with a slash and is one. A slash at the end is allowed.
  static func isValid(_ path: some StringProtocol) -> Bool {
    guard path.hasPrefix("/"), path.utf8.allSatisfy(isAllowed) else { return false }
    let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    return segments.enumerated().allSatisfy { position, segment in
      segment.isEmpty ? position == segments.count - 1 : segment != "." && segment != ".."
    }
  }

  /// Whether `path` is `prefix` or lies below it, at a segment boundary.
  static func isUnder(_ path: String, _ prefix: String) -> Bool {
    path == prefix || path.hasPrefix(prefix.hasSuffix("/") ? prefix : prefix + "/")
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    ASCII.isLetter(byte) || ASCII.isDigit(byte) || "/-._~!$'()*+,=:@".utf8.contains(byte)
  }
}
