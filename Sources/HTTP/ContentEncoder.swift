public import Basics
internal import CZlib

/// Makes gzip content piece by piece. Owns its zlib stream like ``ContentDecoder``.
@safe
public struct ContentEncoder: ~Copyable {
  private let stream: UnsafeMutablePointer<z_stream>
  private let isOpen: Bool

  /// Room asked for at a time.
  private static let stepBytes = 16 * 1024

  /// A gzip encoder. `level` is zlib's, 1 (fast) to 9 (small).
  public init(level: Int = 5) {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    // 31 = 32 KiB window with a gzip wrapper; 8 is zlib's usual memory level.
    isOpen = unsafe coatcheck_deflateInit2(stream, Int32(min(max(level, 1), 9)), 31, 8) == Z_OK
  }

  deinit {
    if isOpen { unsafe deflateEnd(stream) }
    unsafe stream.deallocate()
  }

  /// Encodes and consumes all of `input`, appending to `output`. With `flush` everything given so far can be decoded by
  /// the receiver; with `end` the content is complete.
  public mutating func encode(
    _ input: inout Buffer, into output: inout Buffer, flush: Bool = false, end: Bool = false
  ) throws(ContentCodingError) {
    guard isOpen else { throw .outOfMemory }
    let mode = end ? Z_FINISH : flush ? Z_SYNC_FLUSH : Z_NO_FLUSH
    while true {
      let (code, consumed, produced) = step(input, &output, mode)
      input.consume(consumed)
      guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else { throw .corrupt }
      if code == Z_STREAM_END || produced < Self.stepBytes && input.isEmpty { return }
    }
  }

  /// Encodes a whole content at once.
  public static func gzip(_ bytes: [UInt8], level: Int = 5) throws(ContentCodingError) -> [UInt8] {
    var encoder = ContentEncoder(level: level)
    var input = Buffer(bytes)
    var output = Buffer()
    try encoder.encode(&input, into: &output, end: true)
    return output.array()
  }

  private func step(
    _ input: borrowing Buffer, _ output: inout Buffer, _ mode: Int32
  ) -> (Int32, consumed: Int, produced: Int) {
    var code = Z_OK
    var consumed = 0
    let count = min(input.count, 1 << 30)
    let produced = unsafe output.fill(atLeast: Self.stepBytes) { room in
      return unsafe input.withBytes { bytes in
        unsafe stream.pointee.next_in = UnsafeMutablePointer(
          mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        unsafe stream.pointee.avail_in = UInt32(count)
        unsafe stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = UInt32(Self.stepBytes)
        code = unsafe deflate(stream, mode)
        consumed = unsafe count - Int(stream.pointee.avail_in)
        return unsafe Self.stepBytes - Int(stream.pointee.avail_out)
      }
    }
    return (code, consumed, produced)
  }
}
