internal import Basics
internal import HTTP
internal import JSON
internal import Wire

/// A refused call of a page's script, kept until the page fetches its answer.
///
/// Only what was refused before it was carried out is kept (M64: nothing that may have run is ever run twice). It is stored sealed
/// under the link's id, for its user alone, is taken exactly once, and holds no credential: the fetch brings its own ticket.
struct KeptCall: Sendable, Equatable {
  /// Path of the route it was made on: an entry of the configuration may have gone meanwhile.
  var route: String
  /// Request line and fields, each with its CRLF, the empty line included.
  var head: [UInt8]
  var body: [UInt8]

  /// Heads beyond this are not kept, in bytes.
  private static let maxHeadBytes = 16 << 10

  /// The call of an exchange whose body is held; nil when it is too long.
  init?(_ x: Exchange, route: Route, maxBody: Int) {
    // No cookie is kept, so where the upstream gets some it would be another call.
    guard x.canReplay, x.bodyCount <= maxBody, route.passCookies.isEmpty else { return nil }
    self.route = route.path
    body = x.withBody { $0.array($1) }
    let count = body.count
    head = x.withRequest { head, bytes, _ in KeptCall.head(head, bytes, bodyCount: count) }
    guard head.count <= Self.maxHeadBytes else { return nil }
  }

  private static func head(_ head: borrowing RequestHead, _ bytes: borrowing Buffer, bodyCount: Int)
    -> [UInt8]
  {
    var out = Buffer()
    out.append(from: bytes, head.methodRange)
    out.append(" ")
    out.append(from: bytes, head.target)
    out.append(" HTTP/1.1\r\n")
    for slot in head.fields where isKept(slot) {
      out.append(from: bytes, slot.name)
      out.append(": ")
      out.append(from: bytes, slot.value)
      out.append("\r\n")
    }
    if bodyCount > 0 {
      out.append("Content-Length: ")
      out.append(decimal: UInt64(bodyCount))
      out.append("\r\n")
    }
    out.append("\r\n")
    return out.array()
  }

  /// Framing is written anew, and nothing that speaks for a person is kept.
  private static func isKept(_ slot: FieldSlot) -> Bool {
    if slot.isHopByHop || slot.id.isCredential { return false }
    switch slot.id {
    case .cookie, .contentLength, .transferEncoding, .expect: return false
    default: return true
    }
  }

  // MARK: Stored form

  func encoded() -> [UInt8] {
    JSONValue.object([
      "route": .string(route), "head": .string(Base64URL.encode(head)),
      "body": .string(Base64URL.encode(body)),
    ]).serializedBytes()
  }

  init?(encoded: [UInt8]) {
    guard let value = try? JSONValue.parse(encoded, limits: JSONLimits(depth: 4, bytes: 8 << 20)),
      let route = value["route"]?.string, let head = value["head"]?.string.flatMap(Base64URL.decode),
      let body = value["body"]?.string.flatMap(Base64URL.decode)
    else { return nil }
    self.route = route
    self.head = head
    self.body = body
  }
}
