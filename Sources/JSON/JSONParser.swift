/// Recursive descent over bytes (RFC 8259), strict: no trailing bytes, no repeated keys, no half surrogates, valid UTF-8.
///
/// Depth is bounded by the limits, so recursion is. Every index is compared with the count before it is used.
struct JSONParser {
  let limits: JSONLimits
  var position = 0
  private var depth = 0
  // Line counting for nodes: the last newline passed.
  private var line = 1
  private var lineStart = 0
  private var counted = 0

  init(limits: JSONLimits) { self.limits = limits }

  mutating func wholeValue(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
    try checkLength(bytes)
    let value = try value(bytes)
    try checkEnd(bytes)
    return value
  }

  mutating func wholeNode(_ bytes: Span<UInt8>) throws(JSONError) -> JSONNode {
    try checkLength(bytes)
    let node = try node(bytes)
    try checkEnd(bytes)
    return node
  }

  private func checkLength(_ bytes: Span<UInt8>) throws(JSONError) {
    guard bytes.count <= limits.bytes else { throw error(.tooLong(limit: limits.bytes), bytes, at: 0) }
  }

  private mutating func checkEnd(_ bytes: Span<UInt8>) throws(JSONError) {
    skipSpace(bytes)
    guard position == bytes.count else { throw error(.trailingBytes, bytes) }
  }

  // MARK: Values

  private mutating func value(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
    skipSpace(bytes)
    switch try peek(bytes) {
    case UInt8(ascii: "{"):
      var object = JSONObject()
      try enter(bytes)
      while let (key, keyStart) = try nextKey(bytes, isFirst: object.isEmpty) {
        guard object.position(of: key) == nil else { throw error(.duplicateKey(key), bytes, at: keyStart) }
        object.append(key, try value(bytes))
      }
      return .object(object)
    case UInt8(ascii: "["):
      var array: [JSONValue] = []
      try enter(bytes)
      while try nextElement(bytes, isFirst: array.isEmpty) { array.append(try value(bytes)) }
      return .array(array)
    default: return try scalar(bytes)
    }
  }

  private mutating func node(_ bytes: Span<UInt8>) throws(JSONError) -> JSONNode {
    skipSpace(bytes)
    let place = place(bytes, position)
    switch try peek(bytes) {
    case UInt8(ascii: "{"):
      var members: [JSONNode.Member] = []
      var seen: Set<String> = []
      try enter(bytes)
      while let (key, keyStart) = try nextKey(bytes, isFirst: members.isEmpty) {
        guard seen.insert(key).inserted else { throw error(.duplicateKey(key), bytes, at: keyStart) }
        let keyPlace = self.place(bytes, keyStart)
        members.append(JSONNode.Member(key: key, keyPosition: keyPlace, value: try node(bytes)))
      }
      return JSONNode(content: .object(members), position: place)
    case UInt8(ascii: "["):
      var elements: [JSONNode] = []
      try enter(bytes)
      while try nextElement(bytes, isFirst: elements.isEmpty) { elements.append(try node(bytes)) }
      return JSONNode(content: .array(elements), position: place)
    default:
      let content: JSONNode.Content =
        switch try scalar(bytes) {
        case .bool(let value): .bool(value)
        case .number(let value): .number(value)
        case .string(let value): .string(value)
        case .null, .array, .object: .null
        }
      return JSONNode(content: content, position: place)
    }
  }

