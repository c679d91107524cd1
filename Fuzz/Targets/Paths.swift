import Basics

@testable import Configuration
@testable import HTTP

extension Target {
  /// Paths, targets and URLs: what is accepted can be read in one way only, and the parts of the product that read them agree.
  static let paths = Target("paths") { input in
    let text = input.text
    checkPath(text)
    checkRoute(text)
    checkReturnTarget(text)
    checkURL(text)
    checkAddresses(text)
    let pairs = PercentEncoding.parseQuery(text)
    expect(pairs.count <= 256, "a query has no more pairs than are read")
    let again = PercentEncoding.parseQuery(PercentEncoding.formEncode(pairs))
    expect(
      pairs.filter { !($0.0.isEmpty && $0.1.isEmpty) }.elementsEqual(
        again.filter { !($0.0.isEmpty && $0.1.isEmpty) }, by: { $0.0 == $1.0 && $0.1 == $1.1 }),
      "pairs that are written are read again")
    expectEqual(
      PercentEncoding.decode(PercentEncoding.encode(text)), text, "what is encoded is decoded again")
  }

  private static func checkPath(_ path: String) {
    guard PathRules.problem(path) == nil else { return }
    expect(path.hasPrefix("/"), "an accepted path is absolute")
    // A server may decode once or twice, and cut parameters off before it looks at segments.
    var reading = path
    for _ in 0..<3 {
      let segments = reading.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
      for (i, segment) in segments.enumerated() {
        let plain = segment.prefix { $0 != ";" }
        expect(plain != "." && plain != "..", "no dot segment: \(path)")
        expect(!segment.isEmpty || i == segments.count - 1, "no empty segment: \(path)")
      }
      expect(
        !reading.utf8.contains { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") },
        "no harmful byte: \(path)")
      guard let decoded = PercentEncoding.decode(reading) else { break }
      reading = decoded
    }
  }

  /// The input as a configured prefix, and as a path below one.
  private static func checkRoute(_ text: String) {
    let halves = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let route = RoutePath(halves[0]) else { return }
    expectEqual(RoutePath(route.description), route, "a prefix is read as it is written")
    for path in [halves[0], halves.last ?? "", route.text + "/x", route.text + "x"] {
      guard PathRules.problem(path) == nil else { continue }
      let (wanted, plain) = (PercentEncoding.decode(route.text), PercentEncoding.decode(path))
      guard let wanted, let plain else { continue }
      let isBelow = Array(plain.utf8).starts(with: Array((wanted + "/").utf8))
      expectEqual(
        route.match(path) != nil, Array(plain.utf8) == Array(wanted.utf8) || isBelow,
        "a prefix covers what lies below it: \(path)")
      guard let rest = route.match(path) else { continue }
      expectEqual(
        PercentEncoding.decode(String(decoding: Array(path.utf8)[..<rest], as: UTF8.self)), wanted,
        "what is cut off is the prefix")
    }
  }

  private static func checkReturnTarget(_ text: String) {
    guard let target = ReturnTarget.accept(text) else { return }
    expect(target.hasPrefix("/") && !target.hasPrefix("//") && !target.contains("\\"), "a path of our origin")
    expect(target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "nothing that a browser strips")
    let url = URLReference("https://a.example" + target.prefix { $0 != "#" })
    expectEqual(url?.origin, "https://a.example", "behind our origin it stays there: \(target)")
  }

  private static func checkURL(_ text: String) {
    if let url = URLReference(text) {
      expect(url.path.hasPrefix("/"), "a URL has a path")
      expect(!url.host.isEmpty && url.port > 0, "a URL has a host and a port")
      expectEqual(URLReference(url.description), url, "a URL is read as it is written: \(text)")
      expect(!url.description.utf8.contains { $0 <= 0x20 || $0 >= 0x7F }, "a URL is plain ASCII")
      let line = Buffer("GET \(url.requestTarget) HTTP/1.1\r\nHost: \(url.authority)\r\n\r\n")
      var head = RequestHead()
      if url.requestTarget.utf8.count <= 8192 {
        expect((try? head.parse(line, limits: HeadLimits())) == true, "a URL can be asked for: \(text)")
        expectEqual(head.byteCount, line.count, "a URL makes one request")
      }
    }
    guard let web = WebURL(text) else { return }
    guard let url = URLReference(web.text) else { return expect(false, "a configured URL is a URL: \(text)") }
    expectEqual(url.origin, web.origin, "a URL has one origin")
    expectEqual(url.path, web.path, "a URL has one path")
    expectEqual(url.isLoopback, web.isLoopback, "a URL is of this machine or not: \(text)")
  }

  private static func checkAddresses(_ text: String) {
    if let address = ListenAddress(text) {
      expectEqual(ListenAddress(address.description), address, "an address is read as it is written")
      expect(address.bytes.count == 4 || address.bytes.count == 16, "an address has 4 or 16 bytes")
    }
    if let block = AddressBlock(text) {
      expect(
        (0...block.bytes.count * 8).contains(block.prefixLength), "a prefix is not longer than its address")
    }
  }
}
