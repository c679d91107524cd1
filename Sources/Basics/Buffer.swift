internal import Glibc

/// Growable bytes with one owner: what is read from a socket, parsed in place and written to a socket.
///
/// The readable bytes are `[readIndex, writeIndex)` of one block. Invariants:
/// `0 <= readIndex <= writeIndex <= capacity`; `capacity == 0` exactly when there is no block; an empty buffer has
/// `readIndex == writeIndex == 0`. All offsets in the interface count from the first readable byte, so they stay
/// valid while bytes are appended and become invalid when bytes are consumed.
///
/// This is the one place that owns raw memory for bytes. It is `@safe`: every access is checked against the readable
/// count, and pointers leave it only inside the closures of ``fill(atLeast:_:)`` and ``withBytes(_:)``.
@safe
public struct Buffer: ~Copyable {
  @usableFromInline var base: UnsafeMutablePointer<UInt8>?
  @usableFromInline var capacity: Int
  @usableFromInline var readIndex: Int
  @usableFromInline var writeIndex: Int

  /// The first block is not smaller than this: most heads and messages fit without a second allocation.
  private static let smallestBlock = 512

  /// An empty buffer without memory.
  public init() {
    unsafe base = nil
    capacity = 0
    readIndex = 0
    writeIndex = 0
  }

  /// An empty buffer that holds `capacity` bytes without growing.
  public init(capacity: Int) {
    self.init()
    if capacity > 0 { grow(toHold: capacity) }
  }

  /// A buffer with a copy of `bytes`.
  public init(_ bytes: [UInt8]) {
    self.init()
    append(bytes)
  }

  /// A buffer with the UTF-8 of `string`.
  public init(_ string: String) {
    self.init()
    append(string)
  }

  deinit {
    unsafe free(base)
  }

  /// Readable bytes.
  @inlinable public var count: Int { writeIndex &- readIndex }

  /// Whether there is nothing to read.
  @inlinable public var isEmpty: Bool { writeIndex == readIndex }

  /// Bytes that can be appended before memory grows or moves.
  public var spareCapacity: Int { capacity - writeIndex }

  /// Bytes of memory held, readable or not.
  public var allocatedBytes: Int { capacity }

  /// The readable bytes. Lives no longer than the borrow of the buffer.
  @inlinable public var span: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let span = unsafe Span(_unsafeStart: start, count: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The readable byte at `index`; traps outside `0..<count`.
  @inlinable public subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < count, "Buffer index out of range")
    return unsafe start[index]
  }

  /// First readable byte. A buffer without memory gives an address that nobody reads or writes, since every access is bounded by a
  /// count of zero; it is not nil, because a `Span` and C functions want an address even for no bytes.
  @usableFromInline var start: UnsafeMutablePointer<UInt8> {
    @inline(__always)
    get {
      if let base = unsafe base { return unsafe base + readIndex }
      return unsafe UnsafeMutablePointer(bitPattern: 1).unsafelyUnwrapped
    }
  }
}

// MARK: - Appending

extension Buffer {
  /// Appends one byte.
  @inlinable public mutating func append(_ byte: UInt8) {
    if writeIndex == capacity { reserve(1) }
    // `reserve` made room, so there is a block and `writeIndex < capacity`.
    unsafe base.unsafelyUnwrapped[writeIndex] = byte
    writeIndex &+= 1
  }

  /// Appends all bytes of `bytes`.
  public mutating func append(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBufferPointer { source in
      unsafe append(copying: source.baseAddress, source.count)
    }
  }

  /// Appends all bytes of `bytes`.
  public mutating func append(_ bytes: [UInt8]) {
    unsafe bytes.withUnsafeBufferPointer { source in
      unsafe append(copying: source.baseAddress, source.count)
    }
  }

  /// Appends all bytes of `bytes`.
  public mutating func append(_ bytes: ArraySlice<UInt8>) {
    unsafe bytes.withUnsafeBufferPointer { source in
      unsafe append(copying: source.baseAddress, source.count)
    }
  }

  /// Appends the bytes of a string literal.
  public mutating func append(_ literal: StaticString) {
    literal.withUTF8Buffer { source in
      unsafe append(copying: source.baseAddress, source.count)
    }
  }

  /// Appends the UTF-8 of `string`.
  @_disfavoredOverload
  public mutating func append(_ string: String) {
    append(string.utf8.span)
  }

  /// Appends the UTF-8 of `string`.
  @_disfavoredOverload
  public mutating func append(_ string: Substring) {
    append(string.utf8.span)
  }

  /// Appends the readable bytes `range` of another buffer. Traps when the range is not readable there.
  public mutating func append(from other: borrowing Buffer, _ range: Range<Int>) {
    other.check(range)
    unsafe append(copying: other.start + range.lowerBound, range.count)
  }

  /// Appends all readable bytes of another buffer.
  public mutating func append(from other: borrowing Buffer) {
    unsafe append(copying: other.start, other.count)
  }

