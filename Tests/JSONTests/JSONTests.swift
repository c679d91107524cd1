import Basics
import Testing

@testable import JSON

@Suite struct JSONValueTests {
  @Test(
    arguments: [
      ("null", JSONValue.null), (" true\n", true), ("[]", []), ("{}", [:]),
      ("[1,\"a\",null]", [1, "a", nil]),
      ("{\"a\":{\"b\":[false]}}", ["a": ["b": [false]]]), ("\"\"", ""),
      ("\"a\\n\\u00e9\\ud83d\\ude00\\/\\\"\"", "a\né😀/\""),
      ("\"é😀\"", "é😀"), ("-0", .number(JSONNumber(validated: "-0"))), ("[ 1 , 2 ]", [1, 2]),
      ("\"\\u0000\"", "\u{0}"),
    ] as [(String, JSONValue)]) func `valid text becomes its value and back`(text: String, value: JSONValue)
    throws
  {
    #expect(try JSONValue.parse(text) == value)
    #expect(try JSONNode.parse(text).value == value)
    #expect(try JSONValue.parse(value.serialized()) == value)
    #expect(try JSONValue.parse(value.serialized(pretty: true)) == value)
  }

  @Test(
    arguments: [
      ("", JSONError.Kind.unexpectedEnd, 1, 1), ("[", .unexpectedEnd, 1, 2), ("[1", .unexpectedEnd, 1, 3),
      ("{\"a\"", .unexpectedEnd, 1, 5), ("\"a", .unexpectedEnd, 1, 3), ("tru", .unexpectedEnd, 1, 4),
      ("\"\\u12", .unexpectedEnd, 1, 6), ("[1,]", .unexpectedByte(93), 1, 4),
      ("{,}", .unexpectedByte(44), 1, 2),
      ("{\"a\":1,}", .unexpectedByte(125), 1, 8), ("{a:1}", .unexpectedByte(97), 1, 2),
      ("[1 2]", .unexpectedByte(50), 1, 4),
      ("{\"a\" 1}", .unexpectedByte(49), 1, 6), ("trux", .unexpectedByte(120), 1, 4),
      ("'a'", .unexpectedByte(39), 1, 1),
      ("NaN", .unexpectedByte(78), 1, 1), ("// c\n1", .unexpectedByte(47), 1, 1),
      ("1 1", .trailingBytes, 1, 3),
      ("{}}", .trailingBytes, 1, 3), ("01", .invalidNumber, 1, 1), ("1.", .invalidNumber, 1, 1),
      ("-", .invalidNumber, 1, 1),
      ("1e", .invalidNumber, 1, 1), ("1.2.3", .invalidNumber, 1, 1), ("1x", .invalidNumber, 1, 1),
      (".5", .unexpectedByte(46), 1, 1),
      ("+1", .unexpectedByte(43), 1, 1), ("\"\\x\"", .invalidEscape, 1, 2),
      ("\"\\u12g4\"", .invalidEscape, 1, 2),
      ("\"\\ud800\"", .loneSurrogate, 1, 2), ("\"\\ude00\"", .loneSurrogate, 1, 2),
      ("\"\\ud800\\u0041\"", .loneSurrogate, 1, 2),
      ("\"a\nb\"", .controlCharacter, 1, 3), ("{\n \"a\":1,\n \"a\":2}", .duplicateKey("a"), 3, 2),
      ("{\"a\":1,\"\\u0061\":2}", .duplicateKey("a"), 1, 8), ("\u{FEFF}1", .unexpectedByte(0xEF), 1, 1),
    ] as [(String, JSONError.Kind, Int, Int)]) func `invalid text is refused with its place`(
      text: String, kind: JSONError.Kind, line: Int, column: Int
    )
  {
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(text) }
    #expect(error?.kind == kind)
    #expect(error?.line == line)
    #expect(error?.column == column)
    let nodeError = #expect(throws: JSONError.self) { try JSONNode.parse(text) }
    #expect(nodeError == error)
  }

  @Test func `invalid UTF-8 is refused, with and without escapes`() {
    for bytes: [UInt8] in [
      [34, 0xFF, 34], [34, 0xC0, 0xAF, 34], [34, 0xED, 0xA0, 0x80, 34], [34, 92, 110, 0xFF, 34],
    ] {
      let error = #expect(throws: JSONError.self) { try JSONValue.parse(bytes) }
      #expect(error?.kind == .invalidUTF8)
    }
  }

  @Test func `depth and length are bounded`() throws {
    let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
    #expect(throws: JSONError.self) { try JSONValue.parse(deep) }
    #expect(throws: JSONError.self) { try JSONNode.parse(deep) }
    #expect(try JSONValue.parse(deep, limits: JSONLimits(depth: 65)).array?.count == 1)
    #expect(throws: JSONError.self) { try JSONValue.parse("[1,2]", limits: JSONLimits(bytes: 4)) }
    let error = #expect(throws: JSONError.self) {
      try JSONValue.parse(String(repeating: "{\"a\":", count: 100_000), limits: JSONLimits(depth: 100_000))
    }
    #expect(error?.kind == .tooDeep(limit: 512))
  }

  @Test func `every prefix of a document is refused without a crash`() {
    let text = #"{"a":[1.5e3,true,null,"x\u00e9\ud83d\ude00"],"b":{"c":-0.1}}"#
    for count in 0..<text.utf8.count {
      #expect(throws: JSONError.self) { try JSONValue.parse(Array(text.utf8.prefix(count))) }
    }
  }

  @Test func `numbers keep their text`() throws {
    let values = try JSONValue.parse("[9223372036854775807, 9223372036854775808, 1.0, 1e3, 1.5, 1e999, 0.10]")
      .array
    #expect(values?.map(\.int64) == [.max, nil, 1, 1000, nil, nil, nil])
    #expect(values?.last?.double == 0.1 && values?[5].double == nil)
    #expect(values?.last?.serialized() == "0.10")
  }

  @Test func `an object keeps its order and finds its members`() throws {
    var object = JSONObject((0..<40).map { ("k\($0)", .number(JSONNumber($0))) })
    #expect(object["k39"]?.int64 == 39 && object["k0"]?.int64 == 0 && object["x"] == nil)
    object["k5"] = nil
    object["k6"] = "six"
    object["new"] = true
    #expect(object["k5"] == nil && object["k39"]?.int64 == 39 && object["k6"] == "six")
    #expect(object.keys.first == "k0" && object.keys.last == "new" && object.count == 40)
    #expect(try JSONValue.parse("{\"a\":1,\"b\":2}") == JSONValue.parse("{\"b\":2,\"a\":1}"))
  }

  @Test(
    arguments: [
      ("", "{\"a\":[10,{\"~\":1,\"/\":2,\"\":3}]}"), ("/a/0", "10"), ("/a/1/~0", "1"), ("/a/1/~1", "2"),
      ("/a/1/", "3"),
      ("/a/2", nil), ("/a/00", nil), ("/a/-", nil), ("/b", nil), ("a", nil), ("/a/1/~2", nil),
      ("/a/0/x", nil),
    ] as [(String, String?)]) func `pointers lead to values`(pointer: String, expected: String?) throws
  {
    let value = try JSONValue.parse("{\"a\":[10,{\"~\":1,\"/\":2,\"\":3}]}")
    #expect(value.at(pointer: pointer)?.serialized() == expected)
  }

  @Test(
    arguments: [("\u{301}a", "\u{301}a"), ("~1\u{301}", "/\u{301}"), ("a~0\u{656}", "a~\u{656}")]
  ) func `a combining mark does not change a pointer's slash or tilde`(step: String, key: String) {
    let value = JSONValue.object([key: .object([key: 1])])
    #expect(value.at(pointer: "/" + step + "/" + step) == 1)
  }

  @Test func `text is safe inside a page`() {
    #expect(
      JSONValue.string("</script>&\u{1}\u{7F}\"\\\t").serialized()
        == #""\u003c/script\u003e\u0026\u0001\u007f\"\\\t""#)
    #expect(
      JSONValue(dictionaryLiteral: ("a", [1]), ("b", [:])).serialized(pretty: true)
        == "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}")
  }

  @Test func `nodes know where they stand`() throws {
    let node = try JSONNode.parse("{\n  \"a\": [1,\n    {\"b\": true}]\n}")
    let member = try #require(node.members?.first)
    #expect(member.keyPosition == .init(line: 2, column: 3))
    #expect(member.value.position == .init(line: 2, column: 8))
    let inner = try #require(member.value.elements?.last)
    #expect(inner.position == .init(line: 3, column: 5))
    #expect(inner["b"]?.position == .init(line: 3, column: 11))
    #expect(inner["c"] == nil)
  }
}

