import Basics
import Configuration
import Consent

@testable import Gateway
@testable import HTTP
@testable import Wire

extension Target {
  /// A request as the upstream gets it: whatever the client sent, it is exactly one request with the same method, path and framing,
  /// with our token and nothing of the client's that we speak for.
  static let upstreamRequest = Target("upstream-request") { input in
    let buffer = Buffer(input)
    var head = RequestHead()
    guard (try? head.parse(buffer, limits: HeadLimits())) == true,
      PathRules.problem(buffer, head.path) == nil
    else { return }
    let routes = RouteTable([
      .sample(), .sample("/", to: "https://upstream.test/", isMCP: false, passCookies: ["theme", "a"]),
    ])
    guard let (route, rest) = routes.match(buffer, head.path) else { return }
    expectInside(rest, head.path, "what follows the prefix is in the path")
    for extends in [false, true] { forward(head, buffer, route, rest, extends) }
  }

  private static let token = "ours.and.only.ours"

  private static func forward(
    _ head: borrowing RequestHead, _ buffer: borrowing Buffer, _ route: Route, _ rest: Range<Int>,
    _ extendsForwarding: Bool
  ) {
    let fields = ForwardingFields(
      clientAddress: "2001:db8::1", isSecure: true, authority: buffer.string(head.authority))
    var forwarding = Buffer()
    if extendsForwarding {
      fields.append(to: &forwarding, extending: head, buffer)
    } else {
      fields.append(to: &forwarding)
    }
    var out = Buffer()
    UpstreamRequest.write(
      to: &out, head: head, input: buffer, route: route,
      additions: UpstreamRequest.Additions(
        token: Secret(token), forwarding: forwarding.array(),
        requestID: 7, pathRest: rest, target: nil, dropsMCPSessionID: false))
    switch head.framing {
    case .length(let count): AnswerHead.appendContentLength(count, to: &out)
    case .chunked: AnswerHead.appendChunked(to: &out)
    case .none, .untilClose: break
    }
    out.append("\r\n")
    check(out, madeOf: head, buffer, route, rest, extendsForwarding)
  }

  private static func check(
    _ out: borrowing Buffer, madeOf head: borrowing RequestHead, _ buffer: borrowing Buffer, _ route: Route,
    _ rest: Range<Int>, _ extendsForwarding: Bool
  ) {
    var written = RequestHead()
    let isRead = try? written.parse(
      out, limits: HeadLimits(headBytes: .max, fieldCount: .max, targetBytes: .max))
    expect(isRead == true, "the upstream can read the request")
    expectEqual(written.byteCount, out.count, "the upstream gets one request and nothing behind it")
    expectEqual(out.array(written.methodRange), buffer.array(head.methodRange), "the method passes")
    expectEqual(written.framing, head.framing, "the framing passes")
    expectEqual(written.query.map { out.array($0) }, head.query.map { buffer.array($0) }, "the query passes")
    let path = out.array(written.path)
    expect(path.starts(with: route.upstreamPath), "the path is below the upstream's")
    expect(path.ends(with: buffer.array(rest)), "the rest of the path passes")
    expect(PathRules.problem(out, written.path) == nil, "the path can be read in one way only")
    let plain = PlainHead(out.array())
    expectEqual(plain.requestFraming, head.framing, "another reader finds the same framing")
    expectEqual(plain.values("host").map(\.text), [route.upstream.authority], "one Host: the upstream's")
    expectEqual(plain.values("authorization").map(\.text), ["Bearer \(token)"], "one token: ours")
    for name in [
      "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "via", "x-request-id",
    ] {
      expectEqual(plain.values(name).count, 1, "one \(name): ours")
    }
    if !extendsForwarding {
      expectEqual(
        plain.values("x-forwarded-for")[0].text, "2001:db8::1", "the client's address is the peer's")
    }
    for slot in written.fields {
      let name = out.string(slot.name)
      if slot.isHopByHop {
        expect(slot.id == .transferEncoding || slot.id == .contentLength, "\(name) is for one hop only")
      }
      if slot.id.isCredential {
        expect(slot.id == .authorization || slot.id == .cookie, "no other credential passes: \(name)")
      }
      expect(!slot.id.isRequestOverride, "nothing overrides the method or path: \(name)")
    }
    var cookies: [String] = []
    for (name, _) in Cookies.all(in: written, out) { cookies.append(name) }
    expect(
      cookies.allSatisfy { route.passCookies.contains(Array($0.utf8)) }, "only named cookies pass: \(cookies)"
    )
    expect(plain.values("cookie").count <= 1, "one Cookie field at most")
  }
}

extension Array<UInt8> {
  fileprivate func ends(with other: [UInt8]) -> Bool { suffix(other.count).elementsEqual(other) }
}

extension Route {
  /// A route of a sample configuration.
  static func sample(
    _ path: String = "/mcp", to upstream: String = "http://127.0.0.1:3000/deep/mcp", isMCP: Bool = true,
    passCookies: [String] = [], passResponseFields: [String] = []
  ) -> Route {
    guard let prefix = RoutePath(path), let upstream = URLReference(upstream) else {
      preconditionFailure("the sample is a route")
    }
    return Route(
      index: 0, path: path, prefix: prefix, upstream: upstream, authorization: .bearer, needsSession: true,
      isMCP: isMCP, credentialSlot: 0, scope: [], resource: nil, passCookies: passCookies,
      passResponseFields: passResponseFields,
      consent: RouteConsent(
        server: "Files", watch: ConsentWatch(), downstream: .combined, linkHosts: [],
        requiresPreConsent: false))
  }
}
