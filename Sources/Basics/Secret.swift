/// A value that must not be seen: tokens, codes, verifiers, client secrets.
///
/// Whatever prints, dumps or mirrors it gets `<redacted>`. Equality takes the same time wherever the values differ.
/// The bytes come out by ``reveal()`` and ``withBytes(_:)`` only, so a search for these two names finds every use.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  private let bytes: [UInt8]

  /// A secret text.
  public init(_ text: String) { bytes = Array(text.utf8) }

  /// Secret bytes.
  public init(bytes: [UInt8]) { self.bytes = bytes }

  /// Length in bytes. Not secret.
  public var count: Int { bytes.count }

  /// Whether there is nothing in it.
  public var isEmpty: Bool { bytes.isEmpty }

  /// The value as text. Call it where the value leaves for its one destination.
  public func reveal() -> String { String(decoding: bytes, as: UTF8.self) }

  /// The value as bytes, without a text in between.
  public func withBytes<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
    try body(bytes.span)
  }

  /// Compares without stopping at the first difference. Lengths are not secret.
  public static func == (a: Secret, b: Secret) -> Bool {
    guard a.bytes.count == b.bytes.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a.bytes, b.bytes) { difference |= x ^ y }
    return difference == 0
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }

  public var description: String { "<redacted>" }
  public var debugDescription: String { "<redacted>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

extension Buffer {
  /// Appends the value of `secret`, for the header line or form it belongs into.
  public mutating func append(_ secret: Secret) {
    secret.withBytes { append($0) }
  }
}