@Suite struct JSONScannerTests {
  private func members(_ text: String, depth: Int = 64) throws -> [String] {
    let buffer = Buffer("##" + text)
    guard var scanner = JSONScanner(object: buffer, 2..<buffer.count, maxDepth: depth) else {
      return ["none"]
    }
    var out: [String] = []
    while let member = try scanner.nextMember(buffer) {
      let escapes = (member.keyHasEscapes ? "^" : "") + (member.value.hasEscapes ? "~" : "")
      out.append(
        "\(buffer.string(member.key))=\(member.value.kind):\(buffer.string(member.value.content))\(escapes)")
    }
    if scanner.hasOnlySpaceBehind(buffer) { out.append("end") }
    return out
  }

  @Test func `members are found without building anything`() throws {
    let text =
      #" {"jsonrpc":"2.0", "id" : 7 ,"params":{"name":"a\"}","x":[1,{"y":null}]},"é\n":"\u0041","t":true,"n":null,"l":[]} "#
    #expect(
      try members(text) == [
        "jsonrpc=string:2.0", "id=number:7", #"params=object:{"name":"a\"}","x":[1,{"y":null}]}"#,
        #"é\n=string:\u0041^~"#, "t=bool:true", "n=null:null", "l=array:[]", "end",
      ])
    #expect(try members("{}") == ["end"])
    #expect(try members("{} x") == [])
    #expect(try members("[1]") == ["none"])
    #expect(try members("") == ["none"])
  }

  @Test(arguments: [
    "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\":tru}", "{\"a\":nulL}",
    "{\"a\":01}", "{a:1}",
    "{\"a\":\"x", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\n\"}", "{\"a\":[1,]}",
    "{\"a\":{\"b\"}}", "{\"a\":[1}}", "{\"a\" 1}",
    "{\"a\":1 \"b\":2}", "{\"a\":[[[[1]]]]}",
  ]) func `malformed text is refused`(text: String) {
    #expect(throws: JSONError.self) { try members(text, depth: 4) }
  }

  @Test func `every prefix is refused without a crash`() throws {
    let text = #"{"a":[1.5e3,true,null,"x\u00e9"],"b":{"c":-0.1}}"#
    for count in 1..<text.utf8.count {
      #expect(throws: JSONError.self, "\(count)") { try members(String(text.utf8.prefix(count)) ?? "") }
    }
    #expect(throws: JSONError.self) { try members("{\"a\":" + String(repeating: "[", count: 100_000)) }
  }

  @Test func `elements are found and whole values recognised`() throws {
    let buffer = Buffer(#"[1, {"a":[2]} ,"x"]"#)
    guard var scanner = JSONScanner(array: buffer, 0..<buffer.count) else {
      Issue.record("no array")
      return
    }
    var kinds: [JSONScanner.Kind] = []
    while let value = try scanner.nextElement(buffer) { kinds.append(value.kind) }
    #expect(kinds == [.number, .object, .string])
    for (text, isValue) in [(" [1] ", true), ("[1] 2", false), ("", false), ("1", true), ("[1", false)] {
      let buffer = Buffer(text)
      let found = JSONScanner.isOneValue(buffer, 0..<buffer.count)
      #expect(found == isValue, "\(text)")
    }
    let kind = JSONScanner.kind(buffer, 0..<buffer.count)
    #expect(kind == .array)
  }
}

