/// A value that belongs to one loop, carried through code that may run elsewhere.
///
/// `@unchecked Sendable`: the value is reached only on its loop, which every access checks; releasing the last reference elsewhere
/// must do no harm, so what is inside may not depend on where it is freed.
public final class LoopBound<Value>: @unchecked Sendable {
  private let stored: Value
  public let loop: EventLoop

  public init(_ value: Value, on loop: EventLoop) {
    stored = value
    self.loop = loop
  }

  /// The value. Only on its loop; anywhere else is a fault of the program.
  public var value: Value {
    loop.preconditionCurrent()
    return stored
  }
}