  private mutating func scalar(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
    switch try peek(bytes) {
    case UInt8(ascii: "\""): return .string(try string(bytes))
    case UInt8(ascii: "t"):
      try literal(bytes, "true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try literal(bytes, "false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try literal(bytes, "null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number(bytes))
    case let byte: throw error(.unexpectedByte(byte), bytes)
    }
  }

  private mutating func literal(_ bytes: Span<UInt8>, _ word: StaticString) throws(JSONError) {
    for expected in word.description.utf8 {
      guard try peek(bytes) == expected else { throw error(.unexpectedByte(bytes[position]), bytes) }
      position += 1
    }
  }

  private mutating func number(_ bytes: Span<UInt8>) throws(JSONError) -> JSONNumber {
    guard let end = JSONGrammar.numberEnd(bytes, position, bytes.count) else {
      throw error(.invalidNumber, bytes)
    }
    let text = text(bytes, position..<end)
    position = end
    return JSONNumber(validated: text)
  }

  // MARK: Structure

  private mutating func enter(_ bytes: Span<UInt8>) throws(JSONError) {
    guard depth < limits.depth else { throw error(.tooDeep(limit: limits.depth), bytes) }
    depth += 1
    position += 1
  }

  /// The next key with its offset, its colon consumed; nil when the object has ended.
  private mutating func nextKey(
    _ bytes: Span<UInt8>, isFirst: Bool
  ) throws(JSONError) -> (String, Int)? {
    guard try next(bytes, isFirst, close: UInt8(ascii: "}")) else { return nil }
    guard try peek(bytes) == UInt8(ascii: "\"") else { throw error(.unexpectedByte(bytes[position]), bytes) }
    let start = position
    let key = try string(bytes)
    skipSpace(bytes)
    guard try peek(bytes) == UInt8(ascii: ":") else { throw error(.unexpectedByte(bytes[position]), bytes) }
    position += 1
    return (key, start)
  }

  private mutating func nextElement(_ bytes: Span<UInt8>, isFirst: Bool) throws(JSONError) -> Bool {
    try next(bytes, isFirst, close: UInt8(ascii: "]"))
  }

  private mutating func next(_ bytes: Span<UInt8>, _ isFirst: Bool, close: UInt8) throws(JSONError) -> Bool {
    skipSpace(bytes)
    if try peek(bytes) == close {
      position += 1
      depth -= 1
      return false
    }
    guard !isFirst else { return true }
    guard bytes[position] == UInt8(ascii: ",") else { throw error(.unexpectedByte(bytes[position]), bytes) }
    position += 1
    skipSpace(bytes)
    return true
  }

  // MARK: Strings

  private mutating func string(_ bytes: Span<UInt8>) throws(JSONError) -> String {
    let start = position
    position += 1
    let plainEnd = JSONGrammar.plainEnd(bytes, position, bytes.count)
    if plainEnd < bytes.count, bytes[plainEnd] == UInt8(ascii: "\"") {
      let text = try validText(bytes, position..<plainEnd)
      position = plainEnd + 1
      return text
    }
    var out: [UInt8] = []
    while true {
      let end = JSONGrammar.plainEnd(bytes, position, bytes.count)
      out.append(contentsOf: array(bytes, position..<end))
      position = end
      switch try peek(bytes) {
      case UInt8(ascii: "\""):
        position += 1
        guard let text = String(validating: out, as: UTF8.self) else {
          throw error(.invalidUTF8, bytes, at: start)
        }
        return text
      case UInt8(ascii: "\\"): try escape(bytes, &out)
      default: throw error(.controlCharacter, bytes)
      }
    }
  }

  private mutating func escape(_ bytes: Span<UInt8>, _ out: inout [UInt8]) throws(JSONError) {
    let start = position
    position += 1
    let kind = try peek(bytes)
    position += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(kind)
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0C)
    case UInt8(ascii: "n"): out.append(0x0A)
    case UInt8(ascii: "r"): out.append(0x0D)
    case UInt8(ascii: "t"): out.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hex4(bytes, start)
      if code & 0xF800 == 0xD800 {
        // A pair: high half here, low half must follow at once.
        guard code < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
          bytes[position + 1] == UInt8(ascii: "u")
        else { throw error(.loneSurrogate, bytes, at: start) }
        position += 2
        let low = try hex4(bytes, start)
        guard low & 0xFC00 == 0xDC00 else { throw error(.loneSurrogate, bytes, at: start) }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw error(.loneSurrogate, bytes, at: start) }
      out.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    default: throw error(.invalidEscape, bytes, at: start)
    }
  }

  private mutating func hex4(_ bytes: Span<UInt8>, _ start: Int) throws(JSONError) -> UInt32 {
    guard bytes.count - position >= 4 else { throw error(.unexpectedEnd, bytes, at: bytes.count) }
    guard let code = JSONGrammar.hex4(bytes, position) else { throw error(.invalidEscape, bytes, at: start) }
    position += 4
    return code
  }

  private func validText(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(JSONError) -> String {
    guard let text = String(validating: array(bytes, range), as: UTF8.self) else {
      throw error(.invalidUTF8, bytes, at: range.lowerBound)
    }
    return text
  }

  // MARK: Bytes

  private func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
    String(decoding: array(bytes, range), as: UTF8.self)
  }

  private func array(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
    unsafe bytes.extracting(range).withUnsafeBufferPointer { unsafe [UInt8]($0) }
  }

  private mutating func skipSpace(_ bytes: Span<UInt8>) {
    position = JSONGrammar.skipSpace(bytes, position, bytes.count)
  }

  private func peek(_ bytes: Span<UInt8>) throws(JSONError) -> UInt8 {
    guard position < bytes.count else { throw error(.unexpectedEnd, bytes) }
    return bytes[position]
  }

  /// The place of `offset`. Nodes ask in ascending order, so newlines are counted once.
  private mutating func place(_ bytes: Span<UInt8>, _ offset: Int) -> JSONNode.Position {
    if offset < counted { return Self.place(bytes, offset) }
    while counted < offset {
      if bytes[counted] == 0x0A {
        line += 1
        lineStart = counted + 1
      }
      counted += 1
    }
    return JSONNode.Position(line: line, column: offset - lineStart + 1)
  }

  private static func place(_ bytes: Span<UInt8>, _ offset: Int) -> JSONNode.Position {
    var (line, start) = (1, 0)
    for i in 0..<min(offset, bytes.count) where bytes[i] == 0x0A {
      line += 1
      start = i + 1
    }
    return JSONNode.Position(line: line, column: offset - start + 1)
  }

  private func error(_ kind: JSONError.Kind, _ bytes: Span<UInt8>, at offset: Int? = nil) -> JSONError {
    let offset = offset ?? position
    let place = Self.place(bytes, offset)
    return JSONError(kind: kind, line: place.line, column: place.column, offset: offset)
  }
}
