internal import Basics

/// Writes values as length-led fields.
struct RecordWriter {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ number: UInt64) {
    for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
  }
  mutating func append(_ number: Int64) { append(UInt64(bitPattern: number)) }
  mutating func append(_ flag: Bool) { bytes.append(flag ? 1 : 0) }
  mutating func append(_ data: [UInt8]) {
    append(UInt64(data.count))
    bytes.append(contentsOf: data)
  }
  mutating func append(_ text: String) {
    append(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }
}
