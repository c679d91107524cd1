import Basics

@testable import HTTP

/// A head as a reader of another make would read it: split into lines, every line at its first colon, nothing clever. What the product
/// lets through must mean the same to it.
struct PlainHead {
  struct Field {
    /// In lower case.
    let name: String
    let value: [UInt8]
  }

  let startLine: [UInt8]
  private(set) var fields: [Field] = []

  /// Reads a head that the product has accepted, with its empty line.
  init(_ bytes: [UInt8]) {
    for (i, byte) in bytes.enumerated() {
      expect(byte != 0, "no NUL in a head")
      if byte == 0x0A { expect(i > 0 && bytes[i - 1] == 0x0D, "no bare LF in a head") }
      if byte == 0x0D { expect(i + 1 < bytes.count && bytes[i + 1] == 0x0A, "no bare CR in a head") }
    }
    var lines = bytes.lines.map { Array($0.dropLast()) }
    expect(lines.popLast() == [], "a head ends in a line end")
    expect(lines.popLast() == [], "a head ends in an empty line")
    if lines.first == [] { lines.removeFirst() }
    startLine = lines.isEmpty ? [] : lines.removeFirst()
    for line in lines {
      expect(!line.isEmpty, "no empty line before the end of a head")
      expect(line.first != 0x20 && line.first != 0x09, "no folded line")
      let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? 0
      expect(colon > 0, "a field has a name")
      let name = Array(line[..<colon]).text
      expect(FieldValue.isToken(name), "a field's name is a token: \(name)")
      fields.append(Field(name: ASCII.lowercased(name), value: Self.trimmed(line[(colon + 1)...])))
    }
  }

  func values(_ name: String) -> [[UInt8]] { fields.filter { $0.name == name }.map(\.value) }

  /// As RFC 9112 §6.3 has it for a request in which nothing contradicts.
  var requestFraming: BodyFraming {
    let (codings, lengths) = (values("transfer-encoding"), values("content-length"))
    if !codings.isEmpty {
      expect(codings.count == 1 && ASCII.lowercased(codings[0].text) == "chunked", "one coding: chunked")
      expect(lengths.isEmpty, "no length beside chunked")
      return .chunked
    }
    guard let length = lengths.first else { return .none }
    let number = UInt64(length.text)
    expect(lengths.count == 1 && number != nil && length.allSatisfy(ASCII.isDigit), "one length in digits")
    return .length(number ?? 0)
  }

  /// Whether a field is for one hop only: by its own nature, or since `Connection` names it.
  func isHopByHop(_ name: String) -> Bool {
    let buffer = Buffer(name)
    if FieldID.lookup(buffer, 0..<buffer.count).isHopByHop { return true }
    return values("connection").contains { value in
      FieldValue.elements(value.text).contains { ASCII.lowercased($0) == name }
    }
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    return Array(bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }
}
