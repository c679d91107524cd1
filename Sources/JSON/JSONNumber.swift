/// A number as it was written: nothing is rounded unless asked for. Two numbers are equal when their texts are.
public struct JSONNumber: Sendable, Hashable, CustomStringConvertible {
  /// The number's text, valid by RFC 8259 §6.
  public let text: String

  /// A text already known to be a valid number.
  init(validated text: String) { self.text = text }

  /// A whole number.
  public init(_ value: some BinaryInteger) { text = String(value) }

  /// A floating-point number; nil for infinities and NaN, which JSON cannot say.
  public init?(_ value: Double) {
    guard value.isFinite else { return nil }
    text = "\(value)"
  }

  /// The value when it is whole and fits, also when written as `1.0` or `1e3`.
  public var int64: Int64? {
    if let value = Int64(text) { return value }
    guard let value = Double(text) else { return nil }
    // Beyond 2^53 a Double no longer says which whole number was meant.
    return value.magnitude <= 9_007_199_254_740_992 ? Int64(exactly: value) : nil
  }

  /// The nearest floating-point value; nil when it would be infinite.
  public var double: Double? {
    guard let value = Double(text), value.isFinite else { return nil }
    return value
  }

  public var description: String { text }
}
