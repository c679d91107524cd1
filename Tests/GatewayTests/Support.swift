import Basics
import Configuration
import Consent
import HTTP
import Sessions
import Testing

@testable import Gateway

/// A parsed request, for the parts that read heads.
func withRequest<R>(
  _ line: String = "POST /mcp HTTP/1.1", _ fields: [String] = [],
  _ body: (borrowing RequestHead, borrowing Buffer) throws -> R
) throws -> R {
  let buffer = Buffer("\(line)\r\nHost: proxy.test\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
  var head = RequestHead()
  guard try head.parse(buffer, limits: HeadLimits()) else { throw HTTPError(0, "incomplete") }
  return try body(head, buffer)
}

/// A parsed answer of an upstream.
func withAnswer<R>(
  _ line: String = "HTTP/1.1 200 OK", _ fields: [String] = [],
  _ body: (borrowing ResponseHead, borrowing Buffer) throws -> R
) throws -> R {
  let buffer = Buffer("\(line)\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
  var head = ResponseHead()
  guard try head.parse(buffer, limits: HeadLimits(), requestMethod: .post) else {
    throw HTTPError(0, "incomplete")
  }
  return try body(head, buffer)
}

/// Field lines as they stand in a written head: names in lower case, in order.
struct WrittenHead {
  let startLine: String
  let fields: [(name: String, value: String)]

  /// Reads strictly: every line ends in CRLF, and there is no empty one.
  init(_ buffer: borrowing Buffer) throws {
    let text = buffer.string()
    try #require(text.hasSuffix("\r\n"))
    var lines = text.components(separatedBy: "\r\n")
    #expect(lines.popLast() == "")
    startLine = lines.isEmpty ? "" : lines.removeFirst()
    fields = try lines.map { line in
      let colon = try #require(line.firstIndex(of: ":"), "no field line: \(line)")
      return (line[..<colon].lowercased(), line[line.index(after: colon)...].trimmingSpaces)
    }
    #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\r" && $0 != "\n" && $0 != "\t" })
  }

  var names: [String] { fields.map(\.name) }

  func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }
}

extension String {
  func components(separatedBy separator: String) -> [String] {
    var parts: [String] = []
    var rest = utf8[...]
    while let found = rest.firstRange(of: separator.utf8) {
      parts.append(String(Substring(rest[..<found.lowerBound])))
      rest = rest[found.upperBound...]
    }
    return parts + [String(Substring(rest))]
  }
}

extension Substring {
  var trimmingSpaces: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}

/// A route with everything at its plainest.
func makeRoute(
  index: Int = 0, _ path: String = "/mcp", to upstream: String = "http://127.0.0.1:3000/mcp",
  authorization: Route.Authorization = .bearer, needsSession: Bool = true, isMCP: Bool = true, slot: Int? = 0,
  scope: [String] = [], resource: String? = nil, passCookies: [String] = [],
  passResponseFields: [String] = [],
  consent: RouteConsent = RouteConsent(
    server: "Files", watch: ConsentWatch(), downstream: .combined, linkHosts: [], requiresPreConsent: false)
) throws -> Route {
  Route(
    index: index, path: path, prefix: try #require(RoutePath(path)),
    upstream: try #require(URLReference(upstream)),
    authorization: authorization, needsSession: needsSession, isMCP: isMCP, credentialSlot: slot,
    scope: scope,
    resource: resource, passCookies: passCookies, passResponseFields: passResponseFields,
    consent: consent)
}

/// A moment that stands still.
let noon = Timestamp(milliseconds: 1_800_000_000_000)

func hash(_ number: UInt64) -> TicketHash { TicketHash(digest: Bytes32(number, 0, 0, 0)) }

func makeSnapshot(
  _ number: UInt64 = 1, generation: UInt64 = 1, lastSeen: Timestamp = noon,
  credentials: [SessionSnapshot.Credential?] = []
) -> SessionSnapshot {
  let user = UserKey(issuer: "https://idp.test", subject: "user-\(number)")
  return SessionSnapshot(
    hash: hash(number), user: user, createdAt: noon, lastSeen: lastSeen,
    generation: generation, credentials: credentials)
}
