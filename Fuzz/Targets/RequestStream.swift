import Basics

@testable import Gateway
@testable import HTTP
@testable import Wire

extension Target {
  /// Everything that a client sends on one connection: requests one behind the other, with bodies. The bytes that go upstream are
  /// the same requests, and another reader takes both streams apart at the same places.
  static let requestStream = Target("request-stream") { input in
    var choice = Choice(input)
    let whole = StreamReading(input, cuts: [input.count], &choice)
    let pieces = StreamReading(input, cuts: choice.cuts(of: input.count), &choice)
    expectEqual(whole.requests, pieces.requests, "whole and in pieces the requests are the same")
    expectEqual(whole.end, pieces.end, "whole and in pieces the stream ends alike")
    let count = whole.requests.count
    expectEqual(
      PlainRequests(input, count: count).all, whole.requests, "another reader finds the same requests")
    for reading in [whole, pieces] {
      let upstream = PlainRequests(reading.upstream, count: count)
      expectEqual(
        upstream.all.map(\.body), whole.requests.map(\.body), "the upstream gets the same bodies")
      expectEqual(
        upstream.all.map(\.method), whole.requests.map(\.method), "the upstream gets the same methods")
      expectEqual(upstream.leftover, 0, "the upstream gets these requests and nothing else")
    }
  }
}

/// A client's bytes taken apart as a connection does it, and written for the upstream.
private struct StreamReading {
  private(set) var requests: [PlainRequests.Request] = []
  private(set) var upstream: [UInt8] = []
  private(set) var end = "between requests"

  private static let route = Route.sample("/", to: "http://127.0.0.1:3000/")
  /// More than any input holds.
  private static let maxRequests = 64

  init(_ input: [UInt8], cuts: [Int], _ choice: inout Choice) {
    var rest = Buffer()
    var head = RequestHead()
    var reader = BodyReader()
    var body = Buffer()
    var out = Buffer()
    var isInBody = false
    var start = 0
    let step = choice.next(below: 2) == 0 ? Int.max : 1 + choice.next(below: 16)
    do throws(HTTPError) {
      for cut in cuts {
        rest.append(input[start..<cut])
        start = cut
        while requests.count < Self.maxRequests {
          if !isInBody {
            guard try head.parse(rest, limits: HeadLimits()) else { break }
            try begin(head, rest, &out)
            reader.begin(head.framing, errorStatus: 400)
            isInBody = true
            rest.consume(head.byteCount)
          }
          while !reader.isFinished {
            let before = body.count
            guard try reader.pull(from: &rest, into: &body, atMost: step) else { break }
            expect(body.count - before <= step, "no more is given than was asked for")
            if head.framing == .chunked {
              out.appendChunk(from: body, before..<body.count)
            } else {
              out.append(from: body, before..<body.count)
            }
          }
          guard reader.isFinished else { break }
          finish(head, reader, &body, &out)
          isInBody = false
          head.reset()
        }
      }
      if isInBody { end = "in a body" } else if !rest.isEmpty { end = "in a head" }
    } catch { end = "refused" }
  }

  private mutating func begin(
    _ head: borrowing RequestHead, _ buffer: borrowing Buffer, _ out: inout Buffer
  ) throws(HTTPError) {
    guard PathRules.problem(buffer, head.path) == nil else { throw .bad("a path of two readings") }
    out.removeAll()
    UpstreamRequest.write(
      to: &out, head: head, input: buffer, route: Self.route,
      additions: UpstreamRequest.Additions(
        token: Secret("t"), forwarding: [], requestID: 1,
        pathRest: head.path, target: nil, dropsMCPSessionID: false))
    switch head.framing {
    case .length(let count): AnswerHead.appendContentLength(count, to: &out)
    case .chunked: AnswerHead.appendChunked(to: &out)
    case .none, .untilClose: break
    }
    out.append("\r\n")
    requestLine = (buffer.string(head.methodRange), buffer.string(head.target))
  }

  private var requestLine = (method: "", target: "")

  private mutating func finish(
    _ head: borrowing RequestHead, _ reader: borrowing BodyReader, _ body: inout Buffer, _ out: inout Buffer
  ) {
    if head.framing == .chunked { Trailers.appendLastChunk(reader.trailer, to: &out) { _, _ in false } }
    expectEqual(reader.delivered, UInt64(body.count), "the bytes of a body are counted")
    requests.append(
      PlainRequests.Request(method: requestLine.method, target: requestLine.target, body: body.array()))
    upstream += out.array()
    body.removeAll()
  }
}
