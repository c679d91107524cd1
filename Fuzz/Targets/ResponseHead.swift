import Basics

@testable import Gateway
@testable import HTTP
@testable import Wire

extension Target {
  /// The head of an upstream's answer, and the head that the client gets instead.
  static let responseHead = Target("response-head") { input in
    var choice = Choice(input)
    let limits = choice.headLimits()
    let method = [Method.post, .get, .head, .options][choice.next(below: 4)]
    let whole = ResponseReading(input, cuts: [input.count], limits, method)
    let pieces = ResponseReading(input, cuts: choice.cuts(of: input.count), limits, method)
    expectEqual(whole.outcome, pieces.outcome, "whole and in pieces the head says the same")
    guard whole.head.isComplete else { return }
    let buffer = Buffer(input)
    check(whole.head, buffer, limits, method)
    for isSecure in [true, false] where whole.head.status >= 200 { rewrite(whole.head, buffer, isSecure) }
  }

  private static func check(
    _ head: borrowing ResponseHead, _ buffer: borrowing Buffer, _ limits: HeadLimits, _ method: Method
  ) {
    let bounds = 0..<head.byteCount
    expect(head.byteCount <= limits.headBytes, "the head is within its limit")
    expect(head.fields.count <= limits.fieldCount, "the fields are within their limit")
    expect((100...599).contains(head.status), "the status is one of HTTP's")
    expectInside(head.reason, bounds, "the reason is in the head")
    let other = PlainHead(buffer.array(bounds))
    expectEqual(
      head.fields.map { buffer.array($0.value) }, other.fields.map(\.value), "the fields' values")
    let said = other.requestFraming
    if method == .head || head.status < 200 || head.status == 204 || head.status == 304 {
      expectEqual(head.framing, .none, "no body where none may be")
    } else {
      expectEqual(
        head.framing, said == .none ? .untilClose : said, "the framing is the one that the lines say")
    }
    if head.framing == .untilClose { expect(!head.isKeepAlive, "what ends with the connection ends it") }
    _ = ContentCoding(of: head, buffer)
    _ = AnswerSight(head, buffer)
  }

  /// The answer's head as the client gets it.
  private static func rewrite(_ head: borrowing ResponseHead, _ buffer: borrowing Buffer, _ isSecure: Bool) {
    let jar = CookieJar(
      isSecure: isSecure, sessionName: isSecure ? "__Host-coatcheck" : "coatcheck", sameSite: .lax,
      attemptLifetime: .seconds(600))
    var out = Buffer()
    AnswerRewrite.write(
      to: &out, head: head, input: buffer,
      context: AnswerRewrite.Context(
        route: .sample(passResponseFields: ["Set-Cookie"]), crossOrigin: [], isEventStream: false,
        dropsContentCoding: false, dropsMCPSessionID: false, cookies: jar, variesByOrigin: false,
        strictTransport: true))
    AnswerHead.appendContentLength(7, to: &out)
    out.append("\r\n")
    var written = ResponseHead()
    let isRead = try? written.parse(
      out, limits: HeadLimits(headBytes: .max, fieldCount: .max), requestMethod: .get)
    expect(isRead == true, "the client can read the head")
    expectEqual(written.byteCount, out.count, "the client gets one head and nothing behind it")
    expectEqual(written.status, head.status, "the status passes")
    let plain = PlainHead(out.array())
    for name in [
      "transfer-encoding", "connection", "www-authenticate", "authorization", "alt-svc", "upgrade",
    ] {
      expect(plain.values(name).isEmpty, "\(name) does not pass")
    }
    expectEqual(plain.values("cache-control").map(\.text), ["no-store"], "an answer for one user is not kept")
    for value in plain.values("set-cookie") {
      let name = Self.nameInBrowser(value)
      expect(
        name != Array(jar.sessionName.utf8)
          && !name.starts(with: Array("\(isSecure ? "__Host-" : "")coatcheck-tx-".utf8)),
        "an upstream sets no cookie of ours: \(value.text)")
    }
  }

  /// The name under which a browser sends a cookie back (RFC 6265bis §5.6): a cookie without a name is sent as its value, so that
  /// value may look like a name.
  private static func nameInBrowser(_ value: [UInt8]) -> [UInt8] {
    func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
      func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
      return bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed()[...]
    }
    var pair = value.prefix { $0 != UInt8(ascii: ";") }
    while true {
      let name = trimmed(pair.prefix { $0 != UInt8(ascii: "=") })
      guard name.isEmpty, let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return Array(name) }
      pair = pair[(equals + 1)...]
    }
  }
}

/// A response head read from bytes that arrive in pieces.
private struct ResponseReading: ~Copyable {
  var head = ResponseHead()
  var outcome = "incomplete"

  init(_ input: [UInt8], cuts: [Int], _ limits: HeadLimits, _ method: Method) {
    var buffer = Buffer()
    var start = 0
    do throws(HTTPError) {
      for end in cuts {
        buffer.append(input[start..<end])
        start = end
        guard try head.parse(buffer, limits: limits, requestMethod: method) else { continue }
        outcome = """
          \(head.status) \(head.reason) \(head.minorVersion) \(head.framing) \(head.isKeepAlive) \
          \(head.byteCount) \(head.fields.map { "\($0.name) \($0.value) \($0.isHopByHop)" })
          """
        return
      }
    } catch { outcome = "refused with \(error.status)" }
  }
}
