public import Basics

/// Parts of structured field values: parameters, quoted strings, media types, weights (RFC 9110 §5.6, §8.3, §12.4.2).
public enum FieldValue {
  /// The elements of a comma-separated list as text. For the cold path; see ``ListElements`` for ranges.
  public static func elements(_ text: String) -> [String] {
    let buffer = Buffer(text)
    var list = ListElements(0..<buffer.count)
    var out: [String] = []
    while let element = list.next(buffer) { out.append(buffer.string(element)) }
    return out
  }

  /// Whether the comma-separated list at `range` has an element equal to `token`, letters compared without case.
  public static func contains(_ token: StaticString, _ buffer: borrowing Buffer, _ range: Range<Int>) -> Bool
  {
    var list = ListElements(range)
    while let element = list.next(buffer) {
      if buffer.equalsIgnoringCase(element, token) { return true }
    }
    return false
  }

  /// Whether the media type at `range` is `type` (such as `application/json`), its parameters ignored.
  public static func isMediaType(_ type: StaticString, _ buffer: borrowing Buffer, _ range: Range<Int>)
    -> Bool
  {
    let end = buffer.firstIndex(of: UInt8(ascii: ";"), in: range) ?? range.upperBound
    return buffer.equalsIgnoringCase(trim(buffer.span, range.lowerBound..<end), type)
  }

  /// The value of the parameter `name` of the element at `range` (`type; name=value; name="value"`), unquoted; nil when
  /// it is absent or malformed.
  public static func parameter(_ name: StaticString, _ buffer: borrowing Buffer, _ range: Range<Int>)
    -> String?
  {
    var parameters = Parameters(behind: range, buffer)
    while let parameter = parameters.next(buffer) {
      guard buffer.equalsIgnoringCase(parameter.name, name) else { continue }
      return unquoted(buffer, parameter.value)
    }
    return nil
  }

  /// A token as it is, a quoted string without quotes and backslashes (RFC 9110 §5.6.4); nil when it is neither.
  public static func unquoted(_ buffer: borrowing Buffer, _ range: Range<Int>) -> String? {
    let bytes = buffer.span
    guard !range.isEmpty, bytes[range.lowerBound] == UInt8(ascii: "\"") else {
      return ByteClass.all(bytes, range, ByteClass.token) && !range.isEmpty ? buffer.string(range) : nil
    }
    var out: [UInt8] = []
    var i = range.lowerBound + 1
    while i < range.upperBound, bytes[i] != UInt8(ascii: "\"") {
      if bytes[i] == UInt8(ascii: "\\") { i += 1 }
      guard i < range.upperBound else { return nil }
      out.append(bytes[i])
      i += 1
    }
    return i == range.upperBound - 1 ? String(decoding: out, as: UTF8.self) : nil
  }

  /// `text` as a quoted string; bytes that must not stand in a field value are left out.
  public static func quoted(_ text: String) -> String {
    var out: [UInt8] = [UInt8(ascii: "\"")]
    for byte in text.utf8 where ByteClass.has(byte, ByteClass.fieldValue) {
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { out.append(UInt8(ascii: "\\")) }
      out.append(byte)
    }
    out.append(UInt8(ascii: "\""))
    return String(decoding: out, as: UTF8.self)
  }

  /// Whether `text` is a token (RFC 9110 §5.6.2).
  public static func isToken(_ text: String) -> Bool {
    let bytes = text.utf8.span
    return !bytes.isEmpty && ByteClass.all(bytes, 0..<bytes.count, ByteClass.token)
  }

  /// Whether `text` is a valid field value: no control characters but tab, no white space at its ends.
  public static func isFieldValue(_ text: String) -> Bool {
    let bytes = text.utf8.span
    return ByteClass.all(bytes, 0..<bytes.count, ByteClass.fieldValue)
      && trim(bytes, 0..<bytes.count) == 0..<bytes.count
  }

  /// The weight parameter of the element at `range` in thousandths (RFC 9110 §12.4.2): 1000 when absent, 0 when
  /// malformed.
  static func weight(_ buffer: borrowing Buffer, _ range: Range<Int>) -> Int {
    var parameters = Parameters(behind: range, buffer)
    while let parameter = parameters.next(buffer) {
      guard buffer.equalsIgnoringCase(parameter.name, "q") else { continue }
      let bytes = buffer.span
      let value = parameter.value
      guard (1...5).contains(value.count), bytes[value.lowerBound] <= UInt8(ascii: "1"),
        ASCII.isDigit(bytes[value.lowerBound])
      else { return 0 }
      var weight = Int(bytes[value.lowerBound] - 0x30) * 1000
      if value.count > 1 {
        guard bytes[value.lowerBound + 1] == UInt8(ascii: ".") else { return 0 }
        var unit = 100
        for i in value.lowerBound + 2..<value.upperBound {
          guard ASCII.isDigit(bytes[i]) else { return 0 }
          weight += Int(bytes[i] - 0x30) * unit
          unit /= 10
        }
      }
      return min(weight, 1000)
    }
    return 1000
  }
}

/// The `;name=value` parameters behind the first part of a list element (RFC 9110 §5.6.6).
public struct Parameters: Sendable {
  private var rest: Range<Int>

  /// The parameters of the element at `range`.
  public init(behind range: Range<Int>, _ buffer: borrowing Buffer) {
    let start = buffer.firstIndex(of: UInt8(ascii: ";"), in: range) ?? range.upperBound
    rest = start..<range.upperBound
  }

  /// The next parameter; a quoted value with its quotes. Nil at the end. Parts without `=` are skipped.
  public mutating func next(_ buffer: borrowing Buffer) -> (name: Range<Int>, value: Range<Int>)? {
    let bytes = buffer.span
    while !rest.isEmpty {
      var end = rest.lowerBound + 1
      var isQuoted = false
      while end < rest.upperBound, isQuoted || bytes[end] != UInt8(ascii: ";") {
        if bytes[end] == UInt8(ascii: "\"") { isQuoted.toggle() }
        if isQuoted, bytes[end] == UInt8(ascii: "\\"), end + 1 < rest.upperBound { end += 1 }
        end += 1
      }
      let part = rest.lowerBound + 1..<end
      rest = end..<rest.upperBound
      guard let equals = buffer.firstIndex(of: UInt8(ascii: "="), in: part) else { continue }
      let name = trim(bytes, part.lowerBound..<equals)
      if !name.isEmpty { return (name, trim(bytes, equals + 1..<part.upperBound)) }
    }
    return nil
  }
}
