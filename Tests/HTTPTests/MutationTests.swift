import Basics
import Testing

@testable import HTTP

/// Repeatable noise (Knuth's MMIX generator), so that a failure can be run again.
private struct Noise {
  var state: UInt64

  mutating func next(below bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(max(bound, 1)))
  }

  /// `bytes` with a few bytes replaced, removed, doubled or cut off.
  mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
    let sharp = Array("\r\n\0 :;,=\"\\%/.[]{}0f\u{FF}".utf8)
    var out = bytes
    for _ in 0...next(below: 4) where !out.isEmpty {
      let place = next(below: out.count)
      switch next(below: 5) {
      case 0: out[place] = UInt8(next(below: 256))
      case 1: out[place] = sharp[next(below: sharp.count)]
      case 2: out.remove(at: place)
      case 3: out.insert(sharp[next(below: sharp.count)], at: place)
      default: out.removeSubrange(place..<min(out.count, place + next(below: 8)))
      }
    }
    return out
  }
}

@Suite struct MutationTests {
  private static let request = Array(
    """
    POST http://h:80/a%20b/../c?q=1 HTTP/1.1\r\nHost: h:80\r\nConnection: x, close\r\nX: 1\r\n\
    Cookie: a=1; sid="x"\r\nAccept: text/html;q=0.5, */*\r\nTransfer-Encoding: chunked\r\n\r\n
    """.utf8)

  @Test func `no damaged head breaks the parser, and both ways of feeding agree`() {
    var noise = Noise(state: 1)
    for _ in 0..<3000 {
      let bytes = noise.mutate(Self.request)
      let cut = noise.next(below: bytes.count + 1)
      var results: [String] = []
      for cuts in [[bytes.count], [cut, bytes.count]] {
        var buffer = Buffer()
        var head = RequestHead()
        var start = 0
        do throws(HTTPError) {
          for end in cuts {
            buffer.append(bytes[start..<end])
            start = end
            if try head.parse(buffer, limits: HeadLimits()) { break }
          }
          if head.isComplete {
            let problem = PathRules.problem(buffer, head.path)
            let cookie = Cookies.find(Array("sid".utf8), in: head, buffer)
            let quality = Negotiation.quality(of: "text", "html", in: head, buffer)
            results.append(
              "\(head.framing) \(head.path) \(String(describing: problem)) \(String(describing: cookie)) \(quality)"
            )
          } else {
            results.append("incomplete")
          }
        } catch { results.append("\(error.status)") }
      }
      #expect(results[0] == results[1], "\(bytes)")
    }
  }

  @Test func `no damaged body breaks the decoders`() throws {
    var noise = Noise(state: 2)
    let chunked = Array("5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n".utf8)
    let packed = try ContentEncoder.gzip(Array("hello hello hello hello".utf8))
    for _ in 0..<3000 {
      var input = Buffer(noise.mutate(chunked))
      var output = Buffer()
      var decoder = ChunkedDecoder()
      _ = try? decoder.decode(&input, into: &output)
      let count = output.count
      #expect(UInt64(count) == decoder.bodyBytes)
      let decoded = try? ContentDecoder.decode(noise.mutate(packed), .gzip, maxBytes: 1000)
      #expect((decoded?.count ?? 0) <= 1000)
    }
  }

  @Test func `no damaged stream of events loses a byte`() {
    var noise = Noise(state: 3)
    let stream = Array("event: m\r\ndata: a\r\ndata: b\r\n\r\n: ping\n\nid: 7\rdata: c\r\r".utf8)
    for _ in 0..<3000 {
      let bytes = noise.mutate(stream)
      var splitter = EventStreamSplitter(maxEventBytes: 24)
      var buffer = Buffer()
      var out: [UInt8] = []
      var start = 0
      while start < bytes.count {
        let end = min(bytes.count, start + 1 + noise.next(below: 9))
        buffer.append(bytes[start..<end])
        start = end
        feeding: while true {
          let count: Int
          switch splitter.next(buffer) {
          case .needMore: break feeding
          case .event(let size): count = size
          case .passThrough(let size, _): count = size
          }
          _ = EventFields(buffer, 0..<count)
          out += buffer.array(0..<count)
          buffer.consume(count)
        }
      }
      out += buffer.array()
      #expect(out == bytes)
    }
  }

  @Test func `whatever is accepted as a return target is one path on our origin`() throws {
    var noise = Noise(state: 4)
    for _ in 0..<5000 {
      let text = String(decoding: noise.mutate(Array("/a/b%20c?x=/y#z".utf8)), as: UTF8.self)
      guard let target = ReturnTarget.accept(text) else { continue }
      #expect(target.hasPrefix("/") && !target.hasPrefix("//") && !target.contains("\\"))
      let withoutFragment = String(target.prefix { $0 != "#" })
      let url = URLReference("https://a.example" + withoutFragment)
      #expect(url?.origin == "https://a.example", "\(target)")
    }
  }
}
