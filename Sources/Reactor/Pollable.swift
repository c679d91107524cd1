/// What happened on a descriptor.
public struct PollEvents: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// There may be bytes, or the end of the stream.
  public static let readable = PollEvents(rawValue: 1)
  public static let writable = PollEvents(rawValue: 2)
  /// The peer has shut its side.
  public static let peerClosed = PollEvents(rawValue: 4)
  /// Both sides are shut.
  public static let hangUp = PollEvents(rawValue: 8)
  public static let error = PollEvents(rawValue: 16)
}

/// Something that waits for a descriptor. Events are edges: after one, read or write until it would block.
public protocol Pollable: AnyObject {
  func ready(_ events: PollEvents)
}
