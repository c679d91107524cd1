internal import Basics

/// A part of a sealed session that came after version 3 of its form: a number that says what it is, and bytes. One whose number is
/// not known here was written by a newer program, and is written back as it was read.
struct ExtensionField: Sendable, Hashable {
  /// The numbers that were ever given. One is never given a second time.
  enum Tag: UInt32 {
    /// ``Session/provider``: a text.
    case provider = 1
  }

  /// Of all fields of one session: more was not written by any program of this kind.
  static let maxCount = 64
  /// Of all fields of one session together: what is not understood is carried along, and must stay small.
  static let maxBytes = 16_384

  let tag: UInt32
  let bytes: [UInt8]

  init(tag: UInt32, bytes: [UInt8]) {
    self.tag = tag
    self.bytes = bytes
  }

  init(_ tag: Tag, _ isCompact: Bool, _ write: (inout RecordWriter) -> Void) {
    var writer = RecordWriter(isCompact: isCompact)
    write(&writer)
    self.init(tag: tag.rawValue, bytes: writer.bytes)
  }

  /// Count, then of each: tag, length and bytes.
  /// - Throws: ``SealError/malformed`` for a tag that comes twice, and beyond ``maxCount`` and ``maxBytes``.
  static func list(_ reader: inout RecordReader) throws(SealError) -> [ExtensionField] {
    let count = try reader.count()
    guard count <= maxCount else { throw .malformed }
    var fields: [ExtensionField] = []
    var left = maxBytes
    for _ in 0..<count {
      let field = ExtensionField(tag: try reader.tag(), bytes: try reader.data())
      left -= field.bytes.count
      guard left >= 0, !fields.contains(where: { $0.tag == field.tag }) else { throw .malformed }
      fields.append(field)
    }
    return fields
  }
}

extension [ExtensionField] {
  /// Takes a known field out of the list; nil when it is not there.
  mutating func take<Value>(
    _ tag: ExtensionField.Tag, _ isCompact: Bool,
    _ read: (inout RecordReader) throws(SealError) -> Value
  ) throws(SealError) -> Value? {
    guard let index = firstIndex(where: { $0.tag == tag.rawValue }) else { return nil }
    var reader = RecordReader(remove(at: index).bytes, isCompact: isCompact)
    let value = try read(&reader)
    guard reader.isAtEnd else { throw .malformed }
    return value
  }
}
