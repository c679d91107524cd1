internal import Basics
internal import JSON

// One byte of version, one of flags, then numbers of eight bytes and the digests, then the texts, each with its
// length in eight bytes in front; big-endian. A text that is absent has no length either: its flag is zero.
extension RequestState {
  /// A longer encoded form is not read, in bytes.
  public static let maxBytes = 96 << 10

  private static let version: UInt8 = 1
  private static let hasState: UInt8 = 1
  private static let hasResponses: UInt8 = 2

  /// Whether the encoded form is short enough to be read again. When not, the call has to be refused in a way
  /// that needs no state.
  public var fits: Bool { encoded().count <= Self.maxBytes }

  /// The content as bytes, to be sealed.
  public func encoded() -> [UInt8] {
    var flags: UInt8 = 0
    if upstreamState != nil { flags |= Self.hasState }
    if upstreamResponses != nil { flags |= Self.hasResponses }
    var out = [Self.version, flags]
    Self.append(Int64(route), to: &out)
    Self.append(expiresAt.milliseconds, to: &out)
    out += user.bytes
    out += call.bytes
    if let upstreamState { Self.append(Array(upstreamState.utf8), to: &out) }
    if let upstreamResponses {
      Self.append(JSONValue.object(upstreamResponses).serializedBytes(), to: &out)
    }
    return out
  }

  /// The content of what ``encoded()`` gave; nil for anything else.
  public init?(encoded bytes: [UInt8]) {
    guard bytes.count <= Self.maxBytes else { return nil }
    var rest = bytes[...]
    guard rest.popFirst() == Self.version, let flags = rest.popFirst(),
      flags & ~(Self.hasState | Self.hasResponses) == 0,
      let route = Self.number(&rest).flatMap({ Int(exactly: $0) }), let expiry = Self.number(&rest),
      let user = Self.take(32, &rest).flatMap({ Bytes32($0) }),
      let call = Self.take(32, &rest).flatMap({ Bytes32($0) })
    else { return nil }
    self.init(user: user, route: route, call: call, expiresAt: Timestamp(milliseconds: expiry))
    if flags & Self.hasState != 0 {
      guard let state = Self.text(&rest) else { return nil }
      upstreamState = state
    }
    if flags & Self.hasResponses != 0 {
      guard let text = Self.text(&rest), let responses = (try? JSONValue.parse(text))?.object else {
        return nil
      }
      upstreamResponses = responses
    }
    guard rest.isEmpty else { return nil }
  }

  private static func append(_ number: Int64, to out: inout [UInt8]) {
    for shift in stride(from: 56, through: 0, by: -8) {
      out.append(UInt8(truncatingIfNeeded: number >> Int64(shift)))
    }
  }

  private static func append(_ text: [UInt8], to out: inout [UInt8]) {
    append(Int64(text.count), to: &out)
    out += text
  }

  private static func number(_ rest: inout ArraySlice<UInt8>) -> Int64? {
    take(8, &rest)?.reduce(0) { $0 << 8 | Int64($1) }
  }

  private static func text(_ rest: inout ArraySlice<UInt8>) -> String? {
    guard let count = number(&rest).flatMap({ Int(exactly: $0) }), let bytes = take(count, &rest) else {
      return nil
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func take(_ count: Int, _ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    guard count >= 0, count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }
}
