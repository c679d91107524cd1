public import Basics
internal import Crypto

/// What the browser holds: 256 random bits. It opens a session and means nothing by itself.
///
/// It exists only between its making and the `Set-Cookie` line; everything else works with its
/// ``TicketHash``.
public struct Ticket: Sendable, CustomStringConvertible, CustomReflectable {
  private let bytes: Bytes32

  private init(_ bytes: Bytes32) { self.bytes = bytes }

  /// A new ticket from the kernel's random numbers.
  public static func make() -> Ticket {
    var generator = SystemRandomNumberGenerator()
    return Ticket(Bytes32(generator.next(), generator.next(), generator.next(), generator.next()))
  }

  /// The cookie's value: 43 characters of base64url.
  public func reveal() -> String { Base64URL.encode(bytes.bytes) }

  /// What the server keeps of it.
  public var hash: TicketHash { TicketHash(ticket: bytes) }

  /// Never the value.
  public var description: String { "<redacted>" }
  /// Never the value.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// SHA-256 of a ticket's 32 bytes: the key of sessions in memory and in the store.
///
/// A plain hash is enough because a ticket has 256 random bits. Whoever reads the hash cannot make the ticket
/// from it, and looking it up in a table leaks no usable timing.
public struct TicketHash: Sendable, Hashable, CustomStringConvertible {
  /// The hash.
  public let digest: Bytes32

  /// From a stored hash.
  public init(digest: Bytes32) { self.digest = digest }

  /// From a cookie's value; nil unless it is exactly 43 characters of base64url with no spare bits set.
  public init?(cookieValue: Span<UInt8>) {
    guard let ticket = Base64URL.decode32(cookieValue) else { return nil }
    self.init(ticket: ticket)
  }

  /// From a cookie's value that stands in `range` of a request's head; nil as ``init(cookieValue:)``.
  public init?(_ buffer: borrowing Buffer, _ range: Range<Int>) {
    guard let ticket = Base64URL.decode32(buffer, range) else { return nil }
    self.init(ticket: ticket)
  }

  /// From a cookie's value; nil as ``init(cookieValue:)``.
  public init?(_ cookieValue: String) {
    self.init(cookieValue: cookieValue.utf8.span)
  }

  /// From a ticket's decoded bytes.
  public init(ticket: Bytes32) {
    digest = Fingerprint.sha256 { hash in unsafe ticket.withBytes { unsafe hash.update(bufferPointer: $0) } }
  }

  /// All 64 digits in hexadecimal: how operators name a session. ``description`` is how it begins.
  public var text: String {
    digest.bytes.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// From ``text``; nil for all else.
  public init?(text: String) {
    let digits = Array(text.utf8)
    guard digits.count == 64 else { return nil }
    var bytes: [UInt8] = []
    for i in stride(from: 0, to: 64, by: 2) {
      guard let high = ASCII.hexValue(digits[i]), let low = ASCII.hexValue(digits[i + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    guard let digest = Bytes32(bytes) else { return nil }
    self.init(digest: digest)
  }

  /// The first 32 bits in hexadecimal: enough to follow one session through a log, useless for anything else.
  public var description: String {
    let text = String(digest.a >> 32, radix: 16)
    return String(repeating: "0", count: 8 - text.utf8.count) + text
  }
}

/// SHA-256 as values of this module.
enum Fingerprint {
  static func sha256(_ feed: (inout SHA256) -> Void) -> Bytes32 {
    var hash = SHA256()
    feed(&hash)
    // Iterating over the digest would allocate an array of it, at every request.
    return unsafe hash.finalize().withUnsafeBytes { bytes in
      var words = InlineArray<4, UInt64>(repeating: 0)
      for i in 0..<32 { words[i >> 3] = unsafe words[i >> 3] << 8 | UInt64(bytes[i]) }
      return Bytes32(words[0], words[1], words[2], words[3])
    }
  }

  /// The hash of `parts`, each led by its length, so that no two lists give the same bytes.
  static func sha256(parts: [String]) -> Bytes32 {
    var writer = RecordWriter()
    for part in parts { writer.append(part) }
    return sha256 { $0.update(data: writer.bytes) }
  }
}
