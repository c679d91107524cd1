import Basics

@testable import HTTP

extension Target {
  /// The cookies of a request; every line of the input is the value of one `Cookie` field.
  static let cookies = Target("cookies") { input in
    let buffer = Buffer(
      Array("GET / HTTP/1.1\r\nHost: h\r\n".utf8)
        + input.lines.flatMap { Array("Cookie: ".utf8) + $0 + [0x0D, 0x0A] } + [0x0D, 0x0A])
    var head = RequestHead()
    guard (try? head.parse(buffer, limits: HeadLimits())) == true else { return }
    let pairs = plainPairs(input)
    expectEqual(readPairs(head, buffer), pairs, "the cookies are those that stand there")
    for name in Set(pairs.map(\.name)).prefix(8) {
      let same = pairs.filter { $0.name == name }
      expectEqual(Cookies.count(of: name, in: head, buffer), same.count, "cookies of one name are counted")
      if let found = Cookies.find(name, in: head, buffer) {
        expectInside(found, 0..<head.byteCount, "a value is in the head")
        expectEqual(buffer.array(found), same[0].value, "the first of a name counts")
        expectEqual(
          Base64URL.decode32(buffer, found)?.bytes, ticket(buffer.array(found)), "a ticket is read in one way"
        )
        let set = SetCookie(name: name.text, value: buffer.string(found))
        expect(set == nil || !(set?.text.utf8.contains { $0 < 0x20 } ?? true), "no control in what is set")
      }
    }
    let kept = Set(pairs.enumerated().filter { $0.offset % 2 == 0 }.map(\.element.name))
    var out = Buffer("GET / HTTP/1.1\r\nHost: h\r\n")
    let before = out.count
    Cookies.appendKept(of: head, buffer, to: &out) { buffer, name in kept.contains(buffer.array(name)) }
    expectEqual(out.count == before, kept.isEmpty, "nothing is written where nothing is kept")
    out.append("\r\n")
    var again = RequestHead()
    expect((try? again.parse(out, limits: HeadLimits(headBytes: .max))) == true, "what is kept can be read")
    expect(again.count(of: .cookie) <= 1, "what is kept is one field")
    expectEqual(
      readPairs(again, out), pairs.filter { kept.contains($0.name) }, "what is kept is what was chosen")
  }

  private struct Pair: Equatable {
    var name: [UInt8]
    var value: [UInt8]
  }

  private static func readPairs(_ head: borrowing RequestHead, _ buffer: borrowing Buffer) -> [Pair] {
    var out: [Pair] = []
    for slot in head.fields where slot.id == .cookie {
      var pairs = CookiePairs(slot.value)
      while let pair = pairs.next(buffer) {
        expectInside(pair.name, slot.value, "a name is in its field")
        expectInside(pair.value, pair.name.upperBound..<slot.value.upperBound, "a value is behind its name")
        out.append(Pair(name: buffer.array(pair.name), value: buffer.array(pair.value)))
      }
    }
    expectEqual(Cookies.all(in: head, buffer).count, out.count, "all cookies are all")
    return out
  }

  /// Split at every semicolon, and at the first equals sign of each part.
  private static func plainPairs(_ input: [UInt8]) -> [Pair] {
    func trimmed(_ bytes: some Sequence<UInt8>) -> [UInt8] {
      func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
      return bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
    }
    return input.lines.flatMap { $0.split(separator: UInt8(ascii: ";")) }.compactMap { part in
      let pair = trimmed(part)
      guard let equals = pair.firstIndex(of: UInt8(ascii: "=")), equals > 0 else { return nil }
      return Pair(name: trimmed(pair[..<equals]), value: trimmed(pair[(equals + 1)...]))
    }
  }

  private static func ticket(_ value: [UInt8]) -> [UInt8]? {
    guard value.count == 43 else { return nil }
    return Base64URL.decode(value.text)
  }
}
