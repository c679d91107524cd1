internal import Basics

extension Buffer {
  /// Takes over all bytes of `other`, the work space of a read. Many bytes change hands with their block; few are copied,
  /// so that no connection holds a large block for a small message.
  mutating func absorb(_ other: inout Buffer) {
    if isEmpty, other.count >= Self.worthABlock {
      swap(&self, &other)
    } else {
      append(from: other)
      other.removeAll()
    }
  }

  /// From here on copying costs more than a new block for the work space.
  private static var worthABlock: Int { 8192 }
}
