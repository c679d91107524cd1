internal import Synchronization

/// Texts that nearly all sessions have in common, such as the issuer, scopes and names of resources: a packed session has
/// their numbers. They are few, and stay for the life of the process.
///
/// Owner: shared and guarded. Bound: ``capacity`` texts of at most ``maxBytes``; what does not fit is packed as it is.
enum CommonTexts {
  private struct Table {
    var numbers: [String: Int] = [:]
    var texts: [String] = []
  }

  private static let capacity = 1024
  private static let maxBytes = 256
  private static let table = Mutex(Table())

  /// The number of a text, from 0; nil when there is no room for it.
  static func number(of text: String) -> Int? {
    table.withLock { table in
      if let known = table.numbers[text] { return known }
      guard table.texts.count < capacity, text.utf8.count <= maxBytes else { return nil }
      table.texts.append(text)
      table.numbers[text] = table.texts.count - 1
      return table.texts.count - 1
    }
  }

  /// The text of a number that ``number(of:)`` gave; nil for others.
  static func text(_ number: Int) -> String? {
    table.withLock { $0.texts.indices.contains(number) ? $0.texts[number] : nil }
  }
}
