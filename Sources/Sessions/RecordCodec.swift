internal import Basics

/// Writes values one after the other in the binary form that stores keep. Numbers are big-endian; texts and
/// bytes are led by a 32-bit length; an absent value is a zero byte, a present one follows a one.
///
/// The compact form, for memory only, has lengths of seven bits a byte, the lowest first, and the numbers of common texts
/// plus one, or a zero before any other text in their place.
struct RecordWriter {
  private(set) var bytes: [UInt8] = []
  let isCompact: Bool

  init(isCompact: Bool = false) { self.isCompact = isCompact }

  mutating func append(byte: UInt8) { bytes.append(byte) }

  mutating func append(_ number: UInt64) {
    for shift in stride(from: UInt64(56), through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> shift))
    }
  }

  mutating func append(_ time: Timestamp) { append(UInt64(bitPattern: time.milliseconds)) }

  mutating func append(count: Int) {
    var number = UInt32(clamping: count)
    if isCompact {
      while number >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: number) | 0x80)
        number >>= 7
      }
      return bytes.append(UInt8(truncatingIfNeeded: number))
    }
    for shift in stride(from: UInt32(24), through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> shift))
    }
  }

  mutating func append(_ data: [UInt8]) {
    append(count: data.count)
    bytes.append(contentsOf: data)
  }

  mutating func append(_ text: String) {
    append(count: text.utf8.count)
    bytes.append(contentsOf: text.utf8)
  }

  mutating func append(_ secret: Secret) {
    append(count: secret.count)
    secret.withBytes { span in
      for i in span.indices { bytes.append(span[i]) }
    }
  }

  /// A text that many sessions have in common.
  mutating func append(common text: String) {
    guard isCompact else { return append(text) }
    if let number = CommonTexts.number(of: text) { return append(count: number + 1) }
    append(count: 0)
    append(text)
  }

  mutating func append(common texts: [String]) {
    append(count: texts.count)
    for text in texts { append(common: text) }
  }

  mutating func append<Value>(_ value: Value?, _ write: (inout RecordWriter, Value) -> Void) {
    guard let value else { return append(byte: 0) }
    append(byte: 1)
    write(&self, value)
  }
}

/// Reads what a ``RecordWriter`` wrote. Lengths are checked against what is left, so a damaged record cannot
/// make it read or reserve beyond its end.
struct RecordReader {
  private let bytes: [UInt8]
  private var position = 0
  let isCompact: Bool

  init(_ bytes: [UInt8], isCompact: Bool = false) {
    self.bytes = bytes
    self.isCompact = isCompact
  }

  var isAtEnd: Bool { position == bytes.count }

  mutating func byte() throws(SealError) -> UInt8 {
    guard position < bytes.count else { throw .malformed }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func number() throws(SealError) -> UInt64 {
    var value: UInt64 = 0
    for _ in 0..<8 { value = value << 8 | UInt64(try byte()) }
    return value
  }

  mutating func time() throws(SealError) -> Timestamp {
    Timestamp(milliseconds: Int64(bitPattern: try number()))
  }

  /// A count of things that take at least one byte each.
  mutating func count() throws(SealError) -> Int {
    let count = try anyCount()
    guard count <= bytes.count - position else { throw .malformed }
    return count
  }

  private mutating func anyCount() throws(SealError) -> Int {
    var value: UInt32 = 0
    if isCompact {
      var shift: UInt32 = 0
      var next: UInt8
      repeat {
        next = try byte()
        value |= UInt32(next & 0x7F) << shift
        shift += 7
      } while next >= 0x80 && shift < 35
    } else {
      for _ in 0..<4 { value = value << 8 | UInt32(try byte()) }
    }
    return Int(value)
  }

  /// The number of an ``ExtensionField``.
  mutating func tag() throws(SealError) -> UInt32 { UInt32(clamping: try anyCount()) }

  mutating func data() throws(SealError) -> [UInt8] {
    let length = try count()
    defer { position += length }
    return Array(bytes[position..<(position + length)])
  }

  mutating func text() throws(SealError) -> String { String(decoding: try data(), as: UTF8.self) }

  mutating func secret() throws(SealError) -> Secret { Secret(bytes: try data()) }

  mutating func commonText() throws(SealError) -> String {
    guard isCompact else { return try text() }
    let number = try anyCount()
    if number == 0 { return try text() }
    guard let text = CommonTexts.text(number - 1) else { throw .malformed }
    return text
  }

  mutating func commonTexts() throws(SealError) -> [String] {
    var texts: [String] = []
    for _ in 0..<(try count()) { texts.append(try commonText()) }
    return texts
  }

  mutating func optional<Value>(
    _ read: (inout RecordReader) throws(SealError) -> Value
  ) throws(SealError) -> Value? {
    switch try byte() {
    case 0: nil
    case 1: try read(&self)
    default: throw .malformed
    }
  }
}
