/// How large a head may be. A head beyond a limit is refused, never cut.
public struct HeadLimits: Sendable, Equatable {
  /// Bytes of the whole head, request or status line and the empty line included. At most 1 MiB.
  public var headBytes: Int
  /// Field lines.
  public var fieldCount: Int
  /// Bytes of the request target.
  public var targetBytes: Int

  /// Defaults: 32 KiB, 100 fields, 8 KiB of target: what browsers with many cookies reach, and no more.
  public init(headBytes: Int = 32 * 1024, fieldCount: Int = 100, targetBytes: Int = 8 * 1024) {
    self.headBytes = min(max(headBytes, 64), 1 << 20)
    self.fieldCount = max(fieldCount, 1)
    self.targetBytes = max(targetBytes, 1)
  }
}
