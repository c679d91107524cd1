public import Basics

/// Reading `Cookie` fields (RFC 6265 §4.2). Browsers send `name=value; name=value`; several fields are read as one.
public enum Cookies {
  /// The value of the cookie `name`: names compare with case, the first one counts. Nil when there is none or when its
  /// value holds a byte that no cookie value may. Allocates nothing.
  public static func find(
    _ name: [UInt8], in head: borrowing RequestHead, _ buffer: borrowing Buffer
  ) -> Range<Int>? {
    guard head.contains(.cookie) else { return nil }
    let lines = head.lines
    for i in lines.indices where lines[i].id == .cookie {
      var pairs = CookiePairs(lines[i].value)
      while let pair = pairs.next(buffer) {
        guard buffer.equals(pair.name, name) else { continue }
        return ByteClass.all(buffer.span, pair.value, ByteClass.cookieValue) ? pair.value : nil
      }
    }
    return nil
  }

  /// How many cookies have that name. More than one means that somebody set one on another path or domain.
  public static func count(
    of name: [UInt8], in head: borrowing RequestHead, _ buffer: borrowing Buffer
  ) -> Int {
    var count = 0
    guard head.contains(.cookie) else { return 0 }
    for slot in head.fields where slot.id == .cookie {
      var pairs = CookiePairs(slot.value)
      while let pair = pairs.next(buffer) {
        if buffer.equals(pair.name, name) { count += 1 }
      }
    }
    return count
  }

  /// All cookies in order, as text. For the cold path.
  public static func all(
    in head: borrowing RequestHead, _ buffer: borrowing Buffer
  ) -> [(name: String, value: String)] {
    var cookies: [(name: String, value: String)] = []
    for slot in head.fields where slot.id == .cookie {
      var pairs = CookiePairs(slot.value)
      while let pair = pairs.next(buffer) {
        cookies.append((buffer.string(pair.name), buffer.string(pair.value)))
      }
    }
    return cookies
  }

  /// Appends one `Cookie` field line with the cookies for which `isKept` is true of the name's range; nothing when none
  /// is kept.
  public static func appendKept(
    of head: borrowing RequestHead, _ buffer: borrowing Buffer, to output: inout Buffer,
    where isKept: (borrowing Buffer, Range<Int>) -> Bool
  ) {
    var isFirst = true
    for slot in head.fields where slot.id == .cookie && !slot.isHopByHop {
      var pairs = CookiePairs(slot.value)
      while let pair = pairs.next(buffer) {
        guard isKept(buffer, pair.name) else { continue }
        output.append((isFirst ? "Cookie: " : "; ") as StaticString)
        output.append(from: buffer, pair.name.lowerBound..<pair.value.upperBound)
        isFirst = false
      }
    }
    if !isFirst { output.append("\r\n" as StaticString) }
  }
}

/// The pairs of one `Cookie` field value. Pairs without `=` are skipped; one pair of quotes around a value is kept.
public struct CookiePairs: Sendable {
  private var rest: Range<Int>

  /// The pairs of the value at `range`.
  public init(_ range: Range<Int>) { rest = range }

  /// The next pair, or nil at the end.
  public mutating func next(_ buffer: borrowing Buffer) -> (name: Range<Int>, value: Range<Int>)? {
    let bytes = buffer.span
    while !rest.isEmpty {
      let end = buffer.firstIndex(of: UInt8(ascii: ";"), in: rest) ?? rest.upperBound
      let pair = trim(bytes, rest.lowerBound..<end)
      rest = min(end + 1, rest.upperBound)..<rest.upperBound
      guard let equals = buffer.firstIndex(of: UInt8(ascii: "="), in: pair), equals > pair.lowerBound else {
        continue
      }
      return (trim(bytes, pair.lowerBound..<equals), trim(bytes, equals + 1..<pair.upperBound))
    }
    return nil
  }
}

/// A `Set-Cookie` field (RFC 6265bis §4.1) as this proxy writes them: host-only, `Path=/` unless told otherwise.
public struct SetCookie: Sendable, Hashable {
  /// `SameSite` (RFC 6265bis §5.6.7).
  public enum SameSite: String, Sendable { case strict = "Strict", lax = "Lax", none = "None" }

  /// The name; a token.
  public var name: String
  /// The value; cookie octets only.
  public var value: String
  /// The path it is sent to.
  public var path = "/"
  /// How long it lives; nil for as long as the browser session. Zero deletes it.
  public var maxAge: Duration?
  /// Sent over TLS only. Prefixed names need it.
  public var isSecure = true
  /// Out of reach for scripts.
  public var isHTTPOnly = true
  /// Whether other sites' requests carry it.
  public var sameSite = SameSite.lax

  /// Nil when the name is not a token or the value holds a byte that no cookie value may.
  public init?(name: String, value: String) {
    let (nameBytes, valueBytes) = (name.utf8.span, value.utf8.span)
    guard !nameBytes.isEmpty, ByteClass.all(nameBytes, 0..<nameBytes.count, ByteClass.token),
      ByteClass.all(valueBytes, 0..<valueBytes.count, ByteClass.cookieValue)
    else { return nil }
    self.name = name
    self.value = value
  }

  /// A cookie that makes the browser forget `name`.
  public static func deleting(_ name: String) -> SetCookie? {
    var cookie = SetCookie(name: name, value: "")
    cookie?.maxAge = .zero
    return cookie
  }

  /// The field value.
  public var text: String {
    var text = "\(name)=\(value); Path=\(path)"
    if let maxAge { text += "; Max-Age=\(max(0, maxAge.components.seconds))" }
    if isSecure { text += "; Secure" }
    if isHTTPOnly { text += "; HttpOnly" }
    return text + "; SameSite=\(sameSite.rawValue)"
  }

  /// Appends the whole field line.
  public func append(to buffer: inout Buffer) {
    buffer.append("Set-Cookie: " as StaticString)
    buffer.append(text)
    buffer.append("\r\n" as StaticString)
  }
}
