public import Basics

/// Writes JSON text. All control characters and the quote are escaped; `<`, `>` and `&` too, so that the text may stand
/// inside an HTML page.
public enum JSONWriter {
  /// Appends `value`.
  public static func write(_ value: JSONValue, to buffer: inout Buffer, pretty: Bool = false) {
    write(value, to: &buffer, pretty: pretty, indent: 0)
  }

  /// Appends `text` as a JSON string with its quotes.
  public static func write(string text: String, to buffer: inout Buffer) {
    buffer.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): buffer.append("\\\"" as StaticString)
      case UInt8(ascii: "\\"): buffer.append("\\\\" as StaticString)
      case 0x0A: buffer.append("\\n" as StaticString)
      case 0x0D: buffer.append("\\r" as StaticString)
      case 0x09: buffer.append("\\t" as StaticString)
      case 0..<0x20, 0x7F, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
        buffer.append((byte < 0x10 ? "\\u000" : "\\u00") as StaticString)
        buffer.append(hex: UInt64(byte))
      default: buffer.append(byte)
      }
    }
    buffer.append(UInt8(ascii: "\""))
  }

  private static func write(_ value: JSONValue, to buffer: inout Buffer, pretty: Bool, indent: Int) {
    switch value {
    case .null: buffer.append("null" as StaticString)
    case .bool(let value): buffer.append((value ? "true" : "false") as StaticString)
    case .number(let number): buffer.append(number.text)
    case .string(let text): write(string: text, to: &buffer)
    case .array(let array):
      buffer.append(UInt8(ascii: "["))
      for (position, element) in array.enumerated() {
        if position > 0 { buffer.append(UInt8(ascii: ",")) }
        newline(&buffer, pretty, indent + 1)
        write(element, to: &buffer, pretty: pretty, indent: indent + 1)
      }
      if !array.isEmpty { newline(&buffer, pretty, indent) }
      buffer.append(UInt8(ascii: "]"))
    case .object(let object):
      buffer.append(UInt8(ascii: "{"))
      for (position, member) in object.members.enumerated() {
        if position > 0 { buffer.append(UInt8(ascii: ",")) }
        newline(&buffer, pretty, indent + 1)
        write(string: member.key, to: &buffer)
        buffer.append((pretty ? ": " : ":") as StaticString)
        write(member.value, to: &buffer, pretty: pretty, indent: indent + 1)
      }
      if !object.isEmpty { newline(&buffer, pretty, indent) }
      buffer.append(UInt8(ascii: "}"))
    }
  }

  private static func newline(_ buffer: inout Buffer, _ pretty: Bool, _ indent: Int) {
    guard pretty else { return }
    buffer.append(0x0A)
    for _ in 0..<indent { buffer.append("  " as StaticString) }
  }
}

extension JSONValue {
  /// The value as JSON text, without white space unless `pretty` (two spaces, no newline at the end).
  public func serialized(pretty: Bool = false) -> String {
    var buffer = Buffer()
    JSONWriter.write(self, to: &buffer, pretty: pretty)
    return buffer.string()
  }

  /// The value as JSON bytes without white space.
  public func serializedBytes() -> [UInt8] {
    var buffer = Buffer()
    JSONWriter.write(self, to: &buffer)
    return buffer.array()
  }
}
