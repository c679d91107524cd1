internal import Basics
internal import HTTP

/// CORS answers for origins that the configuration lists (Fetch standard, CORS protocol). With cookies nothing may be `*`:
/// not the origin, not the fields, not the exposed names.
struct CrossOrigin: Sendable {
  /// For each allowed origin: the lines of an actual answer.
  private let answerLines: [[UInt8]]
  private let preflightLines: [[UInt8]]

  /// What a page may send: the fields of the MCP transport.
  private static let requestFields =
    "content-type, accept, authorization, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, last-event-id, x-requested-with"
  /// What a page may read.
  private static let exposedFields =
    "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Last-Event-ID, Retry-After, X-Request-ID"

  init(allowed: [String]) {
    answerLines = allowed.map {
      Array(
        """
        Access-Control-Allow-Origin: \($0)\r\nAccess-Control-Allow-Credentials: true\r\n\
        Access-Control-Expose-Headers: \(CrossOrigin.exposedFields)\r\n
        """.utf8)
    }
    preflightLines = allowed.map {
      Array(
        """
        Access-Control-Allow-Origin: \($0)\r\nAccess-Control-Allow-Credentials: true\r\n\
        Access-Control-Allow-Methods: GET, POST, DELETE, OPTIONS\r\nAccess-Control-Max-Age: 600\r\nVary: Origin\r\n
        """.utf8)
    }
  }

  /// Field lines for an answer to that origin; empty for the own origin and for callers without one.
  func lines(for origin: CallerEvidence.Origin) -> [UInt8] {
    guard case .allowed(let index) = origin, answerLines.indices.contains(index) else { return [] }
    return answerLines[index]
  }

  /// Field lines that answer a preflight. Names that start with `mcp-param-` are echoed: a tool's schema decides on them.
  func preflight(for origin: CallerEvidence.Origin, requestedFields: String) -> [UInt8] {
    guard case .allowed(let index) = origin, preflightLines.indices.contains(index) else { return [] }
    let extra =
      requestedFields.split(separator: ",").map { ASCII.lowercased($0.filter { $0 != " " && $0 != "\t" }) }
      .filter { $0.hasPrefix("mcp-param-") && $0.utf8.allSatisfy(CrossOrigin.isNameByte) }
    let names = ([CrossOrigin.requestFields] + extra.prefix(32)).joined(separator: ", ")
    return preflightLines[index] + Array("Access-Control-Allow-Headers: \(names)\r\n".utf8)
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    ASCII.isLetter(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
  }
}