  /// Appends `value` in decimal digits.
  public mutating func append(decimal value: UInt64) {
    reserve(20)
    var digits = 1
    var rest = value / 10
    while rest > 0 {
      digits += 1
      rest /= 10
    }
    rest = value
    var position = writeIndex + digits
    writeIndex = position
    repeat {
      position -= 1
      unsafe base.unsafelyUnwrapped[position] = UInt8(truncatingIfNeeded: rest % 10) + UInt8(ascii: "0")
      rest /= 10
    } while rest > 0
  }

  /// Appends `value` in lower-case hexadecimal digits without leading zeros.
  public mutating func append(hex value: UInt64) {
    let digits = max(1, (64 - value.leadingZeroBitCount + 3) / 4)
    reserve(digits)
    var rest = value
    var position = writeIndex + digits
    writeIndex = position
    for _ in 0..<digits {
      position &-= 1
      let nibble = UInt8(truncatingIfNeeded: rest) & 0xF
      unsafe base.unsafelyUnwrapped[position] =
        nibble < 10 ? UInt8(ascii: "0") &+ nibble : UInt8(ascii: "a") &+ nibble &- 10
      rest >>= 4
    }
  }

  private mutating func append(copying source: UnsafePointer<UInt8>?, _ count: Int) {
    guard count > 0, let source = unsafe source else { return }
    reserve(count)
    unsafe memcpy(base.unsafelyUnwrapped + writeIndex, source, count)
    writeIndex += count
  }

  /// Makes room for `additional` more bytes: first by moving the readable bytes to the front, then by growing to the
  /// next power of two.
  public mutating func reserve(_ additional: Int) {
    guard capacity - writeIndex < additional else { return }
    let needed = count + additional
    // Move only when at least half of the block is free afterwards, so that repeated small reserves stay linear.
    if readIndex > 0, needed <= capacity, count <= capacity / 2 {
      let readable = count
      unsafe memmove(base.unsafelyUnwrapped, start, readable)
      readIndex = 0
      writeIndex = readable
      return
    }
    grow(toHold: needed)
  }

  private mutating func grow(toHold needed: Int) {
    var size = max(capacity, Self.smallestBlock)
    while size < needed { size *= 2 }
    if size == capacity { size *= 2 }
    let readable = count
    // Large blocks grow in place, or by their pages' change of address, without a copy.
    let grown = readIndex == 0 ? unsafe realloc(base, size) : unsafe malloc(size)
    guard let block = unsafe grown?.assumingMemoryBound(to: UInt8.self) else {
      preconditionFailure("out of memory")
    }
    if readIndex > 0 {
      if readable > 0 { unsafe memcpy(block, start, readable) }
      unsafe free(base)
    }
    unsafe base = block
    capacity = size
    readIndex = 0
    writeIndex = readable
  }

  /// Lets `body` write up to the free space (at least `atLeast` bytes) and appends as many bytes as it returns.
  ///
  /// For `read(2)`, `SSL_read` and `inflate`. A result of zero or less appends nothing and is passed on, so a negative
  /// result may carry an error. The pointer is valid only inside `body`. Traps when `body` claims more than it got.
  @inlinable @discardableResult
  public mutating func fill<E: Error>(
    atLeast minimum: Int, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Int
  ) throws(E) -> Int {
    reserve(minimum)
    let room = capacity &- writeIndex
    let written = try unsafe body(
      UnsafeMutableRawBufferPointer(start: base.map { unsafe $0 + writeIndex }, count: room))
    precondition(written <= room, "more bytes claimed than the buffer had room for")
    if written > 0 { writeIndex &+= written }
    return written
  }
}

// MARK: - Removing

extension Buffer {
  /// Drops the first `count` readable bytes. Traps when there are fewer.
  @inlinable public mutating func consume(_ count: Int) {
    precondition(count >= 0 && count <= self.count, "consuming more than is readable")
    readIndex &+= count
    if readIndex == writeIndex {
      readIndex = 0
      writeIndex = 0
    }
  }

  /// Drops all readable bytes; keeps the memory unless told otherwise.
  public mutating func removeAll(keepingCapacity: Bool = true) {
    readIndex = 0
    writeIndex = 0
    if !keepingCapacity { releaseStorage() }
  }

  /// Keeps the first `count` readable bytes. Traps when there are fewer.
  public mutating func truncate(to count: Int) {
    precondition(count >= 0 && count <= self.count, "truncating to more than is readable")
    writeIndex = readIndex + count
    if count == 0 { removeAll(keepingCapacity: true) }
  }

  /// Gives back what the readable bytes do not need, where that is at least an eighth of the block. For bytes that stay
  /// for long.
  public mutating func trimStorage() {
    guard !isEmpty else { return releaseStorage() }
    let readable = count
    guard capacity - readable >= capacity / 8 else { return }
    if readIndex > 0 { unsafe memmove(base.unsafelyUnwrapped, start, readable) }
    readIndex = 0
    writeIndex = readable
    guard let block = unsafe realloc(base, readable)?.assumingMemoryBound(to: UInt8.self) else { return }
    unsafe base = block
    capacity = readable
  }

  /// Gives the memory back. Only of an empty buffer; a buffer with readable bytes is left as it is.
  public mutating func releaseStorage() {
    guard isEmpty else { return }
    unsafe free(base)
    unsafe base = nil
    capacity = 0
    readIndex = 0
    writeIndex = 0
  }
}
