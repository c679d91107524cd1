/// One field line of a parsed head: where its name and value stand in the buffer. 16 bytes, no reference.
///
/// Offsets count from the first readable byte of the buffer the head was parsed from and are valid until that buffer
/// is consumed.
public struct FieldSlot: Sendable, Equatable {
  let nameStart: UInt32
  let valueStart: UInt32
  let valueCount: UInt32
  let nameCount: UInt16
  /// Which field it is, ``FieldID/other`` when the proxy does not know the name.
  public let id: FieldID
  /// Whether the field must not be passed on: by its name or because `Connection` names it (RFC 9110 §7.6.1).
  public internal(set) var isHopByHop: Bool

  /// Where the name stands.
  public var name: Range<Int> { Int(nameStart)..<Int(nameStart) + Int(nameCount) }

  /// Where the value stands, without surrounding white space.
  public var value: Range<Int> { Int(valueStart)..<Int(valueStart) + Int(valueCount) }
}
