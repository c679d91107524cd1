internal import Basics
internal import JSON

/// What a value of the file may look like, without its Swift type: what messages, schema and reference are
/// made from.
indirect enum Shape {
  /// A text. `says` completes "must be …"; `pattern` is an ECMA-262 expression where one says as much.
  case text(says: String, pattern: String?)
  /// One of some texts.
  case word([String])
  case truth
  case number(ClosedRange<Int>)
  case duration(ClosedRange<Duration>)
  /// In bytes.
  case size(ClosedRange<Int>)
  /// An array of at least `minimum` elements, none twice unless they are objects.
  case list(of: Shape, minimum: Int)
  /// An object whose keys the operator chooses; `says` tells of keys and values.
  case map(says: String)
  case object([Entry])
  /// An object, or an array of at least one.
  case oneOrMore(of: Shape)

  /// Completes "must be …": what is allowed.
  var allowed: String {
    switch self {
    case .text(let says, _): says
    case .word(let words): words.count == 1 ? quoted(words) : "one of \(quoted(words))"
    case .truth: "true or false"
    case .number(let range):
      range == .any
        ? "a whole number" : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .duration(let range):
      "a duration such as \"30s\", \"5m\" or \"8h\", "
        + "from \(range.lowerBound.text) to \(range.upperBound.text)"
    case .size(let range):
      "a size such as \"64KiB\" or \"4MiB\", "
        + "from \(ByteSize(bytes: range.lowerBound)) to \(ByteSize(bytes: range.upperBound))"
    case .list(let element, let minimum):
      minimum > 0
        ? "a list of at least \(minimum), each \(element.allowed)" : "a list, each \(element.allowed)"
    case .map(let says): says
    case .object: "an object"
    case .oneOrMore(let element): "\(element.allowed), or a list of at least one"
    }
  }

  /// The keys below, of lists of objects too.
  var entries: [Entry]? {
    switch self {
    case .object(let entries): entries
    case .list(of: let element, _), .oneOrMore(of: let element): element.entries
    default: nil
    }
  }

  private func quoted(_ words: [String]) -> String { words.map { "\"\($0)\"" }.joined(separator: ", ") }
}

/// One key of the file, without its Swift type.
struct Entry {
  let name: String
  let shape: Shape
  /// Full sentences, in Markdown without `|`.
  let documentation: String
  let isRequired: Bool
  /// What holds without the key, where that is a value.
  let defaultValue: JSONValue?
  /// What holds without the key, in words, where it is not a value of the file.
  let otherwise: String?
  /// What the complete example says; nil: nothing, since the key excludes another one.
  var example: JSONValue?
}

extension ClosedRange<Int> {
  /// Every whole number that all JSON readers keep exactly (RFC 8259 §6).
  static var any: ClosedRange<Int> { -9_007_199_254_740_991...9_007_199_254_740_991 }
}
