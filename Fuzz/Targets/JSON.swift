import Basics
import JSON

extension Target {
  /// JSON: the tree, the tree with places and the scanner judge alike, and what is written is read again.
  static let json = Target("json") { input in
    let buffer = Buffer(input)
    let all = 0..<input.count
    let isScanned = JSONScanner.isOneValue(buffer, all)
    do {
      let value = try JSONValue.parse(input)
      expect(isScanned, "what the tree takes the scanner takes")
      expectEqual((try? JSONNode.parse(input))?.value, value, "both trees are the same")
      for isPretty in [false, true] {
        let text = value.serialized(pretty: isPretty)
        expectEqual(try? JSONValue.parse(text), value, "what is written is read again")
      }
      walk(value, buffer, all)
      touch(value)
    } catch let error as JSONError {
      checkPlace(error, input)
      expect((try? JSONNode.parse(input)) == nil, "what one tree refuses the other refuses")
      guard isScanned else { return }
      switch error.kind {
      case .invalidUTF8, .duplicateKey, .loneSurrogate: break
      default: expect(false, "what the scanner takes is JSON but for its texts: \(error)")
      }
    } catch { expect(false, "no other error: \(error)") }
  }

  private static func checkPlace(_ error: JSONError, _ input: [UInt8]) {
    expect((0...input.count).contains(error.offset), "an error is in the text")
    let before = input[..<error.offset]
    expectEqual(error.line, 1 + before.count { $0 == 0x0A }, "an error's line")
    let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    expectEqual(error.column, error.offset - lineStart + 1, "an error's column")
    expect(!error.description.isEmpty, "an error says something")
  }

  /// The scanner finds the members and elements that the tree has.
  private static func walk(_ value: JSONValue, _ buffer: borrowing Buffer, _ range: Range<Int>) {
    switch value {
    case .object(let object):
      guard var scanner = JSONScanner(object: buffer, range) else {
        return expect(false, "the scanner sees an object")
      }
      for (key, inner) in object.members {
        guard let member = try? scanner.nextMember(buffer) else {
          return expect(false, "the scanner finds the member \(key)")
        }
        expectInside(member.key, range, "a key is in its object")
        expectInside(member.value.range, range, "a value is in its object")
        let quoted = member.key.lowerBound - 1..<member.key.upperBound + 1
        expectEqual((try? JSONValue.parse(buffer, quoted))?.string, key, "a key is the same")
        if !member.keyHasEscapes {
          expectEqual(buffer.string(member.key), key, "a key without escapes is its bytes")
        }
        walk(inner, buffer, member.value.range)
      }
      expect((try? scanner.nextMember(buffer)) == .some(nil) && scanner.isAtEnd, "the scanner finds no more")
      expect(scanner.hasOnlySpaceBehind(buffer), "nothing is behind an object")
    case .array(let elements):
      guard var scanner = JSONScanner(array: buffer, range) else {
        return expect(false, "the scanner sees an array")
      }
      for inner in elements {
        guard let element = try? scanner.nextElement(buffer) else {
          return expect(false, "the scanner finds every element")
        }
        expectInside(element.range, range, "an element is in its array")
        walk(inner, buffer, element.range)
      }
      expect((try? scanner.nextElement(buffer)) == .some(nil), "the scanner finds no more")
    case .string, .number, .bool, .null:
      expectEqual(try? JSONValue.parse(buffer, range), value, "a value stands alone")
    }
  }

  private static func touch(_ value: JSONValue) {
    _ = (value.int64, value.double, value.strings, value.isNull)
    if let number = value.number, let whole = number.int64, let near = number.double {
      expect(Double(whole) == near, "a number is one number: \(number)")
    }
    for (key, inner) in value.object?.members ?? [] {
      let escaped = key.escaping(UInt8(ascii: "~"), as: "~0").escaping(UInt8(ascii: "/"), as: "~1")
      expectEqual(value.at(pointer: "/" + escaped), inner, "a pointer leads to its member")
      touch(inner)
    }
    for inner in value.array ?? [] { touch(inner) }
  }
}

extension String {
  /// By bytes: a combining mark may not hide the mark.
  fileprivate func escaping(_ mark: UInt8, as text: String) -> String {
    String(decoding: utf8.flatMap { $0 == mark ? Array(text.utf8) : [$0] }, as: UTF8.self)
  }
}
