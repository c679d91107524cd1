public import Basics
internal import CZlib

/// Content codings that can be undone here (RFC 9110 §8.4.1).
public enum ContentCoding: Sendable, Equatable {
  case identity, gzip, deflate

  /// The name in `Accept-Encoding`.
  public var name: StaticString {
    switch self {
    case .identity: "identity"
    case .gzip: "gzip"
    case .deflate: "deflate"
    }
  }

  /// The coding that the `Content-Encoding` field lines of a response name; nil when there are several or one is unknown.
  public init?(of head: borrowing ResponseHead, _ buffer: borrowing Buffer) {
    guard head.contains(.contentEncoding) else {
      self = .identity
      return
    }
    guard let value = head.only(.contentEncoding) else { return nil }
    self.init(buffer, value)
  }

  /// The coding named by the field value at `range`; nil when it names several or an unknown one.
  public init?(_ buffer: borrowing Buffer, _ range: Range<Int>) {
    if buffer.equalsIgnoringCase(range, "gzip") || buffer.equalsIgnoringCase(range, "x-gzip") {
      self = .gzip
    } else if buffer.equalsIgnoringCase(range, "deflate") {
      self = .deflate
    } else if range.isEmpty || buffer.equalsIgnoringCase(range, "identity") {
      self = .identity
    } else {
      return nil
    }
  }
}

/// Why coded content could not be decoded.
public enum ContentCodingError: Error, Sendable, Equatable {
  /// Not what its coding says, or cut off.
  case corrupt
  /// Longer than allowed.
  case tooLong(limit: Int)
  /// Grows more than allowed: a compression bomb.
  case ratio(limit: Int)
  /// zlib had no memory.
  case outOfMemory
}

/// Undoes gzip or deflate piece by piece, with bounds on length and growth. `deflate` is read with and without its zlib
/// wrapper, since senders disagree. Several gzip members in a row are one content (RFC 1952 §2.2).
///
/// Owns its zlib stream, which lives at one address because zlib keeps a pointer to it.
@safe
public struct ContentDecoder: ~Copyable {
  private let stream: UnsafeMutablePointer<z_stream>
  private let coding: ContentCoding
  private let maxBytes: Int
  private let maxRatio: Int
  private var isOpen = false
  private var isRaw = false
  /// The two bytes that tell a zlib wrapper from raw deflate, until both are there.
  private var prefix = Buffer()
  private var bytesIn = 0
  private var bytesOut = 0
  /// A whole stream has been decoded; more gzip members may follow.
  public private(set) var isFinished = false

  /// Up to here growth is not judged: small texts may well shrink to a hundredth.
  private static let ratioGrace = 64 * 1024
  /// Room asked for at a time: what one zlib window holds.
  private static let stepBytes = 32 * 1024

  /// A decoder of one content that yields at most `maxBytes`, and beyond 64 KiB at most `maxRatio` bytes for each read.
  public init(_ coding: ContentCoding, maxBytes: Int, maxRatio: Int = 200) {
    self.coding = coding
    self.maxBytes = maxBytes
    self.maxRatio = maxRatio
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
  }

  deinit {
    if isOpen { unsafe inflateEnd(stream) }
    unsafe stream.deallocate()
  }

  /// Decodes and consumes all of `input`, appending to `output`.
  public mutating func decode(
    _ input: inout Buffer, into output: inout Buffer
  ) throws(ContentCodingError) {
    guard coding != .identity else {
      guard bytesOut + input.count <= maxBytes else { throw .tooLong(limit: maxBytes) }
      bytesOut += input.count
      output.append(from: input)
      input.removeAll()
      return
    }
    if !isOpen {
      prefix.append(from: input)
      input.removeAll()
      guard prefix.count >= 2 else { return }
      try open()
      var first = Buffer()
      swap(&first, &prefix)
      try inflateAll(&first, &output)
    } else {
      try inflateAll(&input, &output)
    }
  }

  /// To be called when the input has ended: throws `corrupt` when the content has not.
  public func finish() throws(ContentCodingError) {
    guard coding == .identity || isFinished || (!isOpen && prefix.isEmpty) else { throw .corrupt }
  }

  /// Decodes a whole content at once.
  public static func decode(
    _ bytes: [UInt8], _ coding: ContentCoding, maxBytes: Int, maxRatio: Int = 200
  ) throws(ContentCodingError) -> [UInt8] {
    var decoder = ContentDecoder(coding, maxBytes: maxBytes, maxRatio: maxRatio)
    var input = Buffer(bytes)
    var output = Buffer()
    try decoder.decode(&input, into: &output)
    try decoder.finish()
    return output.array()
  }

  private mutating func open() throws(ContentCodingError) {
    // RFC 1950 §2.2: the low nibble of the first byte is 8 and both bytes together are a multiple of 31.
    let header = UInt16(prefix[0]) << 8 | UInt16(prefix[1])
    isRaw = coding == .deflate && !(prefix[0] & 0xF == 8 && header % 31 == 0)
    // 31 = 32 KiB window with a gzip wrapper, 15 with a zlib wrapper, -15 with none.
    let windowBits: Int32 = coding == .gzip ? 31 : isRaw ? -15 : 15
    guard unsafe coatcheck_inflateInit2(stream, windowBits) == Z_OK else { throw .outOfMemory }
    isOpen = true
  }

  private mutating func inflateAll(_ input: inout Buffer, _ output: inout Buffer) throws(ContentCodingError) {
    while !input.isEmpty {
      if isFinished {
        // Only gzip has members; anything else behind the end is garbage.
        guard coding == .gzip, unsafe inflateReset(stream) == Z_OK else { throw .corrupt }
        isFinished = false
      }
      var result = Z_OK
      // Output may wait inside zlib after the last input byte: go on until it leaves room unused.
      repeat {
        let (code, consumed, produced) = step(input, &output)
        result = code
        input.consume(consumed)
        bytesIn += consumed
        bytesOut += produced
        guard bytesOut <= maxBytes else { throw .tooLong(limit: maxBytes) }
        guard bytesOut <= Self.ratioGrace || bytesOut / max(bytesIn, 1) <= maxRatio else {
          throw .ratio(limit: maxRatio)
        }
        if result == Z_BUF_ERROR, consumed == 0, produced == 0 { break }
        guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
          throw result == Z_MEM_ERROR ? .outOfMemory : .corrupt
        }
        if result == Z_OK, input.isEmpty, produced < Self.stepBytes { break }
      } while result != Z_STREAM_END
      if result == Z_STREAM_END {
        isFinished = true
      } else if !input.isEmpty {
        throw .corrupt
      }
    }
  }

  /// One call of `inflate`: its code, the bytes read and the bytes written.
  private func step(_ input: borrowing Buffer, _ output: inout Buffer) -> (
    Int32, consumed: Int, produced: Int
  ) {
    var code = Z_OK
    var consumed = 0
    // avail_in is 32 bits wide; more than a gigabyte goes in several steps.
    let count = min(input.count, 1 << 30)
    let produced = unsafe output.fill(atLeast: Self.stepBytes) { room in
      let space = min(room.count, Self.stepBytes)
      return unsafe input.withBytes { bytes in
        unsafe stream.pointee.next_in = UnsafeMutablePointer(
          mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        unsafe stream.pointee.avail_in = UInt32(count)
        unsafe stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = UInt32(space)
        code = unsafe inflate(stream, Z_NO_FLUSH)
        consumed = unsafe count - Int(stream.pointee.avail_in)
        return unsafe space - Int(stream.pointee.avail_out)
      }
    }
    return (code, consumed, produced)
  }
}
