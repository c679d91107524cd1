import Basics
import HTTP

extension Target {
  /// Coded content: within its bounds, the same however it arrives, and what is coded here is decoded again.
  static let contentCoding = Target("content-coding") { input in
    var choice = Choice(input)
    let maxBytes = [1000, 100_000, 1 << 20][choice.next(below: 3)]
    for coding in [ContentCoding.gzip, .deflate, .identity] {
      let whole = DecodedContent(input, cuts: [input.count], coding, maxBytes: maxBytes)
      let pieces = DecodedContent(input, cuts: choice.cuts(of: input.count), coding, maxBytes: maxBytes)
      if whole.isGood || pieces.isGood {
        expectEqual(whole, pieces, "whole and in pieces the content is the same")
      }
    }
    var encoder = ContentEncoder(level: 1)
    var coded = Buffer()
    var start = 0
    let cuts = choice.cuts(of: input.count)
    for end in cuts {
      var piece = Buffer(Array(input[start..<end]))
      let isLast = end == input.count
      do { try encoder.encode(&piece, into: &coded, flush: !isLast, end: isLast) } catch {
        expect(false, "everything can be coded: \(error)")
      }
      start = end
    }
    let decoded = try? ContentDecoder.decode(
      coded.array(), .gzip, maxBytes: input.count, maxRatio: .max)
    expectEqual(decoded, input, "what is coded is decoded again")
  }
}

/// Content decoded from bytes that arrive in pieces.
private struct DecodedContent: Equatable {
  var bytes: [UInt8] = []
  var isGood = false

  init(_ input: [UInt8], cuts: [Int], _ coding: ContentCoding, maxBytes: Int) {
    var decoder = ContentDecoder(coding, maxBytes: maxBytes)
    var output = Buffer()
    var start = 0
    do {
      for end in cuts {
        var piece = Buffer(Array(input[start..<end]))
        start = end
        try decoder.decode(&piece, into: &output)
        expect(piece.isEmpty, "what was decoded is consumed")
        expect(output.count <= maxBytes, "content is within its limit")
      }
      try decoder.finish()
      isGood = true
    } catch {}
    // Between two looks at the bounds at most one step is written.
    expect(output.count <= maxBytes + 64 * 1024, "refused content is not much longer than its limit")
    if isGood {
      expect(output.count <= max(64 * 1024, input.count * 200), "content does not grow beyond measure")
      bytes = output.array()
    }
  }
}
