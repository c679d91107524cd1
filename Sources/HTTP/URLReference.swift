internal import Basics

/// An absolute `http` or `https` URL (RFC 3986) taken apart: what configuration, discovery documents and redirects hold.
///
/// Refused: other schemes, user information, fragments, bytes outside the grammar, wrong percent escapes, ports outside
/// 1…65535. Scheme and host are held in lower case, an empty path as `/`.
public struct URLReference: Sendable, Hashable, CustomStringConvertible {
  /// Whether the scheme is `https`.
  public let isSecure: Bool
  /// The host in lower case; an IPv6 literal without its brackets.
  public let host: String
  /// The port, the scheme's own when the URL names none.
  public let port: UInt16
  /// The path as written, beginning with `/`.
  public let path: String
  /// The query without its question mark; nil when there is none.
  public let query: String?

  /// From its parts, for URLs made by the program. `path` must begin with `/`.
  public init(isSecure: Bool, host: String, port: UInt16? = nil, path: String = "/", query: String? = nil) {
    self.isSecure = isSecure
    self.host = ASCII.lowercased(host)
    self.port = port ?? (isSecure ? 443 : 80)
    self.path = path.isEmpty ? "/" : path
    self.query = query
  }

  /// Parses an absolute URL of at most 8 KiB; nil when it is not one.
  public init?(_ text: String) {
    guard text.utf8.count <= 8192 else { return nil }
    let bytes = text.utf8.span
    let buffer = Buffer(text)
    guard ByteClass.all(bytes, 0..<bytes.count, ByteClass.target) else { return nil }
    let start: Int
    if bytes.count > 8, buffer.equalsIgnoringCase(0..<8, "https://") {
      start = 8
      isSecure = true
    } else if bytes.count > 7, buffer.equalsIgnoringCase(0..<7, "http://") {
      start = 7
      isSecure = false
    } else {
      return nil
    }
    var end = start
    while end < bytes.count, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") { end += 1 }
    guard let (hostRange, port) = HostSyntax.split(bytes, start..<end) else { return nil }
    let isLiteral = bytes[hostRange.lowerBound] == UInt8(ascii: "[")
    host = ASCII.lowercased(
      buffer.string(isLiteral ? hostRange.lowerBound + 1..<hostRange.upperBound - 1 : hostRange))
    self.port = port ?? (isSecure ? 443 : 80)
    let mark = buffer.firstIndex(of: UInt8(ascii: "?"), from: end)
    let pathText = buffer.string(end..<(mark ?? bytes.count))
    guard !pathText.utf8.contains(UInt8(ascii: "\\")), Self.hasWholeEscapes(pathText) else { return nil }
    path = pathText.isEmpty ? "/" : pathText
    query = mark.map { buffer.string($0 + 1..<bytes.count) }
  }

  /// `http` or `https`.
  public var scheme: String { isSecure ? "https" : "http" }

  /// Whether the host is an IPv6 literal.
  public var isIPv6: Bool { host.utf8.contains(UInt8(ascii: ":")) }

  /// Host and, unless it is the scheme's own, port, as a `Host` field carries them.
  public var authority: String {
    let name = isIPv6 ? "[\(host)]" : host
    return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
  }

  /// Scheme and authority, as an `Origin` field carries them (RFC 6454 §6.2).
  public var origin: String { "\(scheme)://\(authority)" }

  /// Path and query, as a request line carries them.
  public var requestTarget: String { query.map { "\(path)?\($0)" } ?? path }

  public var description: String { origin + requestTarget }

  /// Whether the host is this machine: `localhost` and names below it (RFC 6761 §6.3), `127.0.0.0/8`, `::1`.
  public var isLoopback: Bool {
    if host == "localhost" || host.hasSuffix(".localhost") || host == "::1" || host == "0:0:0:0:0:0:0:1" {
      return true
    }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127"
      && parts.allSatisfy { UInt8($0) != nil && $0.utf8.count <= 3 }
  }

  /// Whether both have the same scheme, host and port.
  public func hasSameOrigin(as other: URLReference) -> Bool {
    isSecure == other.isSecure && host == other.host && port == other.port
  }

  /// The same URL with another path and query.
  public func replacing(path: String, query: String? = nil) -> URLReference {
    URLReference(isSecure: isSecure, host: host, port: port, path: path, query: query)
  }

  /// The same URL with `pairs` appended to its query, encoded.
  public func appending(query pairs: [(String, String)]) -> URLReference {
    guard !pairs.isEmpty else { return self }
    let added = PercentEncoding.formEncode(pairs)
    let query = self.query.flatMap { $0.isEmpty ? nil : "\($0)&\(added)" } ?? added
    return replacing(path: path, query: query)
  }

  private static func hasWholeEscapes(_ text: String) -> Bool {
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
      guard byte != UInt8(ascii: "%") else {
        guard bytes.next().flatMap(ASCII.hexValue) != nil, bytes.next().flatMap(ASCII.hexValue) != nil else {
          return false
        }
        continue
      }
    }
    return true
  }
}
