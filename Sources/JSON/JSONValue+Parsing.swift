public import Basics

extension JSONValue {
  /// Parses one value and nothing else. Errors: ``JSONError`` with the place.
  public static func parse(
    _ bytes: Span<UInt8>, limits: JSONLimits = JSONLimits()
  ) throws(JSONError) -> JSONValue {
    var parser = JSONParser(limits: limits)
    return try parser.wholeValue(bytes)
  }

  /// Parses one value and nothing else.
  public static func parse(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSONValue
  {
    try parse(bytes.span, limits: limits)
  }

  /// Parses one value and nothing else.
  public static func parse(_ text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSONValue {
    try parse(text.utf8.span, limits: limits)
  }

  /// Parses the bytes `range` of a buffer: one value and nothing else.
  public static func parse(
    _ buffer: borrowing Buffer, _ range: Range<Int>, limits: JSONLimits = JSONLimits()
  ) throws(JSONError) -> JSONValue {
    try parse(buffer.span.extracting(range), limits: limits)
  }
}
