internal import Basics
internal import JSON

/// Error texts written for people that begin with a code for programs: `consent_required: …`, `Error
/// executing tool x: AADSTS65001: …`, or text with a JSON object in it.
///
/// A code counts only where codes stand: as a whole segment before a colon near the start, or as the whole
/// text. A word inside a sentence is prose.
enum ErrorText {
  /// No more of a text is looked at, in bytes.
  private static let maxBytes = 16 << 10
  /// A code stands within the first so many segments. SDKs put `Error executing tool NAME:` in front.
  private static let maxSegments = 4

  /// The leading segments of `text` that could be codes: no space inside.
  static func segments(_ text: String) -> [Substring] {
    var out: [Substring] = []
    var rest = bounded(text)
    for _ in 0..<maxSegments {
      let end = rest.utf8.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
      let segment = trimmed(rest[..<end])
      if !segment.isEmpty, segment.utf8.count <= 64, !segment.utf8.contains(0x20) { out.append(segment) }
      guard end < rest.endIndex else { break }
      rest = rest[rest.utf8.index(after: end)...]
    }
    return out
  }

  /// The JSON object from the first opening to the last closing brace.
  static func embeddedObject(_ text: String) -> JSONObject? {
    let text = bounded(text)
    guard let start = text.utf8.firstIndex(of: UInt8(ascii: "{")),
      let end = text.utf8.lastIndex(of: UInt8(ascii: "}")), start < end
    else { return nil }
    let limits = JSONLimits(depth: 32, bytes: maxBytes)
    return (try? JSONValue.parse(String(text[start...end]), limits: limits))?.object
  }

  /// The JSON object the text is, without anything before or behind it.
  static func wholeObject(_ text: String) -> JSONObject? {
    guard text.utf8.count <= maxBytes, text.utf8.contains(UInt8(ascii: "{")) else { return nil }
    return (try? JSONValue.parse(text, limits: JSONLimits(depth: 32, bytes: maxBytes)))?.object
  }

  /// The first web address in the text.
  static func link(_ text: String) -> String? {
    let bytes = Array(bounded(text).utf8)
    for prefix in ["https://", "http://"] {
      guard let start = find(Array(prefix.utf8), in: bytes, from: 0) else { continue }
      var end = start
      while end < bytes.count, !isLinkEnd(bytes[end]) { end += 1 }
      while end > start, [UInt8(ascii: "."), UInt8(ascii: ","), UInt8(ascii: ";")].contains(bytes[end - 1]) {
        end -= 1
      }
      return String(decoding: bytes[start..<end], as: UTF8.self)
    }
    return nil
  }

  /// The scope a text names: `scope X is missing`, `scope=X`, `scope: X`, `scope 'X'`.
  static func scopes(_ text: String) -> [String] {
    let bytes = Array(bounded(text).utf8)
    var from = 0
    var out: [String] = []
    while let hit = find(Array("scope".utf8), in: bytes, from: from), out.count < ScopeList.maxScopes {
      from = hit + 5
      // `scope` inside a longer word, or inside a link, says something else.
      if hit > 0, ASCII.isLetter(bytes[hit - 1]) || "_?&%-".utf8.contains(bytes[hit - 1]) { continue }
      var i = from
      if i < bytes.count, bytes[i] == UInt8(ascii: "s") { i += 1 }
      var isAssigned = false
      while i < bytes.count, " =:".utf8.contains(bytes[i]) {
        isAssigned = isAssigned || bytes[i] != 0x20
        i += 1
      }
      guard i > from else { continue }
      var isQuoted = false
      if i < bytes.count, "'\"`".utf8.contains(bytes[i]) {
        isQuoted = true
        i += 1
      }
      let start = i
      while i < bytes.count, !isScopeEnd(bytes[i]) { i += 1 }
      from = i
      var end = i
      if end > start, bytes[end - 1] == UInt8(ascii: ".") { end -= 1 }
      let followed = find(Array(" is ".utf8), in: bytes, from: i) == i
      guard isAssigned || isQuoted || followed else { continue }
      out.append(String(decoding: bytes[start..<end], as: UTF8.self))
    }
    return ScopeList.union(out)
  }

  private static func bounded(_ text: String) -> Substring {
    guard text.utf8.count > maxBytes else { return text[...] }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: maxBytes)
    // Not inside a character.
    while end > text.startIndex, UTF8.isContinuation(text.utf8[end]) { end = text.utf8.index(before: end) }
    return text[..<end]
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.utf8.first, first <= 0x20 {
      text = text[text.utf8.index(after: text.startIndex)...]
    }
    while let last = text.utf8.last, last <= 0x20 { text = text[..<text.utf8.index(before: text.endIndex)] }
    return text
  }

  private static func find(_ needle: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
    var i = from
    while i + needle.count <= bytes.count {
      if bytes[i] == needle[0], bytes[i..<i + needle.count].elementsEqual(needle) { return i }
      i += 1
    }
    return nil
  }

  private static func isLinkEnd(_ byte: UInt8) -> Bool {
    byte <= 0x20 || byte >= 0x7F || "\"'<>)]}`".utf8.contains(byte)
  }

  private static func isScopeEnd(_ byte: UInt8) -> Bool {
    byte <= 0x20 || byte >= 0x7F || ",;'\"`()<>{}".utf8.contains(byte)
  }
}
