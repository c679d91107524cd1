import Basics

@testable import HTTP
@testable import Wire

extension Target {
  /// A chunked body: one reading however it arrives and however little is taken at a time; what is written again is read again.
  static let chunked = Target("chunked") { input in
    var choice = Choice(input)
    let limit = choice.next(below: 3) == 0 ? 24 : 8192
    let whole = ChunkedReading(input, cuts: [input.count], maxOutput: .max, maxTrailer: limit)
    let cuts = choice.cuts(of: input.count)
    let pieces = ChunkedReading(input, cuts: cuts, maxOutput: .max, maxTrailer: limit)
    let sips = ChunkedReading(input, cuts: cuts, maxOutput: 1 + choice.next(below: 7), maxTrailer: limit)
    expectEqual(whole, pieces, "whole and in pieces the body is the same")
    expectEqual(whole, sips, "taken in sips the body is the same")
    expect(whole.body.count <= input.count, "a body is not longer than its chunks")
    expect(whole.trailer.count <= limit, "the trailer is within its limit")
    guard whole.end == "finished" else { return }
    expect(input.reversed().starts(with: whole.rest.reversed()), "what follows the body is left untouched")
    writeAgain(whole, &choice)
  }

  private static func writeAgain(_ reading: ChunkedReading, _ choice: inout Choice) {
    var out = Buffer()
    var start = 0
    let body = Buffer(reading.body)
    for end in choice.cuts(of: body.count) {
      out.appendChunk(from: body, start..<end)
      start = end
    }
    Trailers.appendLastChunk(reading.trailer, to: &out) { _, _ in false }
    let again = ChunkedReading(
      out.array(), cuts: [out.count], maxOutput: .max, maxTrailer: reading.trailer.count * 2 + 8)
    expectEqual(again.end, "finished", "what is written can be read")
    expectEqual(again.body, reading.body, "what is written is the same body")
    expect(again.rest.isEmpty, "nothing is written behind the body")
    let lines = PlainHead(Array("HTTP/1.1 204 \r\n".utf8) + again.trailer + [0x0D, 0x0A])
    for field in lines.fields {
      let name = Buffer(field.name)
      expectEqual(
        FieldID.lookup(name, 0..<name.count), .other, "no field that means something is in a trailer")
    }
  }
}

/// A chunked body read from bytes that arrive in pieces.
private struct ChunkedReading: Equatable {
  var body: [UInt8] = []
  var trailer: [UInt8] = []
  var rest: [UInt8] = []
  var end = "incomplete"

  init(_ input: [UInt8], cuts: [Int], maxOutput: Int, maxTrailer: Int) {
    var decoder = ChunkedDecoder(maxTrailerBytes: maxTrailer)
    var buffer = Buffer()
    var output = Buffer()
    var start = 0
    do throws(HTTPError) {
      feeding: for stop in cuts {
        buffer.append(input[start..<stop])
        start = stop
        while true {
          let before = output.count
          let progress = try decoder.decode(&buffer, into: &output, maxOutput: maxOutput)
          expect(output.count - before <= maxOutput, "no more is given than was asked for")
          if progress == .finished {
            end = "finished"
            break feeding
          }
          if progress == .needMore { break }
        }
      }
    } catch { end = "refused with \(error.status)" }
    expectEqual(UInt64(output.count), decoder.bodyBytes, "bytes are counted")
    expectEqual(decoder.isFinished, end == "finished", "the end is known")
    body = output.array()
    trailer = decoder.trailer
    if end == "finished" { rest = buffer.array() + input[start...] }
  }
}