@Suite struct JSONGrammarTests {
  @Test func `a plain run ends at the same byte wherever it stands and whatever follows`() {
    var wrong: [String] = []
    for byte in UInt8.min...UInt8.max {
      let isPlain = byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
      for count in 1...20 {
        for place in 0..<count {
          // What stands behind the byte borrows from nothing before it.
          for other in [UInt8(ascii: "!"), 0xFF, 0x7F, 0x20] {
            var bytes = [UInt8](repeating: other, count: count)
            bytes[place] = byte
            let end = JSONGrammar.plainEnd(bytes.span, 0, count)
            if end != (isPlain ? count : place) { wrong.append("\(byte) at \(place) of \(count): \(end)") }
          }
        }
      }
    }
    #expect(wrong == [])
  }

  @Test func `a plain run goes no further than its end`() {
    let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: 32)
    for start in 0...32 {
      for end in start...32 { #expect(JSONGrammar.plainEnd(bytes.span, start, end) == end) }
    }
  }

  @Test func `the first of several bytes ends a plain run`() {
    let text = Array("0123456\u{1}\"\\\u{0}\u{0}\"\"!!".utf8)
    for start in 0..<text.count {
      let naive = text[start...].firstIndex { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C } ?? text.count
      #expect(JSONGrammar.plainEnd(text.span, start, text.count) == naive)
    }
  }
}
