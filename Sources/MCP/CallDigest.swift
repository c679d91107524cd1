public import Basics
internal import JSON

/// What makes two requests the same call: the same method and the same parameters.
public enum CallDigest {
  /// The bytes to be hashed (SHA-256) for the digest of a call.
  ///
  /// A retry after an `input_required` result gives the same bytes as its first attempt: neither the id counts,
  /// nor `_meta`, `requestState` and `inputResponses`, nor the order of the other members of `params`. These
  /// count as they are spelled, so an SDK that repeats a call has to write its arguments in the same way; all do.
  /// The bytes of different calls differ, since every part has its length in front.
  ///
  /// - Parameters:
  ///   - buffer: what `message` was scanned from.
  ///   - body: the range that was scanned.
  public static func canonical(
    _ buffer: borrowing Buffer, _ body: Range<Int>, _ message: MessageEnvelope
  ) -> [UInt8] {
    var out = Array("coatcheck call 1".utf8)
    add(message.method.map { buffer.array($0) } ?? [], to: &out)
    guard let params = message.params else {
      // None at all is the same as an empty object, which is what the retry of such a call has.
      if let other = otherParams(buffer, body) { add(other, to: &out) }
      return out
    }
    for member in members(buffer, params) {
      add(member.key, to: &out)
      add(member.value, to: &out)
    }
    return out
  }

  private typealias Member = (key: [UInt8], value: [UInt8], position: Int)

  /// The members that count, in the order of their keys. The scan let a key that it does not look at occur
  /// twice; those keep their order.
  private static func members(_ buffer: borrowing Buffer, _ params: Range<Int>) -> [Member] {
    var out: [Member] = []
    var scanner = JSONScanner(object: buffer, params, maxDepth: MessageEnvelope.maxDepth)
    while let member = try? scanner?.nextMember(buffer) {
      let (key, escaped) = (member.key, member.keyHasEscapes)
      if JSONText.equals(buffer, key, escaped: escaped, "_meta")
        || JSONText.equals(buffer, key, escaped: escaped, "requestState")
        || JSONText.equals(buffer, key, escaped: escaped, "inputResponses")
      {
        continue
      }
      out.append((buffer.array(key), buffer.array(member.value.range), key.lowerBound))
    }
    return out.sorted { a, b in
      a.key == b.key ? a.position < b.position : a.key.lexicographicallyPrecedes(b.key)
    }
  }

  /// `params` that is no object. MCP knows no such call, but it is still another one than that without.
  private static func otherParams(_ buffer: borrowing Buffer, _ body: Range<Int>) -> [UInt8]? {
    var scanner = JSONScanner(object: buffer, body, maxDepth: MessageEnvelope.maxDepth)
    while let member = try? scanner?.nextMember(buffer) {
      guard JSONText.equals(buffer, member.key, escaped: member.keyHasEscapes, "params") else { continue }
      return buffer.array(member.value.range)
    }
    return nil
  }

  private static func add(_ part: [UInt8], to out: inout [UInt8]) {
    let count = UInt64(part.count)
    for shift in stride(from: 56, through: 0, by: -8) {
      out.append(UInt8(truncatingIfNeeded: count >> UInt64(shift)))
    }
    out += part
  }
}
