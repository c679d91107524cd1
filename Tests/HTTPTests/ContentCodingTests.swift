import Basics
import Testing

@testable import HTTP

/// "hello" by Python's zlib: with the zlib wrapper and without.
private let zlibHello: [UInt8] = [
  0x78, 0x9C, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x06, 0x2C, 0x02, 0x15,
]
private let rawHello = Array(zlibHello[2..<9])
private let text = Array(String(repeating: "identity passes through; ", count: 400).utf8)

@Suite struct ContentCodingTests {
  @Test func `what is encoded decodes, fed in any pieces`() throws {
    let packed = try ContentEncoder.gzip(text)
    #expect(packed.count < text.count / 10)
    #expect(try ContentDecoder.decode(packed, .gzip, maxBytes: 100_000) == text)
    for cut in 0...packed.count {
      var decoder = ContentDecoder(.gzip, maxBytes: 100_000)
      var output = Buffer()
      for part in [packed[..<cut], packed[cut...]] {
        var input = Buffer(Array(part))
        try decoder.decode(&input, into: &output)
      }
      try decoder.finish()
      let decoded = output.array()
      #expect(decoded == text, "split at \(cut)")
    }
  }

  @Test func `deflate is read with and without its wrapper`() throws {
    let hello = Array("hello".utf8)
    #expect(try ContentDecoder.decode(zlibHello, .deflate, maxBytes: 10) == hello)
    #expect(try ContentDecoder.decode(rawHello, .deflate, maxBytes: 10) == hello)
    #expect(try ContentDecoder.decode(hello, .identity, maxBytes: 10) == hello)
  }

  @Test func `gzip members in a row are one content`() throws {
    let packed = try ContentEncoder.gzip(Array("ab".utf8)) + ContentEncoder.gzip(Array("cd".utf8))
    #expect(try ContentDecoder.decode(packed, .gzip, maxBytes: 10) == Array("abcd".utf8))
  }

  @Test func `an event flushed by the sender is decoded at once`() throws {
    var encoder = ContentEncoder()
    var decoder = ContentDecoder(.gzip, maxBytes: .max)
    var wire = Buffer()
    var output = Buffer()
    for event in ["data: a\n\n", "data: b\n\n"] {
      var input = Buffer(event)
      try encoder.encode(&input, into: &wire, flush: true)
      try decoder.decode(&wire, into: &output)
      let decoded = output.string()
      #expect(decoded == event)
      output.removeAll()
    }
  }

  @Test func `corrupt and cut content is refused`() throws {
    let packed = try ContentEncoder.gzip(text)
    var broken = packed
    broken[packed.count / 2] ^= 0xFF
    for bytes in [broken, Array(packed.dropLast()), Array("plain text".utf8), [0x1F]] {
      #expect(throws: ContentCodingError.corrupt) {
        try ContentDecoder.decode(bytes, .gzip, maxBytes: 100_000)
      }
    }
    #expect(throws: ContentCodingError.corrupt) {
      try ContentDecoder.decode(zlibHello + [0], .deflate, maxBytes: 10)
    }
  }

  @Test func `a content beyond its bounds is refused`() throws {
    let bomb = try ContentEncoder.gzip([UInt8](repeating: 0, count: 10 << 20), level: 9)
    #expect(throws: ContentCodingError.tooLong(limit: 1 << 20)) {
      try ContentDecoder.decode(bomb, .gzip, maxBytes: 1 << 20, maxRatio: 10_000)
    }
    #expect(throws: ContentCodingError.ratio(limit: 100)) {
      try ContentDecoder.decode(bomb, .gzip, maxBytes: 100 << 20, maxRatio: 100)
    }
    #expect(throws: ContentCodingError.tooLong(limit: 3)) {
      try ContentDecoder.decode(Array("abcd".utf8), .identity, maxBytes: 3)
    }
  }

  @Test(
    arguments: [
      ("gzip", ContentCoding.gzip), ("X-GZIP", .gzip), ("deflate", .deflate), ("identity", .identity),
      ("", .identity), ("br", nil), ("gzip, gzip", nil),
    ] as [(String, ContentCoding?)])
  func `codings are known by name`(text: String, coding: ContentCoding?) {
    let buffer = Buffer(text)
    let found = ContentCoding(buffer, 0..<buffer.count)
    #expect(found == coding)
  }
}
