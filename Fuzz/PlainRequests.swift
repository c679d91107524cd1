import Basics
import HTTP

/// Requests on one connection as a reader of another make would take them apart, one behind the other.
struct PlainRequests {
  struct Request: Equatable {
    var method: String
    var target: String
    var body: [UInt8]
  }

  private(set) var all: [Request] = []

  /// Reads as many requests as `count`, which the product has found in the same bytes.
  init(_ bytes: [UInt8], count: Int) {
    var rest = bytes[...]
    for _ in 0..<count {
      // One empty line before a request is forgiven.
      if rest.starts(with: [0x0D, 0x0A]) { rest = rest.dropFirst(2) }
      guard let end = Self.end(of: [0x0D, 0x0A, 0x0D, 0x0A], in: rest) else {
        expect(false, "where the product finds a head there is one")
        return
      }
      let head = PlainHead(Array(rest[..<end]))
      rest = rest[end...]
      let words = head.startLine.split(separator: 0x20).map { Array($0).text }
      expect(words.count == 3, "a request line has three words")
      guard words.count == 3, let body = Self.body(head.requestFraming, &rest) else {
        expect(false, "where the product finds a body there is one")
        return
      }
      all.append(Request(method: words[0], target: words[1], body: body))
    }
    leftover = rest.count
  }

  /// Bytes behind the last request.
  private(set) var leftover = 0

  private static func body(_ framing: BodyFraming, _ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    switch framing {
    case .none, .untilClose: return []
    case .length(let count):
      guard count <= UInt64(rest.count) else { return nil }
      defer { rest = rest.dropFirst(Int(count)) }
      return Array(rest.prefix(Int(count)))
    case .chunked: return chunks(&rest)
    }
  }

  private static func chunks(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    var body: [UInt8] = []
    while true {
      guard let sizeLine = line(&rest) else { return nil }
      let digits = Array(sizeLine.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 && $0 != 0x09 }).text
      guard let size = Int(digits, radix: 16), size <= rest.count else { return nil }
      if size == 0 { break }
      body += rest.prefix(size)
      rest = rest.dropFirst(size)
      guard line(&rest) == [] else { return nil }
    }
    while let field = line(&rest) { if field.isEmpty { return body } }
    return nil
  }

  private static func line(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    guard let end = end(of: [0x0D, 0x0A], in: rest) else { return nil }
    defer { rest = rest[end...] }
    return Array(rest[..<(end - 2)])
  }

  /// The index behind the first occurrence of `mark`.
  private static func end(of mark: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    bytes.indices.first { bytes[$0...].starts(with: mark) }.map { $0 + mark.count }
  }
}
